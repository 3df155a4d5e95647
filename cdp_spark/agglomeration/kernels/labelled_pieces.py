"""Pieces of scored pairs -> clusters without a threshold, how sure they are, and what each would join next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cdp_spark.agglomeration.kernels.agglomeration import Rule, agglomerated
from cdp_spark.agglomeration.kernels.centroids import Centroids
from cdp_spark.agglomeration.kernels.confidence import confidence
from cdp_spark.base.numeric.dense_numbers import numbered
from cdp_spark.networks.kernels.mlp import log_odds

Longs = NDArray[np.int64]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Clustered:
    """One entry per item, items rising.

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
        How probable it is that the two are one identity.
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
    """Agglomerate the pairs of any number of whole pieces.

    Parameters
    ----------
    src, dst : ndarray of int64, shape (m,)
        Items; a pair of an item with itself names an item that may have no other.
    score : ndarray of float32, shape (m,)
        Calibrated probabilities that the two are one identity.
    rule : Rule
    centroids : callable of ndarray of int64, optional
        Returns the centroids of items, where the rule reads vectors.

    Examples
    --------
    >>> found = clustered(np.array([7, 7, 9]), np.array([8, 9, 9]), np.float32([0.9, 0.2, 0.0]), Rule())
    >>> found.items.tolist(), found.root.tolist(), found.best_other.tolist()
    ([7, 8, 9], [7, 7, 9], [9, 9, 7])
    >>> found.confidence.astype(float).round(2).tolist()
    [0.72, 0.72, 0.8]
    """
    items, place = numbered(np.concatenate([src, dst]))
    a, b = place[: len(src)], place[len(src) :]
    near = None if centroids is None else centroids(items)
    found = agglomerated(a, b, z := log_odds(score), rule, count=len(items), centroids=near)
    sure = confidence(found, a, b, z)
    size = np.bincount(found.root, minlength=len(items))
    mean = np.bincount(found.root, weights=sure.item, minlength=len(items)) / np.maximum(size, 1)
    best = np.full(len(items), -np.inf, np.float32)
    real = a != b
    for ends in (a, b):
        np.maximum.at(best, ends[real], score[real])
    other = sure.best_other[found.root]
    return Clustered(
        items, items[found.root], size[found.root], np.where(np.isinf(best), np.float32(np.nan), best),
        sure.item, mean[found.root].astype(np.float32), np.where(other < 0, -1, items[other]),
        sure.other_probability[found.root],
    )  # fmt: skip
