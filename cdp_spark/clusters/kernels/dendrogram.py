"""The tree of merges of a forest, which gives the components of any threshold and the clusters of any cut.

In: a maximum spanning forest. Out: a binary tree whose leaves are the items and whose inner nodes are the merges, best
first. Components and cuts take one pass; a cut by rising thresholds visits each node once, whatever the number of
levels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cdp_spark.base.compiled import compiled
from cdp_spark.base.numeric.dense_numbers import numbered
from cdp_spark.base.statuses import CLUSTERED, FORCED, SINGLETON
from cdp_spark.clusters.kernels.pruning import Limits, Pruned
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


def levels(start: float, limits: Limits) -> Doubles:
    """Return the thresholds of a cut, from ``start`` up.

    >>> levels(0.5, Limits(10, 0.5, 2)).tolist()
    [0.5, 0.75, 0.875]
    """
    thresholds = [np.float64(start)]
    while len(thresholds) <= limits.max_iter and limits.raised(thresholds[-1]) != thresholds[-1]:
        thresholds.append(limits.raised(thresholds[-1]))
    return np.array(thresholds)


def cut_by_code(tree: Dendrogram, threshold: float, *, start: float, limits: Limits) -> Pruned:
    """Cut by the rule of the authors' code: one rising threshold for all components.

    Parameters
    ----------
    tree : Dendrogram
        Tree of the forest of all pairs.
    threshold : float
        The consensus graph has the pairs with score > threshold.
    start : float
        Smallest score above the threshold, over all pairs.
    limits : Limits
    """
    known = levels(start, limits)
    final, at = np.full(len(tree.size), -1, np.int64), np.full(len(tree.size), -1, np.int64)
    merges, rising = _Merges(tree.left, tree.right, tree.score), _Levels(threshold, known, limits.max_cluster_size)
    _cut(merges, tree.size, rising, final, at)
    leaves = np.flatnonzero(final[: len(tree.items)] >= 0)
    node = final[leaves]
    size = tree.size[node]
    status = np.where(size > limits.max_cluster_size, FORCED, np.where(size == 1, SINGLETON, CLUSTERED))
    return Pruned(tree.items[leaves], tree.items[tree.smallest[node]], status, known[at[leaves]])


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


class _Merges(NamedTuple):
    """The two nodes and the score of each merge."""

    left: Longs
    right: Longs
    score: Floats


class _Levels(NamedTuple):
    """Threshold of the consensus graph, thresholds of the cut, largest cluster size."""

    threshold: float
    known: Doubles
    most: int


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
        # Union by size keeps the paths to the root short, whatever the order of the merges.
        root, child = (x, y) if size[node[x]] >= size[node[y]] else (y, x)
        parent[child], node[root] = root, new


@compiled
def _cut(tree: _Merges, size: Longs, limits: _Levels, final: Longs, at: Longs) -> None:
    """Find each node's cluster (-1: no pair above the threshold) and its final level.

    Meanwhile ``at`` is the level at which a node is cut, -1 where its parent is not in the consensus graph.
    """
    (left, right, score), (threshold, known, most) = tree, limits
    merges = len(left)
    count = len(size) - merges
    last = len(known) - 1
    for merge in range(merges - 1, -1, -1):
        node = count + merge
        if np.float64(score[merge]) <= threshold:
            continue
        if final[node] < 0:
            level = max(at[node], 0)
            value = np.float64(score[merge])
            if value >= known[level]:
                if size[node] <= most or level == last:
                    final[node], at[node] = node, level
                else:
                    while level <= last and known[level] <= value:
                        level += 1
                    if level > last:
                        final[node], at[node] = node, last
            if final[node] < 0:
                for child in (left[merge], right[merge]):
                    at[child] = level
                    if child < count:
                        final[child] = child
                continue
        for child in (left[merge], right[merge]):
            final[child], at[child] = final[node], at[node]
