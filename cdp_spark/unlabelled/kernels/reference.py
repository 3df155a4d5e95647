"""Clusters without labels, threshold or setting, on one machine: the whole recipe on arrays.

In: vectors of the same items by one or more models, and the shipped mediator. Out: the cluster of each item, and facts
by which to trust it. The distributed stages are tested against this.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cdp_spark.base.numeric.unit_vectors import unit_rows
from cdp_spark.networks.kernels.mlp import log_odds, sigmoid
from cdp_spark.unlabelled.kernels.mediator import UnlabelledMediator, clusters_of, seen_around
from cdp_spark.unlabelled.kernels.self_training import (
    Taught,
    drawn_pairs,
    halves_of_ends,
    mixed_odds,
    self_scored,
    self_trained,
)
from cdp_spark.unlabelled.kernels.sets import Model, SetPairs
from cdp_spark.unlabelled.kernels.shift import (
    LEAST_RECALL,
    SHIFTS,
    TRUSTED,
    Agreement,
    Curve,
    agreement_of,
    likeness_of,
    shift_by_agreement,
    split_weights,
)
from cdp_spark.unlabelled.kernels.splits import (
    at_coordinates,
    coordinate_halves,
    coordinate_splits,
    distinct_models,
    distinct_rows,
    model_splits,
)

Longs = NDArray[np.int64]
Halves = NDArray[np.float16]
Floats = NDArray[np.float32]

UNBALANCED = 0.15
"""Difference of the halves' strength, in the most balanced split, from which on a run warns."""


@dataclass(frozen=True)
class Facts:
    """Facts of a run without labels.

    Attributes
    ----------
    shift : float
        Added to all log odds.
    halves : {"models", "coordinates", "none"}
        What was divided to choose it; none where nothing can be divided.
    agreement : float
        Agreement of the halves where the pairs agree best; the shift may lie below that (``Curve.trust``).
    curve : Curve or None
    strengths : tuple of (float, float)
        Share of the whole's pairs that each half also lists, by split.
    precision : float or None
        Predicted before self-training: mean probability of the pairs inside clusters; None without any.
    recall : float or None
        Likewise: the share of the sum of all probabilities that lies inside clusters.
    self_trained : bool
        Whether there were enough pairs for it.
    clusters : int
    models, distinct_rows : int
        Left after those given twice.
    """

    shift: float = 0.0
    halves: str = "none"
    agreement: float = 0.0
    curve: Curve | None = None
    strengths: tuple[tuple[float, float], ...] = ()
    precision: float | None = None
    recall: float | None = None
    self_trained: bool = False
    clusters: int = 0
    models: int = 0
    distinct_rows: int = 0

    @property
    def warnings(self) -> list[str]:
        """Reasons not to trust the clusters, as single words: agreement, recall, end_of_range, unbalanced."""
        if self.curve is None:
            return []
        apart = [abs(one - other) for one, other in self.strengths]
        reasons = {
            "agreement": self.agreement < TRUSTED,
            "recall": self.recall is not None and self.recall < LEAST_RECALL,
            "end_of_range": self.shift in (SHIFTS[0], SHIFTS[-1]),
            "unbalanced": min(apart) > UNBALANCED,
        }
        return [name for name, holds in reasons.items() if holds]


@dataclass(frozen=True)
class Scored:
    """Pairs of a set or of a half, with the log odds of both looks."""

    pairs: SetPairs
    z: Floats

    @classmethod
    def of(cls, models: Sequence[Model], mediator: UnlabelledMediator) -> Scored:
        """Score the pairs of some models."""
        pairs = SetPairs.of(models)
        features = pairs.numbers.features
        seen = seen_around(pairs.src, pairs.dst, mediator.first_look(features))
        return cls(pairs, mediator.second_look(features, seen))

    def clusters(self, shift: float, mediator: UnlabelledMediator) -> Longs:
        """Return the clusters at a shift."""
        return clusters_of(self.pairs.src, self.pairs.dst, self.z + np.float32(shift), mediator.rule, self.pairs.count)


def cluster_without_labels(
    models: Sequence[NDArray[Any]], mediator: UnlabelledMediator, *, coarse: bool = True, self_train: bool = True
) -> tuple[Longs, Facts]:
    """Cluster items from vectors alone.

    Parameters
    ----------
    models : sequence of ndarray of float, shape (n, d)
        At least one; row i of each is of item i, none of length 0.
    mediator : UnlabelledMediator
    coarse : bool
        Whether every second shift is looked at first.
    self_train : bool

    Returns
    -------
    labels : ndarray of int64, shape (n,)
        First row of each row's cluster.
    facts : Facts
    """
    halves = [unit_rows(np.asarray(vectors))[0] for vectors in models]
    halves = [halves[number] for number in distinct_models(halves)]
    if not len(halves[0]):
        return np.empty(0, np.int64), Facts(models=len(halves))
    kept, number = distinct_rows(halves)
    root, facts = _clustered([Model.of(vectors[kept]) for vectors in halves], mediator, coarse, self_train)
    clusters = len(np.unique(root))
    return kept[root][number], replace(facts, clusters=clusters, models=len(halves), distinct_rows=len(kept))


def _clustered(
    models: list[Model], mediator: UnlabelledMediator, coarse: bool, self_train: bool
) -> tuple[Longs, Facts]:
    """Do steps 2 to 6 for distinct rows."""
    whole = Scored.of(models, mediator)
    at = _Clusterings(whole, mediator)
    facts = _chosen_shift(models, at, coarse)
    z = as_stored(whole.z + np.float32(facts.shift))
    root = clusters_of(whole.pairs.src, whole.pairs.dst, z, mediator.rule, whole.pairs.count)
    inside = root[whole.pairs.src] == root[whole.pairs.dst]
    probability = sigmoid(z.astype(np.float64))
    precision = float(probability[inside].mean()) if inside.any() else None
    recall = float(probability[inside].sum() / probability.sum()) if len(z) else None
    facts = replace(facts, precision=precision, recall=recall)
    again = _taught_by_clusters(whole, root) if self_train else None
    if again is None:
        return root, facts
    mixed = as_stored(mixed_odds(whole.z + np.float32(facts.shift), again))
    root = clusters_of(whole.pairs.src, whole.pairs.dst, mixed, mediator.rule, whole.pairs.count)
    return root, replace(facts, self_trained=True)


def as_stored(z: Floats) -> Floats:
    """Return log odds as they come back from the probabilities that a run stores."""
    return log_odds(sigmoid(z.astype(np.float64)).astype(np.float32))


class _Clusterings:
    """Clusters of one set of scored pairs at indices of ``SHIFTS``, each made once."""

    def __init__(self, scored: Scored, mediator: UnlabelledMediator) -> None:
        self.scored, self.mediator = scored, mediator
        self._known: dict[int, Longs] = {}

    def __call__(self, index: int) -> Longs:
        if index not in self._known:
            self._known[index] = self.scored.clusters(float(SHIFTS[index]), self.mediator)
        return self._known[index]


def _chosen_shift(models: list[Model], whole: _Clusterings, coarse: bool) -> Facts:
    """Choose the shift by halves of the models; where these do not agree enough, by halves of the coordinates."""
    facts = Facts()
    if len(models) > 1:
        kept: dict[tuple[int, ...], _Clusterings] = {}
        splits = []
        for split in model_splits(len(models)):
            for half in split:
                if half not in kept:
                    kept[half] = _Clusterings(Scored.of([models[m] for m in half], whole.mediator), whole.mediator)
            splits.append((kept[split[0]], kept[split[1]]))
        facts = _by_halves(splits, whole, "models", coarse)
    if len(models) == 1 or facts.agreement < TRUSTED:
        facts = _by_halves(_coordinates(models, whole.mediator), whole, "coordinates", coarse)
    return facts


def _coordinates(models: list[Model], mediator: UnlabelledMediator) -> list[tuple[_Clusterings, _Clusterings]]:
    splits = []
    for number in range(coordinate_splits(len(models))):
        each = [coordinate_halves(model.vectors.shape[1], 100 * number + m) for m, model in enumerate(models)]
        one, other = (
            Scored.of(
                [Model.of(at_coordinates(m.vectors, rows[half])) for m, rows in zip(models, each, strict=True)],
                mediator,
            )
            for half in (0, 1)
        )
        splits.append((_Clusterings(one, mediator), _Clusterings(other, mediator)))
    return splits


def _by_halves(splits: list[tuple[_Clusterings, _Clusterings]], whole: _Clusterings, kind: str, coarse: bool) -> Facts:
    strengths = tuple((_strength(whole, one), _strength(whole, other)) for one, other in splits)

    def agreements(indices: Sequence[int]) -> dict[int, list[Agreement]]:
        return {at: [agreement_of(one(at), other(at), whole(at)) for one, other in splits] for at in indices}

    def likeness(top: int, indices: Sequence[int]) -> dict[int, list[float]]:
        return {at: [likeness_of(one(top), other(top), whole(at)) for one, other in splits] for at in indices}

    curve = shift_by_agreement(agreements, likeness, split_weights(strengths), coarse=coarse)
    return Facts(float(SHIFTS[curve.chosen]), kind, curve.trust, curve, strengths)


def _strength(whole: _Clusterings, half: _Clusterings) -> float:
    """Return the share of the whole's pairs that a half also lists."""
    count = np.int64(whole.scored.pairs.count)
    ours, theirs = (each.scored.pairs.src * count + each.scored.pairs.dst for each in (whole, half))
    return float(np.isin(ours, theirs).mean()) if len(ours) else 0.0


def _taught_by_clusters(whole: Scored, root: Longs) -> NDArray[np.float64] | None:
    """Return log odds by networks that have learned from the clusters; None where there is too little to learn from."""
    pairs = whole.pairs
    halves, same = halves_of_ends(pairs.src, pairs.dst, root), root[pairs.src] == root[pairs.dst]
    rows = np.flatnonzero(drawn_pairs(pairs.src, pairs.dst, among=len(same)))
    taught = Taught(pairs.numbers.own[rows], same[rows], halves[:, :, rows])
    if not taught.enough:
        return None
    return self_scored(self_trained(taught), pairs.numbers.own, halves)
