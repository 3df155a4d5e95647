"""Checked vectors -> probabilities of pairs, without labels, threshold or setting: the durable order.

Items that are the same in all models, and models that are the same in all items, count once (``distinct``). Then
lists and backgrounds of every model, the joint view, two looks at every pair (``looks_flow``), the shift at which
halves agree most (``shift_flow``), clusters at that shift, and networks that these teach.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pyspark.sql import DataFrame

from cdp_spark.agglomeration.flow import ClusterMediator, Labelled, agglomerated_items
from cdp_spark.agglomeration.kernels.agglomeration import Rule
from cdp_spark.base import schemas
from cdp_spark.clusters.flow import forest_of, graph_at
from cdp_spark.config.sections import SHIPPED, fingerprint
from cdp_spark.config.whole import RunConfig
from cdp_spark.intake.flow import Intake, Vectors
from cdp_spark.networks.kernels.mlp import Ensemble
from cdp_spark.runs import register
from cdp_spark.runs.stage_store import StageResult, StageStore
from cdp_spark.scoring.flow import Decision, Expansion, Scored
from cdp_spark.spark.keyed_table import KeyedTable
from cdp_spark.unlabelled import distinct
from cdp_spark.unlabelled import self_training as teaching
from cdp_spark.unlabelled.kernels.joint_view import NEAREST
from cdp_spark.unlabelled.kernels.networks import logits
from cdp_spark.unlabelled.kernels.shift import LEAST_RECALL, SHIFTS, TRUSTED
from cdp_spark.unlabelled.kernels.splits import distinct_halves, model_splits
from cdp_spark.unlabelled.looks_flow import Models, Shipped, Wanted, joint_view, log_odds, searched
from cdp_spark.unlabelled.moved_pairs import moved_pairs
from cdp_spark.unlabelled.sample_flow import Sizes, sampled
from cdp_spark.unlabelled.shift_flow import Chosen, Whole, chosen_shift
from cdp_spark.unlabelled.shipped import load_unlabelled
from cdp_spark.unlabelled.unlabelled_tables import DUPLICATES

_VERSION = register.UNLABELLED_PAIRS.version

_TOGETHER = 0.5
_UNBALANCED = 0.15
"""Difference of the halves' strength, in the most balanced split, from which on a run warns."""


class ShippedClusters(ClusterMediator):
    """The cluster mediator that ships: reads links of the joint view, whose full lists have 15, whatever ``knn.k``."""

    def rule(self, k: int) -> Rule:
        """Return how it scores links."""
        net = self.net.nets[0]
        return Rule(lambda features: logits(net, features), NEAREST)


def mediator_without_labels(name: str | None = None) -> Shipped:
    """Load a mediator that needs no labels: the one that ships, or one of ``cdp-spark train --simulated``.

    Parameters
    ----------
    name : str, optional
        ``consensus.mediator``.

    Raises
    ------
    ConfigError
        If it is missing, damaged or of another version.
    """
    mediator, card = load_unlabelled() if name in (None, SHIPPED) else load_unlabelled(name)
    # Loading has compared the card's hash with the weights.
    return Shipped(mediator, fingerprint("shipped", card["sha256"], card["format"]))


def scored_without_labels(store: StageStore, intake: Intake, config: RunConfig, sizes: Sizes | None = None) -> Scored:
    """Score every candidate pair without labels.

    Parameters
    ----------
    store : StageStore
    intake : Intake
    config : RunConfig
        ``knn`` without its ``k``, ``clusters.piece_items`` and ``forest.task_edges`` count.
    sizes : Sizes, optional
        Default: those of the config.
    """
    sizes = sizes or Sizes(task_edges=config.forest.task_edges)
    known = mediator_without_labels(config.consensus.mediator)
    same_as = _distinct_models(store, intake)
    vectors, repeated = _distinct_items(store, [intake.vectors[name] for name in intake.models if name not in same_as])
    models = searched(store, vectors, config.knn)
    splits = model_splits(len(vectors))
    view = joint_view(store, models, _subsets(len(vectors), splits))
    whole = log_odds(store, view, Wanted("whole", (0,)), known)
    highest = KeyedTable(teaching.first_scores(whole.table, float(SHIFTS[-1])), whole.rows, whole.fingerprint)
    sample = sampled(store, (models.graphs[0].table, models.items), highest, sizes)
    chosen = chosen_shift(store, Whole(view, whole, sample), splits, config.knn, known)
    first = _at_shift(store, whole, chosen)
    labelled = _first_clusters(store, models, first, config, _cluster_mediator(known))
    pairs, facts = _taught(store, whole, (first, labelled.items), chosen)
    facts |= _curve_facts(chosen) | {
        "models": len(vectors), "same_as": same_as, "distinct_items": models.items, "repeated_items": repeated.rows,
        "granularity": config.consensus.granularity, "scored_pairs": pairs.fingerprint,
    }  # fmt: skip
    pairs = at_granularity(store, pairs, config.consensus.granularity)
    graphs = {graph.vectors.model: graph for graph in models.graphs}
    all_graphs = {name: graphs[same_as.get(name, name)] for name in intake.models}
    asked = config.consensus.threshold
    decision = without_labels(_TOGETHER if asked == "auto" else float(asked), repeated, config.consensus.mediator)
    warnings = [*_warnings(chosen, facts["predicted_recall"]), *labelled.warnings]
    return Scored(pairs, decision, all_graphs, "without_labels", facts, warnings)


def without_labels(threshold: float, repeated: StageResult, mediator: str | None) -> Decision:
    """Return what clustering does with scores of this way.

    Parameters
    ----------
    threshold : float
    repeated : StageResult (``unlabelled_tables.DUPLICATES``)
        Items that get the label of the one that they repeat.
    mediator : str, optional
        As the config names it.
    """
    return Decision(threshold, _cluster_mediator(mediator_without_labels(mediator)), _expansion(repeated))


def _cluster_mediator(known: Shipped) -> ClusterMediator:
    return ShippedClusters(Ensemble((known.mediator.clusters,)))


def at_granularity(store: StageStore, pairs: StageResult, granularity: float) -> StageResult:
    """Add a number to the log odds of all pairs; at 0 they stay as they are.

    Parameters
    ----------
    store : StageStore
    pairs : StageResult (``schemas.SCORED_PAIRS``)
    granularity : float
        More than 0: coarser clusters.
    """
    return moved_pairs(store, register.UNLABELLED_PAIRS, "granularity", pairs, granularity)


def _distinct_models(store: StageStore, intake: Intake) -> dict[str, str]:
    """Return the models whose vectors are those of an earlier one, and which that is."""
    if len(intake.models) < 2:
        return {}
    keys = [intake.vectors[name].fingerprint for name in intake.models]

    def contents() -> dict[str, Any]:
        return {name: distinct.content(intake.vectors[name].table) for name in intake.models}

    each = store.facts(register.MODEL_CONTENTS, fingerprint("contents", _VERSION, keys), contents)
    firsts: dict[str, str] = {}
    same_as = {}
    for name in intake.models:
        text = fingerprint(each[name], intake.vectors[name].dimension)
        if firsts.setdefault(text, name) != name:
            same_as[name] = firsts[text]
    return same_as


def _distinct_items(store: StageStore, vectors: list[Vectors]) -> tuple[list[Vectors], StageResult]:
    """Leave out the items that repeat another in every model."""
    key = fingerprint("duplicates", _VERSION, [each.fingerprint for each in vectors])
    tables = [each.table for each in vectors]
    repeated = store.stage(register.REPEATED_ITEMS, key, lambda: distinct.duplicates(tables), schema=DUPLICATES)
    if not repeated.rows:
        return vectors, repeated
    return [
        Vectors(
            distinct.without(each.table, repeated.table), each.rows - repeated.rows,
            fingerprint(each.fingerprint, key), each.model, each.dimension,
        )
        for each in vectors
    ], repeated  # fmt: skip


def _subsets(models: int, splits: Sequence[tuple[tuple[int, ...], tuple[int, ...]]]) -> tuple[tuple[int, ...], ...]:
    """Return all models, then the distinct halves."""
    return (tuple(range(models)), *distinct_halves(splits))


def _at_shift(store: StageStore, whole: StageResult, chosen: Chosen) -> StageResult:
    key = fingerprint("first_scores", _VERSION, whole.fingerprint, chosen.shift)
    build = lambda: teaching.first_scores(whole.table, chosen.shift)  # noqa: E731
    return store.stage(register.UNLABELLED_PAIRS, key, build, schema=schemas.SCORED_PAIRS)


def _first_clusters(
    store: StageStore, models: Models, pairs: StageResult, config: RunConfig, net: ClusterMediator
) -> Labelled:
    """Return the clusters that teach the networks."""
    learned = config.model_copy(update={"clusters": config.clusters.chosen(rule="learned")})
    forest = forest_of(store, models.items, pairs, config.forest.task_edges)
    graph = graph_at(store, forest, pairs, learned, _TOGETHER)
    return agglomerated_items(store, pairs, graph.whole_components, learned, net)


def _taught(
    store: StageStore, whole: StageResult, first: tuple[StageResult, StageResult], chosen: Chosen
) -> tuple[StageResult, dict[str, Any]]:
    """Train networks on the clusters, and mix their log odds with the mediator's."""
    pairs, labelled = first
    key = fingerprint("taught", _VERSION, pairs.fingerprint, labelled.fingerprint)

    def clustered() -> DataFrame:
        return teaching.with_clusters(whole.table, labelled.table, item_count=labelled.rows)

    predicted = store.facts(
        register.PRECISION, key,
        lambda: teaching.predicted_quality(pairs.table, labelled.table, item_count=labelled.rows),
    )  # fmt: skip
    taught = store.stage(
        register.TAUGHT, key, lambda: teaching.taught_pairs(clustered(), pair_count=whole.rows), schema=teaching.TAUGHT
    )
    networks = store.stage(register.NETWORKS, key, lambda: teaching.networks(taught.table), schema=teaching.NETWORKS)
    facts = {f"predicted_{name}": value for name, value in predicted.items()} | {"self_trained": networks.rows > 0}
    if not networks.rows:
        return pairs, facts
    nets = teaching.loaded(networks.table.collect()[0]["networks"])
    final = store.stage(
        register.UNLABELLED_PAIRS, fingerprint("final", key),
        lambda: teaching.final_scores(clustered(), nets, chosen.shift),
        schema=schemas.SCORED_PAIRS,
    )  # fmt: skip
    return final, facts


def _expansion(repeated: StageResult) -> Expansion | None:
    if not repeated.rows:
        return None
    return Expansion(
        lambda labelled: distinct.with_duplicates(labelled, repeated.table), 2 * repeated.rows, repeated.fingerprint
    )


def _curve_facts(chosen: Chosen) -> dict[str, Any]:
    curve = chosen.curve
    rows = zip(SHIFTS, curve.score, curve.smooth, curve.agreement, curve.items, curve.looked_at, strict=True)
    return {
        "shift": chosen.shift, "halves": chosen.halves, "agreement": round(chosen.agreement, 4),
        "compared_items": chosen.compared,
        "strengths": [[round(one, 4), round(other, 4)] for one, other in chosen.strengths],
        "curve": [
            {
                "shift": float(shift), "score": round(float(score), 4), "smooth": round(float(smooth), 4),
                "agreement": round(float(agreement), 4), "items": round(float(items), 4), "looked_at": bool(seen),
            }
            for shift, score, smooth, agreement, items, seen in rows
        ],
    }  # fmt: skip


def _warnings(chosen: Chosen, recall: float | None) -> list[str]:
    apart = min(abs(one - other) for one, other in chosen.strengths)
    warnings = []
    if chosen.agreement < TRUSTED:
        warnings.append(
            f"without labels: halves of the {chosen.halves} agree to {chosen.agreement:.2f} only, less than "
            f"{TRUSTED:g}: do not trust these clusters before you have looked at some; label a few identities and train"
        )
    if recall is not None and recall < LEAST_RECALL:
        warnings.append(
            f"without labels: these clusters are predicted to hold {recall:.2f} only of the true pairs, less than "
            f"{LEAST_RECALL:g}: large identities may lie in many parts: look at some clusters; add a better model, or "
            "label a few identities and train"
        )
    if chosen.shift in (SHIFTS[0], SHIFTS[-1]):
        warnings.append(
            f"without labels: the shift {chosen.shift:g} lies at the end of its range: the best one may lie beyond"
        )
    if apart > _UNBALANCED:
        warnings.append(
            f"without labels: the halves that were compared differ much in strength (by {apart:.2f} at least, more "
            f"than {_UNBALANCED:g}): the shift is less sure"
        )
    return warnings
