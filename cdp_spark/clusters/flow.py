"""Scored pairs -> clusters: forest, components, pruning or agglomeration, numbering; each stage is durable."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from cdp_spark.agglomeration.flow import Labelled, agglomerated_items
from cdp_spark.base import schemas
from cdp_spark.clusters import cut_and_number as stage
from cdp_spark.clusters.cut_and_number import SOFT_WEIGHTS, soft_labels
from cdp_spark.clusters.forest import merges as merge_stage
from cdp_spark.clusters.forest.components import choose_engine, components
from cdp_spark.clusters.forest.grow import ForestResult, Materialise, forest_in_rounds, grown_forest
from cdp_spark.clusters.giant_guard import ConsensusGraph, guarded
from cdp_spark.config.sections import ClustersConfig, fingerprint
from cdp_spark.config.whole import RunConfig
from cdp_spark.runs import register
from cdp_spark.runs.stage_store import StageResult, StageStore
from cdp_spark.scoring.flow import Decision, Expansion, Scored

_IRRELEVANT = {"components", "on_giant", "soft_labels", "piece_items"}
"""Settings that do not affect labels by components and pruning."""


@dataclass(frozen=True)
class Forest:
    """The forest of all scored pairs, or a superset of it."""

    grown: ForestResult
    fingerprint: str


@dataclass(frozen=True)
class Consensus:
    """The clusters, and how they were made.

    Attributes
    ----------
    clusters : StageResult
    threshold : float
    facts : dict
        For ``run.json``.
    warnings : list of str
    forest : Forest
    graph : ConsensusGraph
    """

    clusters: StageResult
    threshold: float
    facts: dict[str, Any]
    warnings: list[str]
    forest: Forest
    graph: ConsensusGraph


def consensus_clusters(store: StageStore, items: StageResult, scored: Scored, config: RunConfig) -> Consensus:
    """Divide the consensus graph, the pairs with score > threshold, into clusters.

    Parameters
    ----------
    store : StageStore
    items : StageResult (id, item: long)
    scored : Scored
    config : RunConfig
    """
    pairs, decision = scored.pairs, scored.decision
    threshold = decision.threshold
    forest = forest_of(store, items.rows, pairs, config.forest.task_edges)
    graph = graph_at(store, forest, pairs, config, threshold)
    labelled = _labelled(store, items, scored, graph, config)
    warnings = [graph.why.removeprefix("warning: ")] if graph.why.startswith("warning: ") else []
    warnings += [*_without_pairs(pairs, graph.start, decision, config.clusters), *labelled.warnings]
    labels = _expanded(store, labelled.items, decision.expansion)
    clusters = _clusters(store, items, graph, labels, config.clusters)
    facts = {
        "engine": {"components": graph.engine, "why": graph.why}, "start": graph.start, "scored_pairs": pairs.rows,
        "forest_edges": forest.grown.rows, "forest_complete": forest.grown.complete,
        "largest_component": graph.largest, "giant": None, **labelled.facts,
    }  # fmt: skip
    return Consensus(clusters, threshold, facts, warnings, forest, graph)


def merges_of(store: StageStore, items: StageResult, consensus: Consensus) -> StageResult:
    """List the merges at every score or, if no task holds the forest, those above the threshold."""
    grown, graph = consensus.forest.grown, consensus.graph
    grouped = grown.table.coalesce(1) if grown.complete else graph.grouped
    of_these = consensus.forest.fingerprint if grown.complete else graph.fingerprint
    return store.stage(
        register.MERGES,
        fingerprint("merges", register.CLUSTERS.version, items.fingerprint, of_these),
        lambda: merge_stage.with_ids(merge_stage.merges(grouped), items.table),
        schema=schemas.merges(items.table.schema["id"].dataType),
    )


def forest_of(store: StageStore, item_count: int, pairs: StageResult, task_edges: int) -> Forest:
    """Grow the forest of scored pairs; ``item_count`` may be an upper bound."""
    key = fingerprint(register.CLUSTERS.version, pairs.fingerprint, task_edges)
    grown = grown_forest(
        pairs.table,
        item_count=item_count,
        pair_count=pairs.rows,
        task_edges=task_edges,
        materialise=_materialise(store, key),
    )
    return Forest(grown, key)


def _materialise(store: StageStore, key: str) -> Materialise:
    def materialise(name: str, table: DataFrame) -> tuple[DataFrame, int]:
        # Rounds have different schemas.
        written = store.stage(name, key, lambda: table, schema=table.schema)
        return written.table, written.rows

    return materialise


def graph_at(
    store: StageStore, forest: Forest, pairs: StageResult, config: RunConfig, threshold: float
) -> ConsensusGraph:
    """Find the components of the pairs above a threshold."""
    grown = forest.grown
    bound = config.forest.task_edges
    edges_above = stage.edges_above(grown.table, threshold)
    engine, why = choose_engine(config.clusters.components, grown.rows, bound, store.spark)
    key = fingerprint(register.CLUSTERS.version, forest.fingerprint, pairs.fingerprint, threshold, engine)
    partitions = max(2, -(-grown.rows // bound))
    membership = store.stage(
        register.COMPONENTS,
        key,
        lambda: components(edges_above, engine=engine, checkpoint_folder=store.workspace(), partitions=partitions),
        schema=schemas.COMPONENTS,
    )
    store.clear_workspace()
    tasks = 1
    if grown.complete:
        grouped = edges_above.coalesce(1)
    else:
        edges_above = _within_bound(store, edges_above, membership, bound, key)
        tasks = max(1, -(-grown.rows // bound))
        grouped = stage.whole_components(edges_above, membership.table, tasks)
    pairs_above = stage.edges_above(pairs.table, threshold)
    known = store.facts(
        register.GRAPH, key, lambda: stage.graph_facts(pairs_above, membership.table).collect()[0].asDict()
    )
    return ConsensusGraph(pairs_above, edges_above, grouped, membership, tasks, engine, why, **known, fingerprint=key)


def _within_bound(
    store: StageStore, edges_above: DataFrame, membership: StageResult, bound: int, key: str
) -> DataFrame:
    """Reduce components with more edges than a task may hold to their forest, in rounds of many tasks."""
    owned = stage.owned_edges(edges_above, membership.table)

    def sizes() -> dict[str, list[int]]:
        large = owned.groupBy("component").agg(F.count("*").alias("edges")).where(F.col("edges") > bound)
        return {"components": sorted(row["component"] for row in large.collect())}

    large = store.facts(register.BEYOND_BOUND, fingerprint(key, bound), sizes)["components"]
    if not large:
        return edges_above
    is_large = F.col("component").isin(large)
    trees = forest_in_rounds(
        owned.where(is_large).select(*schemas.FOREST.names), task_edges=bound, materialise=_materialise(store, key)
    )
    small = owned.where(~is_large).select(*schemas.FOREST.names)
    return store.stage(
        register.TREES, fingerprint(key, bound), lambda: small.unionByName(trees), schema=schemas.FOREST
    ).table


def _without_pairs(pairs: StageResult, start: float | None, decision: Decision, limits: ClustersConfig) -> list[str]:
    if start is not None or not pairs.rows:
        return []
    largest = pairs.table.agg(F.max("score")).collect()[0][0]
    what = f"no pair has score > {decision.threshold:g} (largest {largest:.3f} of {pairs.rows:,})"
    if limits.has_threshold:
        return [f"{what}: lower consensus.threshold"]
    return [f"{what}, so that every item is alone: the mediator may not fit these data, train one on data like them"]


def _labelled(
    store: StageStore, items: StageResult, scored: Scored, graph: ConsensusGraph, config: RunConfig
) -> Labelled:
    """Label the items by the rule of the config."""
    limits, pairs, decision = config.clusters, scored.pairs, scored.decision
    if not limits.has_threshold:
        mediator = decision.clusters if limits.rule == "learned" else None
        return agglomerated_items(store, pairs, graph.whole_components, config, mediator)
    watched = guarded(store, items, graph, limits, decision.threshold)

    def cut() -> DataFrame:
        if limits.rule == "paper":
            return stage.labelled_by_paper(
                graph.pairs_above, graph.edges_above, graph.components.table, limits, tasks=graph.tasks
            )
        return stage.labelled_by_code(graph.grouped, limits, start=graph.start or 0.0)

    key = fingerprint(graph.fingerprint, limits.model_dump(exclude=_IRRELEVANT))
    labelled = store.stage(register.PRUNED, key, cut, schema=schemas.LABELLED_ITEMS)
    return Labelled(labelled, {"giant": watched.giant}, watched.warnings)


def _expanded(store: StageStore, labelled: StageResult, expansion: Expansion | None) -> StageResult:
    if expansion is None:
        return labelled
    key = fingerprint("expanded", register.CLUSTERS.version, labelled.fingerprint, expansion.fingerprint)
    schema = labelled.table.schema
    return store.stage(register.EXPANDED, key, lambda: expansion.labels(labelled.table), schema=schema)


def _clusters(
    store: StageStore, items: StageResult, graph: ConsensusGraph, labelled: StageResult, limits: ClustersConfig
) -> StageResult:
    spread = None
    if limits.soft_labels:
        key = fingerprint("soft", register.CLUSTERS.version, labelled.fingerprint)
        build = partial(soft_labels, graph.pairs_above, labelled.table)
        spread = store.stage(register.SOFT_LABELS, key, build, schema=SOFT_WEIGHTS).table
    key = fingerprint(labelled.fingerprint, items.fingerprint, *(["soft"] if limits.soft_labels else []))
    confident = not limits.has_threshold
    return store.stage(
        register.CLUSTERS,
        key,
        lambda: stage.clusters(items.table, labelled.table, spread, at_most=labelled.rows),
        schema=schemas.clusters(items.table.schema["id"].dataType, soft=limits.soft_labels, confident=confident),
    )
