"""Judge every threshold of a grid on one forest: the quality of the clusters that each would give.

In: the maximum spanning forest, and the label of each item. Out: pairwise and BCubed F by threshold, items without a
cluster counting as clusters of one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cdp_spark.base.numeric.dense_numbers import numbered
from cdp_spark.clusters.kernels.dendrogram import Dendrogram
from cdp_spark.clusters.kernels.pruning import Limits, cut_by_code

Longs = NDArray[np.int64]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Judgement:
    """Quality of the clusters at one threshold."""

    threshold: float
    pairwise_f: float
    bcubed_f: float
    clusters: int


def threshold_curve(
    tree: tuple[Longs, Longs, Floats],
    starts: Mapping[float, float],
    label: Longs,
    chosen: NDArray[np.bool_],
    *,
    limits: Limits,
) -> list[Judgement]:
    """Cluster at every threshold, by the code's rule, and judge some of the items.

    Parameters
    ----------
    tree : src, dst, score
        Maximum spanning forest; ends are 0 to items - 1.
    starts : mapping of threshold to the smallest score above it, over all pairs and not only the forest's
    label : ndarray of int64, shape (items,)
        Negative where it is not known: such items link others, and are not judged.
    chosen : ndarray of bool, shape (items,)
        Items that are judged, among all the others.
    limits : Limits
    """
    merges = Dendrogram.of_forest(*tree)
    known = label >= 0
    found = []
    for threshold, start in sorted(starts.items()):
        root = np.arange(len(label))
        pruned = cut_by_code(merges, threshold, start=start, limits=limits)
        root[pruned.items] = pruned.root
        found.append(Judgement(float(threshold), *judged(root[known], label[known], chosen[known])))
    return found


def judged(root: Longs, label: Longs, chosen: NDArray[np.bool_]) -> tuple[float, float, int]:
    """Return pairwise F, BCubed F and the number of clusters, of the chosen items among all; 0 where F is undefined.

    Pairs with at least one chosen end count; BCubed averages over the chosen items.

    >>> every = np.ones(4, bool)
    >>> judged(np.array([0, 0, 2, 2]), np.array([5, 5, 5, 6]), every)
    (0.4, 0.7058823529411765, 2)
    """
    cluster, identity = numbered(root)[1], numbered(label)[1]
    cell = numbered(cluster * (int(identity.max(initial=0)) + 1) + identity)[1]
    both, predicted, true = (_ordered_pairs(group, chosen) for group in (cell, cluster, identity))
    pairwise = 2 * both / (predicted + true) if predicted + true else 0.0
    sizes = [np.bincount(group)[group][chosen] for group in (cell, cluster, identity)]
    precision, recall = (float((sizes[0] / size).mean()) if len(size) else 0.0 for size in sizes[1:])
    bcubed = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return float(pairwise), bcubed, len(np.unique(cluster[chosen]))


def _ordered_pairs(group: Longs, chosen: NDArray[np.bool_]) -> float:
    """Count the pairs within groups that have a chosen end."""
    every, others = np.bincount(group).astype(np.float64), np.bincount(group[~chosen]).astype(np.float64)
    return float((every * (every - 1)).sum() - (others * (others - 1)).sum()) / 2
