"""Judge every threshold of a grid on one forest: the quality of the clusters that each would give.

In: scored pairs that one process holds, and the label of each item. Out: pairwise and BCubed F by threshold, items
without a cluster counting as clusters of one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cdp_spark.kernels.forest import maximum_spanning_forest
from cdp_spark.kernels.pruning import Limits, prune_by_code

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
    src: Longs, dst: Longs, score: Floats, label: Longs, *, thresholds: Sequence[float], limits: Limits
) -> list[Judgement]:
    """Cluster at every threshold, by the code's rule, and judge.

    Parameters
    ----------
    src, dst : ndarray of int64, shape (m,)
        Ends, 0 to items - 1.
    score : ndarray of float32, shape (m,)
    label : ndarray of int64, shape (items,), 0 or more
    thresholds : sequence of float
    limits : Limits
    """
    tree = maximum_spanning_forest(src, dst, score)
    found = []
    for threshold in thresholds:
        root = np.arange(len(label))
        above = score[score > threshold]
        if len(above):
            kept = tree[score[tree] > threshold]
            pruned = prune_by_code(src[kept], dst[kept], score[kept], start=float(above.min()), limits=limits)
            root[pruned.items] = pruned.root
        found.append(Judgement(float(threshold), *judged(root, label)))
    return found


def judged(root: Longs, label: Longs) -> tuple[float, float, int]:
    """Return pairwise F, BCubed F and the number of clusters; 0 where F is undefined.

    >>> judged(np.array([0, 0, 2, 2]), np.array([5, 5, 5, 6]))
    (0.4, 0.7058823529411765, 2)
    """
    cluster, cluster_size = _sizes(root)
    identity, identity_size = _sizes(label)
    cells, counts = np.unique(cluster * len(identity_size) + identity, return_counts=True)
    squares = counts.astype(np.float64) ** 2
    items = len(root)
    together = 2 * (squares.sum() - items)
    of_all = (cluster_size.astype(np.float64) ** 2).sum() + (identity_size.astype(np.float64) ** 2).sum() - 2 * items
    precision = (squares / cluster_size[cells // len(identity_size)]).sum() / max(items, 1)
    recall = (squares / identity_size[cells % len(identity_size)]).sum() / max(items, 1)
    pairwise = together / of_all if of_all else 0.0
    return float(pairwise), float(2 * precision * recall / (precision + recall)) if items else 0.0, len(cluster_size)


def _sizes(group: Longs) -> tuple[Longs, Longs]:
    _, number, counts = np.unique(group, return_inverse=True, return_counts=True)
    return number, counts
