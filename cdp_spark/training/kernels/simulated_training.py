"""Train the mediator without labels, on simulated sets alone, with equal weight for each.

In: seeds of sets. Out: the networks of both looks at a pair, cross-fitted over the sets, and the cluster mediator,
which learns from agglomerations of every set by held-out log odds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cdp_spark.agglomeration.kernels.agglomeration import Rule
from cdp_spark.agglomeration.kernels.link_features import MEAN
from cdp_spark.networks.kernels.mlp import MOST_ODDS, Mlp
from cdp_spark.training.kernels.cluster_examples import LabelledPairs, LinkExamples, joined, link_examples
from cdp_spark.training.kernels.simulation import simulated_set
from cdp_spark.unlabelled.kernels.joint_view import NEAREST
from cdp_spark.unlabelled.kernels.mediator import UnlabelledMediator, seen_around, with_around
from cdp_spark.unlabelled.kernels.networks import Training, logits, trained
from cdp_spark.unlabelled.kernels.sets import Model, SetPairs

Longs = NDArray[np.int64]
Float16s = NDArray[np.float16]
Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]

MOST_ITEMS = 6_500
LEAST_RIGHT = 0.6
"""Least share of the items with a partner whose nearest neighbour is one; other sets are left out."""

FOLDS = 3
PAIRS_OF_A_SET = 1_800
LINKS_OF_A_SET = 3_000
_PAIR_EPOCHS, _LINK_EPOCHS = 4, 6

Report = Callable[[str], object]


@dataclass(frozen=True)
class TaughtSet:
    """A simulated set, from which the mediator learns.

    Attributes
    ----------
    seed : int
    src, dst : ndarray of int32, shape (m,)
        Sorted.
    features : ndarray of float16, shape (m, 85)
    same : ndarray of bool, shape (m,)
    identity : ndarray of int64, shape (n,)
    """

    seed: int
    src: NDArray[np.int32]
    dst: NDArray[np.int32]
    features: Float16s
    same: Bools
    identity: Longs

    def __len__(self) -> int:
        return len(self.src)

    @property
    def ends(self) -> tuple[Longs, Longs]:
        """Both ends of the pairs as 64-bit integers."""
        return self.src.astype(np.int64), self.dst.astype(np.int64)


@dataclass(frozen=True)
class Losses:
    """Mean held-out log loss of both looks over the sets, and the number of links."""

    first_look: float
    second_look: float
    links: int


def taught_sets(seeds: Iterable[int], report: Report = str) -> list[TaughtSet]:
    """Draw sets and compute their pairs, without large and hopeless sets."""
    sets = []
    for seed in seeds:
        if (drawn := taught_set(seed)) is not None:
            sets.append(drawn)
            report(f"set {seed}: {len(drawn.identity)} items, {len(drawn)} pairs, {drawn.same.mean():.0%} true")
    return sets


def taught_set(seed: int) -> TaughtSet | None:
    """Draw one set; None if it is left out."""
    drawn = simulated_set(seed)
    if len(drawn.identity) > MOST_ITEMS:
        return None
    pairs = SetPairs.of([Model.of(vectors) for vectors in drawn.models])
    identity = drawn.identity
    alone = np.bincount(identity)[identity] == 1
    if not (identity[pairs.nearest] == identity)[~alone].mean() >= LEAST_RIGHT:
        return None
    same = identity[pairs.src] == identity[pairs.dst]
    ends = pairs.src.astype(np.int32), pairs.dst.astype(np.int32)
    return TaughtSet(seed, *ends, pairs.numbers.features, same, identity)


def trained_mediator(sets: Sequence[TaughtSet], seed: int, report: Report = str) -> tuple[UnlabelledMediator, Losses]:
    """Train a mediator on sets.

    Parameters
    ----------
    sets : sequence of TaughtSet
        At least three; 150 are as good as 300, 25 are worse.
    seed : int
        Seed of folds, chosen pairs and initial weights.
    report : callable of str, optional
        Receives a line per step.
    """
    fold = np.random.default_rng(seed).permutation(len(sets)) % FOLDS
    first = _looked(sets, fold, None, seed)
    held = [logits(first[fold[k]], each.features).astype(np.float32) for k, each in enumerate(sets)]
    first_loss = _mean_loss(sets, held)
    report(f"first look: held-out log loss {first_loss:.4f}")
    seen = [seen_around(*each.ends, z) for each, z in zip(sets, held, strict=True)]
    second = _looked(sets, fold, seen, seed)
    held = [
        logits(second[fold[k]], with_around(each.features, seen[k])).astype(np.float32) for k, each in enumerate(sets)
    ]
    second_loss = _mean_loss(sets, held)
    report(f"second look: held-out log loss {second_loss:.4f}")
    clusters, links = _cluster_net(sets, held, seed)
    return UnlabelledMediator(first, second, clusters), Losses(first_loss, second_loss, links)


def _looked(sets: Sequence[TaughtSet], fold: Longs, seen: Sequence[Floats] | None, seed: int) -> tuple[Mlp, ...]:
    """Train a network per fold, on the sets of the other folds."""
    chosen = [_chosen(len(each), PAIRS_OF_A_SET, np.random.default_rng(seed)) for each in sets]
    networks = []
    for number in range(FOLDS):
        features, target, weight = [], [], []
        for i in np.flatnonzero(fold != number).tolist():
            each, rows = sets[i], chosen[i]
            some = each.features[rows]
            features.append(some if seen is None else with_around(some, seen[i][rows]))
            target.append(each.same[rows].astype(np.float32))
            weight.append(np.full(len(rows), 1 / len(rows)))
        training = Training(epochs=_PAIR_EPOCHS, seed=seed + number)
        networks.append(trained(np.concatenate(features), np.concatenate(target), np.concatenate(weight), training))
    return tuple(networks)


def _chosen(count: int, most: int, rng: np.random.Generator) -> Longs:
    rows: Longs = np.sort(rng.permutation(count)[:most])
    return rows


def _mean_loss(sets: Sequence[TaughtSet], held: Sequence[Floats]) -> float:
    each = [np.logaddexp(0, np.where(one.same, -z, z)).mean() for one, z in zip(sets, held, strict=True)]
    return float(np.mean(each))


def _cluster_net(sets: Sequence[TaughtSet], held: Sequence[Floats], seed: int) -> tuple[Mlp, int]:
    """Train the cluster mediator in two passes, by the mean z and by the first net."""
    rng, training = np.random.default_rng(seed), Training(epochs=_LINK_EPOCHS, seed=seed)

    def examples_of(rule: Rule) -> list[LinkExamples]:
        return [_links_of(each, z, rule, rng) for each, z in zip(sets, held, strict=True)]

    def learned(examples: list[LinkExamples]) -> Mlp:
        every = joined(examples)
        return trained(every.features, every.same, every.weight, training)

    examples = examples_of(Rule(lambda features: features[:, MEAN].astype(np.float64), k=NEAREST))
    net = learned(examples)
    examples += examples_of(Rule(lambda features: logits(net, features), k=NEAREST))
    return learned(examples), sum(len(each.same) for each in examples)


def _links_of(each: TaughtSet, z: Floats, rule: Rule, rng: np.random.Generator) -> LinkExamples:
    """Take some of a set's links, with equal total weight for every set."""
    clipped = np.clip(z, -MOST_ODDS, MOST_ODDS)
    everyone = np.ones(len(each.identity), bool)
    examples = link_examples(LabelledPairs(*each.ends, clipped, each.identity, everyone), rule)
    rows = rng.permutation(len(examples.same))[:LINKS_OF_A_SET]
    weight = examples.weight[rows] / max(float(examples.weight[rows].sum()), 1e-12)
    return LinkExamples(examples.features[rows], examples.same[rows], weight.astype(np.float32))
