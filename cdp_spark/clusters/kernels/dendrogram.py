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
        # Union by size keeps the paths to the root short, whatever the order of the merges.
        root, child = (x, y) if size[node[x]] >= size[node[y]] else (y, x)
        parent[child], node[root] = root, new
