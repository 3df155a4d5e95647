"""Scored pairs -> clusters: forest, components, pruning, numbering, each of them durable."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from cdp_spark.base import schemas
from cdp_spark.base.config import ClustersConfig, RunConfig, fingerprint
from cdp_spark.base.errors import GuardError
from cdp_spark.runtime.storage import StageResult, StageStore
from cdp_spark.stages import clusters as stage
from cdp_spark.stages.components import choose_engine, components
from cdp_spark.stages.forest import ForestResult, grown_forest
from cdp_spark.stages.soft_labels import SOFT_WEIGHTS, soft_labels

VERSION = 1
_GIANT_SHARE = 0.1


@dataclass(frozen=True)
class Consensus:
    """The clusters, and how they came about."""

    clusters: StageResult
    threshold: float
    facts: dict[str, Any]
    warnings: list[str]


def consensus_clusters(
    store: StageStore, items: StageResult, pairs: StageResult, config: RunConfig, threshold: float
) -> Consensus:
    """Cut the consensus graph, the pairs with score > threshold, into clusters.

    Parameters
    ----------
    store : StageStore
    items : StageResult (id, item: long)
    pairs : StageResult (``schemas.SCORED_PAIRS``)
    config : RunConfig
    threshold : float
    """
    limits = config.clusters
    forest, forest_key = _forest(store, items, pairs, config.forest.task_edges)
    forest_above = stage.edges_above(forest.table, threshold)
    pairs_above = stage.edges_above(pairs.table, threshold)
    above_key = fingerprint(VERSION, pairs.fingerprint, threshold)
    start = store.facts("start", above_key, lambda: {"score": stage.smallest_score(pairs_above).collect()[0]["score"]})
    engine, why = choose_engine(limits.components, forest.rows, config.forest.task_edges, store.spark)
    found = store.stage(
        "components",
        fingerprint(forest_key, above_key, engine),
        lambda: components(forest_above, engine=engine, checkpoint_folder=store.workspace(), partitions=8),
        schema=schemas.COMPONENTS,
    )
    store.clear_workspace()
    warnings = [why.removeprefix("warning: ")] if why.startswith("warning: ") else []
    if start["score"] is None and pairs.rows:
        largest = pairs.table.agg(F.max("score")).collect()[0][0]
        warnings.append(
            f"no pair has score > {threshold:g} (largest {largest:.3f} of {pairs.rows:,}): lower consensus.threshold"
        )
    giant = _giant(store, found, limits, warnings, items.rows)
    tasks = 1 if engine == "single" else max(1, -(-forest.rows // config.forest.task_edges))
    key = fingerprint(
        above_key, limits.model_dump(exclude={"components", "on_giant", "soft_labels"}), forest_key, engine
    )
    labelled = store.stage(
        "labelled", key, lambda: _labelled(pairs_above, forest_above, found.table, limits, (start["score"], tasks)),
        schema=schemas.LABELLED_ITEMS,
    )  # fmt: skip
    clusters = _clusters(store, items, pairs_above, labelled, limits.soft_labels)
    facts = {
        "engine": {"components": engine, "why": why}, "start": start["score"], "largest_component": giant,
        "scored_pairs": pairs.rows, "forest_edges": forest.rows, "forest_complete": forest.complete,
    }  # fmt: skip
    return Consensus(clusters, threshold, facts, warnings)


def _forest(store: StageStore, items: StageResult, pairs: StageResult, task_edges: int) -> tuple[ForestResult, str]:
    key = fingerprint(VERSION, pairs.fingerprint, task_edges)

    def materialise(name: str, table: DataFrame) -> tuple[DataFrame, int]:
        written = store.stage(name, key, lambda: table, schema=schemas.FOREST)
        return written.table, written.rows

    grown = grown_forest(pairs.table, item_count=items.rows, task_edges=task_edges, materialise=materialise)
    return grown, key


def _labelled(
    pairs_above: DataFrame, forest_above: DataFrame, found: DataFrame, limits: ClustersConfig, how: tuple[float, int]
) -> DataFrame:
    start, tasks = how
    if limits.rule == "paper":
        return stage.labelled_by_paper(pairs_above, forest_above, found, limits, tasks=tasks)
    return stage.labelled_by_code(forest_above, found, limits, start=start if start is not None else 0.0, tasks=tasks)


def _clusters(
    store: StageStore, items: StageResult, pairs_above: DataFrame, labelled: StageResult, soft: bool
) -> StageResult:
    spread = None
    if soft:
        key = fingerprint("soft", VERSION, labelled.fingerprint)
        build = partial(soft_labels, pairs_above, labelled.table)
        spread = store.stage("soft_labels", key, build, schema=SOFT_WEIGHTS).table
    key = fingerprint(labelled.fingerprint, items.fingerprint, *(["soft"] if soft else []))
    return store.stage(
        "clusters",
        key,
        lambda: stage.clusters(items.table, labelled.table, spread),
        schema=schemas.clusters(items.table.schema["id"].dataType, soft=soft),
    )


def _giant(store: StageStore, found: StageResult, limits: ClustersConfig, warnings: list[str], item_count: int) -> int:
    """Say when one component holds a large share of all items; refuse when told so."""
    sizes = found.table.groupBy("component").agg(F.count("*").alias("size"))
    largest = sizes.agg(F.max("size")).collect()[0][0] or 0
    if largest > max(limits.max_cluster_size, _GIANT_SHARE * item_count):
        text = (
            f"one component holds {largest:,} of {item_count:,} items at this threshold, more than "
            f"max_cluster_size {limits.max_cluster_size:,}: it is cut by rising thresholds; "
            "a higher threshold may do better"
        )
        if limits.on_giant == "refuse":
            raise GuardError(f"{text} (clusters.on_giant: refuse)")
        warnings.append(text)
    return int(largest)
