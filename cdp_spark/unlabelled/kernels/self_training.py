"""Self-training: the clusters of a set teach networks that know its models one by one.

In: pairs with log odds, their clusters, and features of each pair by model. Out: new log odds, each by networks that
have not learned from the pair. The networks see no log odds, so they cannot just repeat them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cdp_spark.base.numeric.uniform_hashes import uniform
from cdp_spark.networks.kernels.cross_fitting import cross_fitted, inside_weights
from cdp_spark.networks.kernels.mlp import Mlp
from cdp_spark.unlabelled.kernels.networks import Training, logits, trained

Longs = NDArray[np.int64]
Ints = NDArray[np.int32]
Halves = NDArray[np.float16]
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Bools = NDArray[np.bool_]

MOST_PAIRS = 500_000
LEAST_OF_A_KIND = 100
"""Fewer pairs inside clusters, or between them, teach nothing."""
CHUNK = 40
"""Items of a chunk of a larger cluster, which is divided so that it is in both halves."""

SPLITS = 2
_TRAINING = {"epochs": 8, "least_steps": 300}
_CHUNK_SALT, _HALF_SALT, _PAIR_SALT = 0x5E1F, 0x4A1F, 0x9A17


def half_of(item: Longs, root: Longs, size: Longs, split: int) -> NDArray[np.int8]:
    """Return the half, 0 or 1, of each item: that of its cluster, or of its chunk of a large one.

    Parameters
    ----------
    item, root, size : ndarray of int64, shape (n,)
        Item, name and size of its cluster. Each row is by itself: halves need no sort and no other row.
    split : int
    """
    chunks = np.maximum(1, np.round(size / CHUNK)).astype(np.int64)
    chunk = np.minimum((uniform(item, _CHUNK_SALT + 4 * split) * chunks).astype(np.int64), chunks - 1)
    drawn = uniform(root * np.int64(1_000_003) + chunk, _HALF_SALT + 4 * split)
    return (drawn < 0.5).astype(np.int8)


def drawn_pairs(src: Longs, dst: Longs, most: int = MOST_PAIRS, *, among: int) -> Bools:
    """Choose about ``most`` of ``among`` pairs by hash; all when there are no more."""
    if among <= most:
        return np.ones(len(src), bool)
    return uniform(src * np.int64(0x9E3779B1) + dst, _PAIR_SALT) < most / among


@dataclass(frozen=True)
class Taught:
    """The pairs of a set that networks learn from.

    Attributes
    ----------
    own : ndarray of float16, shape (m, 12 per model)
        See :class:`~cdp_spark.unlabelled.kernels.pair_features.PairNumbers`.
    same : ndarray of bool, shape (m,)
        Whether both ends are in one cluster.
    halves : ndarray of int8, shape (2, 2, m)
        By split and end.
    """

    own: Halves
    same: Bools
    halves: NDArray[np.int8]

    @property
    def enough(self) -> bool:
        """Whether both kinds of pairs are there for every network."""
        kinds = [self.same, ~self.same]
        if min(int(kind.sum()) for kind in kinds) < LEAST_OF_A_KIND:
            return False
        inside = [(one == half) & (other == half) for one, other in self.halves for half in (0, 1)]
        return all(bool((kind & some).any()) for kind in kinds for some in inside)


def self_trained(taught: Taught, *, seed: int = 0) -> tuple[Mlp, ...]:
    """Train a network per split and half, on the pairs inside that half. Only where there are ``enough``."""
    nets = []
    for split, (one, other) in enumerate(taught.halves):
        for half in (0, 1):
            weight = inside_weights(one, other, taught.same, half)
            rows = np.flatnonzero(weight)
            training = Training(**_TRAINING, seed=10 * seed + 2 * split + half)
            nets.append(trained(taught.own[rows], taught.same[rows].astype(np.float32), weight[rows], training))
    return tuple(nets)


def self_scored(nets: tuple[Mlp, ...], own: Halves, halves: NDArray[np.int8]) -> Doubles:
    """Return the log odds of pairs, of each split by the network that has not learned from the pair; mean over splits.

    Parameters
    ----------
    nets : tuple of Mlp
        From :func:`self_trained`.
    own : ndarray of float16, shape (m, 12 per model)
    halves : ndarray of int8, shape (2, 2, m)
    """
    total = np.zeros(len(own), np.float64)
    for split, (one, other) in enumerate(halves):
        by_half = logits(nets[2 * split], own), logits(nets[2 * split + 1], own)
        total += cross_fitted(by_half, one, other)
    return total / SPLITS


def mixed_odds(z: Floats, again: Doubles) -> Floats:
    """Return the mean of log odds by the mediator, shifted, and of those by self-training."""
    mixed: Floats = ((z + again) / 2).astype(np.float32)
    return mixed


def halves_of_ends(src: Longs, dst: Longs, root: Longs) -> NDArray[np.int8]:
    """Return the halves of both ends of the pairs of a whole set, by split and end; ``root`` by item."""
    size = np.bincount(root, minlength=len(root))[root]
    each = [half_of(np.arange(len(root)), root, size, split) for split in range(SPLITS)]
    return np.stack([np.stack([half[src], half[dst]]) for half in each])
