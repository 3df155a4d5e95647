"""Evaluate every threshold of a grid on one forest, by the quality of its clusters.

In: the maximum spanning forest, and the label of each item. Out: pairwise and BCubed F by threshold; items without a
cluster count as clusters of one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cdp_spark.base.numeric.dense_numbers import numbered
from cdp_spark.clusters.kernels.dendrogram import Dendrogram
from cdp_spark.clusters.kernels.pruning import Limits, cut_by_code
from cdp_spark.clusters.kernels.spanning_forest import Edges

Longs = NDArray[np.int64]


@dataclass(frozen=True)
class CurvePoint:
    """Quality of the clusters at one threshold."""

    threshold: float
    pairwise_f: float
    bcubed_f: float
    clusters: int


def threshold_curve(
    forest: Edges,
    starts: Mapping[float, float],
    label: Longs,
    chosen: NDArray[np.bool_],
    *,
    limits: Limits,
) -> list[CurvePoint]:
    """Cluster at every threshold, by the code's rule, and evaluate some of the items.

    Parameters
    ----------
    forest : Edges
        Maximum spanning forest; ends are 0 to items - 1.
    starts : mapping of threshold to the smallest score above it, over all pairs and not only those of the forest
    label : ndarray of int64, shape (items,)
        Negative if unknown: such items connect others, but are not evaluated.
    chosen : ndarray of bool, shape (items,)
        Items that are evaluated, among all others.
    limits : Limits
    """
    tree = Dendrogram.of_forest(*forest)
    known = label >= 0
    curve = []
    for threshold, start in sorted(starts.items()):
        root = np.arange(len(label))
        pruned = cut_by_code(tree, threshold, start=start, limits=limits)
        root[pruned.items] = pruned.root
        curve.append(CurvePoint(float(threshold), *quality(root[known], label[known], chosen[known])))
    return curve


class Quality(NamedTuple):
    """Pairwise and BCubed F, and the number of clusters."""

    pairwise_f: float
    bcubed_f: float
    clusters: int


def quality(root: Longs, label: Longs, chosen: NDArray[np.bool_]) -> Quality:
    """Return the quality of the chosen items among all; F is 0 where it is undefined.

    Pairs with at least one chosen end count; BCubed averages over the chosen items.

    >>> every = np.ones(4, bool)
    >>> tuple(quality(np.array([0, 0, 2, 2]), np.array([5, 5, 5, 6]), every))
    (0.4, 0.7058823529411765, 2)
    """
    cluster, identity = numbered(root)[1], numbered(label)[1]
    cell = numbered(cluster * (int(identity.max(initial=0)) + 1) + identity)[1]
    both, predicted, true = (_ordered_pairs(group, chosen) for group in (cell, cluster, identity))
    pairwise = 2 * both / (predicted + true) if predicted + true else 0.0
    sizes = [np.bincount(group)[group][chosen] for group in (cell, cluster, identity)]
    precision, recall = (float((sizes[0] / size).mean()) if len(size) else 0.0 for size in sizes[1:])
    bcubed = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return Quality(float(pairwise), bcubed, len(np.unique(cluster[chosen])))


def _ordered_pairs(group: Longs, chosen: NDArray[np.bool_]) -> float:
    """Count the pairs within groups that have a chosen end."""
    every, others = np.bincount(group).astype(np.float64), np.bincount(group[~chosen]).astype(np.float64)
    return float((every * (every - 1)).sum() - (others * (others - 1)).sum()) / 2
