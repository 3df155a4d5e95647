"""The tree of merges of a forest, which gives the components of every threshold.

In: a maximum spanning forest. Out: a binary tree whose leaves are the items and whose inner nodes are the merges, best
first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cdp_spark.base.compiled import compiled
from cdp_spark.base.numeric.dense_numbers import numbered
from cdp_spark.clusters.kernels.spanning_forest import best_first, maximum_spanning_forest, root_of

Longs = NDArray[np.int64]
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

TwoLongs = tuple[Longs, Longs]


@dataclass(frozen=True)
class Dendrogram:
    """Nodes 0 to n - 1 are the items, node n + i is merge i.

    Attributes
    ----------
    items : ndarray of int64, shape (n,), ascending
        Items that have an edge.
    left, right : ndarray of int64, shape (m,)
        The two nodes that each merge joins; ``left`` holds the smaller item.
    src, dst : ndarray of int64, shape (m,)
        Ends (items) of the edge that joins them.
    score : ndarray of float32, shape (m,), descending
    smallest, size : ndarray of int64, shape (n + m,)
        Index of each node's smallest item, and its number of items.
    """

    items: Longs
    left: Longs
    right: Longs
    src: Longs
    dst: Longs
    score: Floats
    smallest: Longs
    size: Longs

    @classmethod
    def of_forest(cls, src: Longs, dst: Longs, score: Floats) -> Dendrogram:
        """Make the tree of a maximum spanning forest, with its edges in any order.

        >>> tree = Dendrogram.of_forest(np.array([4, 4]), np.array([7, 9]), np.float32([0.5, 0.9]))
        >>> tree.items.tolist(), tree.left.tolist(), tree.right.tolist(), tree.size.tolist()
        ([4, 7, 9], [0, 3], [2, 1], [1, 1, 1, 2, 3])
        """
        order = best_first(src, dst, score)
        return cls._of_merges(src[order], dst[order], score[order])

    @classmethod
    def of_edges(cls, src: Longs, dst: Longs, score: Floats) -> Dendrogram:
        """Make the tree of the maximum spanning forest of any edges."""
        kept = maximum_spanning_forest(src, dst, score)
        return cls._of_merges(src[kept], dst[kept], score[kept])

    @classmethod
    def _of_merges(cls, src: Longs, dst: Longs, score: Floats) -> Dendrogram:
        items, ends = numbered(np.concatenate((src, dst)))
        count, merges = len(items), len(src)
        left, right = np.empty(merges, np.int64), np.empty(merges, np.int64)
        smallest, size = np.arange(count + merges), np.ones(count + merges, np.int64)
        trees = np.arange(count), np.arange(count)
        _merge((ends[:merges], ends[merges:]), trees, (left, right), (smallest, size))
        return cls(items, left, right, src, dst, score, smallest, size)

    def joined(self) -> tuple[Longs, Longs, Longs, Longs]:
        """Return the components that each merge joins.

        Two columns hold their smallest items, two their sizes.

        >>> tree = Dendrogram.of_forest(np.array([4, 4]), np.array([7, 9]), np.float32([0.5, 0.9]))
        >>> [column.tolist() for column in tree.joined()]
        [[4, 4], [9, 7], [1, 2], [1, 1]]
        """
        names = self.items[self.smallest]
        return names[self.left], names[self.right], self.size[self.left], self.size[self.right]


def largest_components(tree: Dendrogram, thresholds: Doubles) -> Longs:
    """Return the two largest sizes of components at score > threshold, shape (t, 2).

    >>> tree = Dendrogram.of_forest(np.array([1, 3]), np.array([2, 4]), np.float32([0.5, 0.9]))
    >>> largest_components(tree, np.array([0.4, 0.7, 0.95])).tolist()
    [[2, 2], [2, 1], [1, 1]]
    """
    merges, count = len(tree.left), len(tree.items)
    above = np.full(count + merges, -np.inf)  # the score at which a node merges with another
    above[tree.left] = above[tree.right] = tree.score
    own = np.concatenate([np.full(count, np.inf), tree.score.astype(np.float64)])
    largest = np.zeros((len(thresholds), 2), np.int64)
    for i, threshold in enumerate(thresholds.tolist()):
        sizes = tree.size[(own > threshold) & (above <= threshold)]
        top = np.sort(np.partition(sizes, -2)[-2:] if len(sizes) > 2 else sizes)[::-1]
        largest[i, : len(top)] = top
    return largest


@compiled
def _merge(ends: TwoLongs, trees: TwoLongs, joins: TwoLongs, nodes: TwoLongs) -> None:
    (a, b), (parent, node), (left, right), (smallest, size) = ends, trees, joins, nodes
    count = len(parent)
    for merge in range(len(a)):
        x, y = root_of(parent, a[merge]), root_of(parent, b[merge])
        one, other = node[x], node[y]
        if smallest[other] < smallest[one]:
            one, other = other, one
        new = count + merge
        left[merge], right[merge] = one, other
        smallest[new], size[new] = smallest[one], size[one] + size[other]
        # Union by size keeps the paths to the root short, for any order of merges.
        root, child = (x, y) if size[node[x]] >= size[node[y]] else (y, x)
        parent[child], node[root] = root, new


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
