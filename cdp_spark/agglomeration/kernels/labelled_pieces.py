"""Pieces of scored pairs -> clusters without a threshold, their confidence, and the cluster each would join next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cdp_spark.agglomeration.kernels.agglomeration import Rule, agglomerated
from cdp_spark.agglomeration.kernels.centroids import Centroids
from cdp_spark.agglomeration.kernels.confidence import confidence
from cdp_spark.agglomeration.kernels.links import ItemPairs
from cdp_spark.base.numeric.dense_numbers import numbered
from cdp_spark.networks.kernels.mlp import log_odds

Longs = NDArray[np.int64]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Clustered:
    """One entry per item, items ascending.

    Attributes
    ----------
    items : ndarray of int64
    root : ndarray of int64
        Smallest item of the item's cluster.
    size : ndarray of int64
        Items of the cluster.
    best_score : ndarray of float32
        Largest score of the item's pairs; NaN where it has none.
    confidence : ndarray of float32
        See :func:`~cdp_spark.agglomeration.kernels.confidence.confidence`.
    cluster_confidence : ndarray of float32
        Mean over the items of the cluster.
    best_other : ndarray of int64
        Smallest item of the cluster that this one would join next; -1: none.
    best_other_probability : ndarray of float32
        Probability that the two are one identity.
    """

    items: Longs
    root: Longs
    size: Longs
    best_score: Floats
    confidence: Floats
    cluster_confidence: Floats
    best_other: Longs
    best_other_probability: Floats


def clustered(
    src: Longs, dst: Longs, score: Floats, rule: Rule, *, centroids: Callable[[Longs], Centroids | None] | None = None
) -> Clustered:
    """Agglomerate the pairs of one or more whole pieces.

    Parameters
    ----------
    src, dst : ndarray of int64, shape (m,)
        Items; a pair of an item with itself names an item that may have no other pair.
    score : ndarray of float32, shape (m,)
        Calibrated probabilities that the two are one identity.
    rule : Rule
    centroids : callable of ndarray of int64, optional
        Returns the centroids of items; needed where the rule reads vectors.

    Examples
    --------
    >>> result = clustered(np.array([7, 7, 9]), np.array([8, 9, 9]), np.float32([0.9, 0.2, 0.0]), Rule())
    >>> result.items.tolist(), result.root.tolist(), result.best_other.tolist()
    ([7, 8, 9], [7, 7, 9], [9, 9, 7])
    >>> result.confidence.astype(float).round(2).tolist()
    [0.72, 0.72, 0.8]
    """
    items, position = numbered(np.concatenate([src, dst]))
    a, b, z = position[: len(src)], position[len(src) :], log_odds(score)
    near = None if centroids is None else centroids(items)
    result = agglomerated(ItemPairs(a, b, z, len(items)), rule, centroids=near)
    sure, root = confidence(result, a, b, z), result.root
    size = np.bincount(root, minlength=len(items))
    mean = np.bincount(root, weights=sure.item, minlength=len(items)) / np.maximum(size, 1)
    best = np.full(len(items), -np.inf, np.float32)
    real = a != b
    for ends in (a, b):
        np.maximum.at(best, ends[real], score[real])
    other = sure.best_other[root]
    return Clustered(
        items, items[root], size[root], np.where(np.isinf(best), np.float32(np.nan), best),
        sure.item, mean[root].astype(np.float32), np.where(other < 0, -1, items[other]),
        sure.other_probability[root],
    )  # fmt: skip
