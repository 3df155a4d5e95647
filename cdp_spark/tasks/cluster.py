"""The main job: embeddings -> clusters. Read :func:`_clustered` beside the picture in the README."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from cdp_spark.base import schemas
from cdp_spark.base.config import RunConfig, accept_count, fingerprint
from cdp_spark.runtime.lease import Lease
from cdp_spark.runtime.record import RunRecord
from cdp_spark.runtime.storage import StageResult, StageStore
from cdp_spark.stages import vote
from cdp_spark.tasks.consensus import Consensus, consensus_clusters
from cdp_spark.tasks.intake import Intake, taken_in
from cdp_spark.tasks.knn import Graph, knn_graph

VOTE_VERSION = 1


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes
    ----------
    clusters : DataFrame (id, cluster: long, status: string, size: long, best_score: float, level: double)
    record : dict
        What ``run.json`` holds.
    output : str
    """

    clusters: DataFrame
    record: dict[str, Any]
    output: str


def cluster(config: RunConfig, *, spark: SparkSession, tables: Mapping[str, DataFrame] | None = None) -> Run:
    """Cluster the items of one base model and its committee, and write everything to ``config.output``.

    Parameters
    ----------
    config : RunConfig
    spark : SparkSession
    tables : mapping of model to DataFrame, optional
        Tables to read instead of the config's paths.

    Returns
    -------
    Run

    Raises
    ------
    InputError
        If the data cannot be used (see the input contract); nothing has been written then.
    GuardError
        If another run holds the output.
    """
    with Lease(config.output):
        store = StageStore(spark, config.output)
        record = RunRecord(config)
        record.observe(store)
        clusters = _clustered(store, record, config, tables or {})
        return Run(clusters, record.finish(), config.output)


def _clustered(
    store: StageStore, record: RunRecord, config: RunConfig, tables: Mapping[str, DataFrame]
) -> DataFrame:
    intake = taken_in(store, record, config.input, tables)
    graphs = {model: knn_graph(store, vectors, config.knn) for model, vectors in intake.vectors.items()}
    pairs = _voted_pairs(store, intake, graphs, config)
    consensus = consensus_clusters(store, intake, pairs, config)
    record.note(intake=intake, graphs=graphs, consensus=consensus)
    return consensus.clusters


def _voted_pairs(
    store: StageStore, intake: Intake, graphs: Mapping[str, Graph], config: RunConfig
) -> StageResult:
    base, *committee = (graphs[model] for model in intake.models)
    accept = accept_count(config.consensus, len(committee))
    return store.stage(
        "scored_pairs",
        fingerprint("vote", VOTE_VERSION, accept, [graph.fingerprint for graph in (base, *committee)]),
        lambda: vote.scored_pairs(
            base.table, [member.table for member in committee], accept=accept, item_count=intake.item_count
        ),
        schema=schemas.SCORED_PAIRS,
    )
