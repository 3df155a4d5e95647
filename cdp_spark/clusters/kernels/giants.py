"""Describe a giant component: the threshold at which it falls apart, and the edges that join its large pieces."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cdp_spark.base.compiled import compiled
from cdp_spark.clusters.kernels.dendrogram import Dendrogram

Longs = NDArray[np.int64]


@dataclass(frozen=True)
class Giant:
    """The largest component at a threshold.

    Attributes
    ----------
    component : int
        Its smallest item.
    size : int
    falls_apart : float
        At this threshold and above, none of its pieces holds more than half of its items.
    bridges : ndarray of int64
        Merges of its largest pieces (by the smaller of the two), the weakest first.
    """

    component: int
    size: int
    falls_apart: float
    bridges: Longs


def largest_component(tree: Dendrogram, threshold: float, *, most_bridges: int = 5) -> Giant | None:
    """Describe the largest component at score > threshold, if there is one.

    Among equally large components it is the one with the smallest item.

    Examples
    --------
    >>> src, dst = np.array([1, 2, 3, 4, 5]), np.array([2, 3, 4, 5, 6])
    >>> tree = Dendrogram.of_forest(src, dst, np.float32([0.9, 0.75, 0.5, 0.875, 0.8125]))
    >>> giant = largest_component(tree, 0.25, most_bridges=1)
    >>> giant.size, giant.falls_apart, tree.src[giant.bridges].tolist()
    (6, 0.5, [3])
    """
    top = _largest_node(tree, threshold)
    if top is None:
        return None
    marked = np.zeros(len(tree.size), np.bool_)
    _mark_inside(tree.left, tree.right, top, marked)
    inside = np.flatnonzero(marked[len(tree.items) :])
    smaller = np.minimum(tree.size[tree.left], tree.size[tree.right])[inside]
    # Merges are sorted by descending score: among pieces of equal size the weakest are the last.
    chosen = inside[np.lexsort((-inside, -smaller))][:most_bridges]
    return Giant(
        int(tree.items[tree.smallest[top]]), int(tree.size[top]), _falls_apart(tree, top), np.sort(chosen)[::-1]
    )


def _largest_node(tree: Dendrogram, threshold: float) -> int | None:
    """Return the node of the largest component, the last one above the threshold."""
    count = len(tree.items)
    kept = np.flatnonzero(tree.score.astype(np.float64) > threshold)
    if not len(kept):
        return None
    is_top = np.zeros(count + len(tree.left), bool)
    is_top[count + kept] = True
    is_top[tree.left[kept]] = is_top[tree.right[kept]] = False
    nodes = np.flatnonzero(is_top)
    return int(nodes[np.lexsort((tree.smallest[nodes], -tree.size[nodes]))[0]])


def _falls_apart(tree: Dendrogram, top: int) -> float:
    count, node, half = len(tree.items), top, tree.size[top] / 2
    score = float(tree.score[node - count])
    while tree.size[node] > half:
        merge = node - count
        score = float(tree.score[merge])
        left, right = int(tree.left[merge]), int(tree.right[merge])
        node = left if tree.size[left] >= tree.size[right] else right
    return score


@compiled
def _mark_inside(left: Longs, right: Longs, top: int, marked: NDArray[np.bool_]) -> None:
    """Mark a node and all nodes below it."""
    count = len(marked) - len(left)
    marked[top] = True
    for merge in range(top - count, -1, -1):
        if marked[count + merge]:
            marked[left[merge]] = True
            marked[right[merge]] = True
