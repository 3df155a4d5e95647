"""Stages of a finished run and other settings -> one row of a sweep; and the value that is applied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from cdp_spark.base.errors import CdpError, ConfigError
from cdp_spark.clusters.flow import Consensus
from cdp_spark.config.sections import LabelsConfig, SourceConfig
from cdp_spark.evaluation.flow import evaluate
from cdp_spark.evaluation.thresholds import METRICS
from cdp_spark.runs.finished_run import FinishedRun
from cdp_spark.runs.run_json import StageRecord
from cdp_spark.runs.stage_store import StageResult, StageStore
from cdp_spark.sources import open_table

_STATUSES = {"singletons": "singleton", "discarded": "discarded", "forced": "forced"}


def row_of(store: StageStore, found: Consensus, labels: LabelsConfig | None) -> dict[str, Any]:
    """Count clusters and, with labels, judge them.

    Returns
    -------
    dict
        The columns of ``evaluation.thresholds.SWEEP`` but the first.
    """
    clusters = found.clusters.table
    row = clusters.agg(
        F.countDistinct(F.when(F.col("cluster") >= 0, F.col("cluster"))).alias("clusters"),
        *(F.count(F.when(F.col("status") == status, 1)).alias(name) for name, status in _STATUSES.items()),
        F.max("size").alias("largest"),
        F.avg(F.col("status").isin("clustered", "forced").cast("double")).alias("clustered_share"),
    ).collect()[0]
    judged: dict[str, Any] = dict.fromkeys(METRICS)
    if labels is not None:
        table = open_table.open_source(store.spark, labels, "labels")
        kept = evaluate(clusters, table, id_column=labels.id_column, label_column=labels.label_column)["kept"]
        judged = {name: kept[name] for name in METRICS}
    components = {"largest_component": found.facts["largest_component"], "second_component": None}
    return {**row.asDict(), **components, **judged}


def stored(store: StageStore, run: FinishedRun, known: StageRecord, schema: StructType | None = None) -> StageResult:
    """Open a stage of a finished run as one of the store; ``schema``: default, that of its files."""

    def missing() -> DataFrame:
        raise CdpError(f"{run.folder.location} no longer has its stage {known.name}: run cdp-spark cluster again")

    schema = schema or run.spark.read.parquet(run.folder.path(known.path)).schema
    return store.stage(known.name, known.fingerprint, missing, schema=schema)


def value_of(best: float | None, why: str, wanted: str, what: str) -> float:
    """Read what ``--apply`` asks for: a number, or ``best``.

    >>> value_of(0.5, "", "best", "threshold"), value_of(0.5, "", "0.75", "threshold")
    (0.5, 0.75)
    """
    if wanted == "best":
        if best is None:
            raise ConfigError(f"sweep: there is no best {what} ({why}): name one")
        return best
    try:
        return float(wanted)
    except ValueError:
        raise ConfigError(f"sweep: {wanted} is neither a {what} nor 'best'") from None


def check_inputs(
    spark: SparkSession, inputs: Sequence[SourceConfig], tables: Mapping[str, DataFrame], setting: str
) -> None:
    """Say it plainly when the run was made from DataFrames: the config has only their names."""
    for source in inputs:
        if source.table is None or source.model in tables or spark.catalog.tableExists(source.table):
            continue
        raise ConfigError(
            f"sweep: model {source.model}: there is no table {source.table}; if the run was made from DataFrames, "
            f"call cdp_spark.cluster with them again and {setting}: only what depends on it is made anew"
        )
