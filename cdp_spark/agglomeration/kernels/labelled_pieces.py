"""Pieces of scored pairs -> clusters without a threshold, their confidence, and the cluster each would join next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cdp_spark.agglomeration.kernels.agglomeration import Agglomeration, Rule, agglomerated, partners
from cdp_spark.agglomeration.kernels.link_features import Centroids
from cdp_spark.agglomeration.kernels.links import ItemPairs
from cdp_spark.base.numeric.connected import connected_components
from cdp_spark.base.numeric.dense_numbers import numbered, positions
from cdp_spark.networks.kernels.mlp import log_odds, sigmoid

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
        See :func:`~cdp_spark.agglomeration.kernels.labelled_pieces.confidence`.
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


_UNIT = 2.0**30
"""Probabilities are rounded to multiples of 1 / _UNIT, so that their sums are exact in any order of the pairs."""


@dataclass(frozen=True)
class Confidence:
    """Confidence of items, and the best other cluster of each cluster.

    Attributes
    ----------
    item : ndarray of float32, shape (items,)
        Mean probability of the item's pairs inside its cluster (1 when alone), times the probability that its cluster
        and the best other are two.
    best_other : ndarray of int64, shape (items,)
        For each cluster, by name, the one that it would join next; -1: none is linked.
    other_probability : ndarray of float32, shape (items,)
        For each cluster, by name, the probability that it and the best other are one. At most .5, since they would
        otherwise have merged, except where the other has a better partner.
    """

    item: Floats
    best_other: Longs
    other_probability: Floats


def confidence(result: Agglomeration, src: Longs, dst: Longs, z: Floats) -> Confidence:
    """Compute the confidence of the clusters of an agglomeration.

    Parameters
    ----------
    result : Agglomeration
    src, dst, z : ndarray
        Its pairs.

    Examples
    --------
    >>> from cdp_spark.agglomeration.kernels.agglomeration import Rule, agglomerated
    >>> from cdp_spark.agglomeration.kernels.links import ItemPairs
    >>> pairs = np.array([0, 2]), np.array([1, 3]), np.float32([3.0, -3.0])
    >>> sure = confidence(agglomerated(ItemPairs(*pairs, 4), Rule()), *pairs)
    >>> (100 * sure.item).round().tolist(), sure.best_other.tolist()
    ([95.0, 95.0, 95.0, 95.0], [-1, -1, 3, 2])
    """
    count = len(result.root)
    inside = (result.root[src] == result.root[dst]) & (src != dst)
    probability = np.round(sigmoid(z[inside].astype(np.float64)) * _UNIT) / _UNIT
    ends = np.concatenate([src[inside], dst[inside]])
    pairs = np.bincount(ends, minlength=count)
    total = np.bincount(ends, weights=np.concatenate([probability, probability]), minlength=count)
    mean = np.divide(total, pairs, out=np.ones(count), where=pairs > 0)
    other, score = partners(result.links, count, above=-np.inf)
    joining = np.where(other >= 0, sigmoid(score), 0.0)
    item = (mean * (1 - joining[result.root])).astype(np.float32)
    return Confidence(item, other, joining.astype(np.float32))


STEP = 0.25


@dataclass(frozen=True)
class Pieces:
    """Pieces of the items that have a pair with z > 0; every other item is a piece.

    Attributes
    ----------
    items : ndarray of int64, ascending
    root : ndarray of int64
        Smallest item of the piece.
    level : ndarray of float32
        z above which the piece is a component; more than 0 where a larger one was cut.
    """

    items: Longs
    root: Longs
    level: Floats


def pieces(src: Longs, dst: Longs, z: Floats, *, most: int) -> Pieces:
    """Cut components of z > 0 until none has more than ``most`` items.

    Parameters
    ----------
    src, dst, z : ndarray
        Edges of the maximum spanning forest; those of all pairs give the same.
    most : int
        Items of a piece. Below the size of the largest identity it splits people; above it, cuts cost at most .008 of
        F in the prototype.

    Examples
    --------
    >>> cut = pieces(np.array([0, 1, 2]), np.array([1, 2, 3]), np.float32([3, 0.2, 2]), most=3)
    >>> cut.root.tolist(), cut.level.tolist()
    ([0, 0, 2, 2], [0.25, 0.25, 0.25, 0.25])
    """
    above = z > 0
    src, dst, z = src[above], dst[above], z[above]
    items, root = connected_components(src, dst)
    level = np.zeros(len(items), np.float32)
    bound = 0.0
    while True:
        piece = numbered(root)[1]
        large = (np.bincount(piece) > most)[piece]
        if not large.any():
            return Pieces(items, root, level)
        bound += STEP
        at = positions(items, src)
        within = large[at] & (z > bound)
        root[large], level[large] = items[large], bound
        some, roots = connected_components(src[within], dst[within])
        root[positions(items, some)] = roots
        src, dst, z = src[within], dst[within], z[within]
