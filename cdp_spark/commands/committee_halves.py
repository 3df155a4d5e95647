"""A finished vote -> what two halves of its committee give alike at each threshold, durable and without a search."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from cdp_spark.base import schemas
from cdp_spark.clusters.cut_and_number import limits_of
from cdp_spark.clusters.flow import Forest, forest_of
from cdp_spark.commands.swept import starts_of
from cdp_spark.config.sections import ClustersConfig, accept_count, fingerprint
from cdp_spark.evaluation import halves as stage
from cdp_spark.evaluation.thresholds import SweepInput
from cdp_spark.runs import register
from cdp_spark.runs.finished_run import FinishedRun
from cdp_spark.runs.stage_store import StageResult, StageStore
from cdp_spark.scoring.flow import voted_pairs
from cdp_spark.unlabelled.kernels.splits import distinct_halves, model_splits

_VERSION = register.ALIKE.version


def alike_by_halves(
    store: StageStore, run: FinishedRun, thresholds: Sequence[float], limits: ClustersConfig
) -> dict[float, float] | None:
    """Count, at each threshold, the items in clusters that halves of the committee give alike.

    Both halves keep the base's edges; the share of members that must agree stays.

    Returns
    -------
    dict of threshold to float, or None
        Mean over splits. None for other scores than votes, fewer than two members, votes that need none, another
        rule than ``code``, and where one task cannot hold the forests or the graphs are gone.
    """
    _, *members = run.config.input.models
    accept = accept_count(run.config.consensus, len(members))
    if run.config.consensus.strategy != "vote" or limits.rule != "code" or len(members) < 2 or accept < 1:
        return None
    splits = model_splits(len(members))
    halves = distinct_halves(splits)
    bound = run.config.forest.task_edges
    if len(halves) * run.stage(register.FOREST).rows > bound:
        return None
    if not all(run.has(register.KNN.of(model)) for model in run.config.input.models):  # cleaned away since
        return None
    pairs = [_pairs(store, run, half, accept) for half in halves]
    forests = [forest_of(store, run.item_count, each, bound) for each in pairs]
    if not all(forest.grown.complete for forest in forests) or sum(forest.grown.rows for forest in forests) > bound:
        return None
    numbered = [(halves.index(one), halves.index(other)) for one, other in splits]
    inputs = [_input(store, run, each, thresholds, limits) for each in pairs]
    key = fingerprint(_VERSION, [forest.fingerprint for forest in forests], list(thresholds), limits)
    counted = store.stage(
        register.ALIKE, key,
        lambda: stage.items_alike_by_threshold(_united(forests), numbered, inputs), schema=stage.ALIKE,
    )  # fmt: skip
    return {row["threshold"]: row["alike"] for row in counted.table.collect()}


def _pairs(store: StageStore, run: FinishedRun, half: tuple[int, ...], accept: int) -> StageResult:
    base, *members = (run.keyed(register.KNN.of(model)) for model in run.config.input.models)
    asked = stage.share_of_votes(accept, len(members), len(half))
    return voted_pairs(store, (base, [members[number] for number in half]), asked, run.item_count)


def _input(
    store: StageStore, run: FinishedRun, pairs: StageResult, thresholds: Sequence[float], limits: ClustersConfig
) -> SweepInput:
    return SweepInput(starts_of(store, pairs, thresholds), limits_of(limits), run.item_count)


def _united(forests: Sequence[Forest]) -> DataFrame:
    edges = [
        forest.grown.table.select(F.lit(number).alias("half"), *schemas.FOREST.names)
        for number, forest in enumerate(forests)
    ]
    return reduce(DataFrame.unionAll, edges)
