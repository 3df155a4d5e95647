"""Stages of a finished run and other settings -> one row of a sweep, and the applied value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from cdp_spark.base.errors import CdpError, ConfigError
from cdp_spark.clusters.flow import Consensus
from cdp_spark.config.input_sections import SourceConfig
from cdp_spark.config.sections import fingerprint
from cdp_spark.evaluation.flow import evaluated
from cdp_spark.evaluation.thresholds import METRICS, smallest_scores
from cdp_spark.runs import register
from cdp_spark.runs.finished_run import FinishedRun
from cdp_spark.runs.run_json import StageRecord
from cdp_spark.runs.stage_store import StageResult, StageStore
from cdp_spark.sources.labels import Labels
from cdp_spark.spark.keyed_table import KeyedTable

_STATUSES = {"singletons": "singleton", "discarded": "discarded", "forced": "forced"}


def row_of(consensus: Consensus, labels: Labels | None) -> dict[str, Any]:
    """Count clusters and, with labels, their metrics.

    Returns
    -------
    dict
        The columns of ``evaluation.thresholds.SWEEP`` but the first.
    """
    clusters = consensus.clusters.table
    row = clusters.agg(
        F.countDistinct(F.when(F.col("cluster") >= 0, F.col("cluster"))).alias("clusters"),
        *(F.count(F.when(F.col("status") == status, 1)).alias(name) for name, status in _STATUSES.items()),
        F.max("size").alias("largest"),
        F.avg(F.col("status").isin("clustered", "forced").cast("double")).alias("clustered_share"),
    ).collect()[0]
    metrics: dict[str, Any] = dict.fromkeys(METRICS)
    if labels is not None:
        kept = evaluated(clusters, labels)[0]["kept"]
        metrics = {name: kept[name] for name in METRICS}
    components = {"largest_component": consensus.facts["largest_component"], "second_component": None}
    return {**row.asDict(), **components, **metrics}


def stored(store: StageStore, run: FinishedRun, known: StageRecord, schema: StructType | None = None) -> StageResult:
    """Open a stage of a finished run as one of the store; by default with the schema of its files."""

    def missing() -> DataFrame:
        raise CdpError(f"{run.folder.location}: stage {known.name} is gone: run cdp-spark cluster again")

    schema = schema or run.spark.read.parquet(run.folder.path(known.path)).schema
    return store.stage(known.name, known.fingerprint, missing, schema=schema)


def starts_of(store: StageStore, pairs: KeyedTable, thresholds: Sequence[float]) -> dict[float, float | None]:
    """Return the smallest score above each threshold, over all pairs; None where no pair is above."""

    def smallest() -> dict[str, float | None]:
        row = smallest_scores(pairs.table, thresholds).collect()[0]
        return {str(threshold): row[column] for column, threshold in enumerate(thresholds)}

    starts = store.facts(register.STARTS, starts_key(pairs.fingerprint, thresholds), smallest)
    return {threshold: starts[str(threshold)] for threshold in thresholds}


def starts_key(pairs: str, thresholds: Sequence[float]) -> str:
    """Return the fingerprint of starts, from that of the pairs."""
    return fingerprint(register.SWEEP.version, pairs, list(thresholds))


def check_inputs(
    spark: SparkSession, inputs: Sequence[SourceConfig], tables: Mapping[str, DataFrame], setting: str
) -> None:
    """Refuse a run made from DataFrames: its config has only their names."""
    for source in inputs:
        if source.table is None or source.model in tables or spark.catalog.tableExists(source.table):
            continue
        raise ConfigError(
            f"sweep: model {source.model} needs table {source.table}, which does not exist; if the run was made from "
            f"DataFrames, call cdp_spark.cluster with them again and {setting}"
        )
