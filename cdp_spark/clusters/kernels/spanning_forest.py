"""Maximum spanning forest of scored pairs (Kruskal): connectivity at every threshold in at most N - 1 edges.

In: pairs in any order, in batches. Out: the edges of the forest. Edges are sorted by (-score, src, dst), so that the
forest of a graph is unique, independent of batches and machines.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cdp_spark.base.compiled import compiled
from cdp_spark.base.numeric.dense_numbers import dense, numbered

Longs = NDArray[np.int64]
Floats = NDArray[np.float32]


class Edges(NamedTuple):
    """Ends and scores of edges, one entry per edge."""

    src: Longs
    dst: Longs
    score: Floats


_MANY = 24
"""Largest number of ties that are sorted by insertion."""


def maximum_spanning_forest(src: Longs, dst: Longs, score: Floats) -> Longs:
    """Return the indices of the forest's edges, best first.

    Parameters
    ----------
    src, dst : ndarray of int64, shape (m,)
        Ends, any ids; repeated pairs are allowed.
    score : ndarray of float32, shape (m,)

    Examples
    --------
    >>> maximum_spanning_forest(np.array([1, 2, 1]), np.array([2, 3, 3]), np.float32([0.5, 0.9, 0.7])).tolist()
    [1, 2]
    """
    return contracted_forest(src, dst, src, dst, score)


def contracted_forest(a: Longs, b: Longs, src: Longs, dst: Longs, score: Floats) -> Longs:
    """Return the indices of the forest's edges in a contracted graph, best first.

    Ties are broken by the edges' own ends.

    Parameters
    ----------
    a, b : ndarray of int64, shape (m,)
        Components that the edges join.
    src, dst : ndarray of int64, shape (m,)
        The edges' own ends.
    score : ndarray of float32, shape (m,)
    """
    if not len(src):
        return np.empty(0, np.int64)
    one, other, count = _dense(a, b)
    order = best_first(src, dst, score)
    kept = np.zeros(len(order), np.bool_)
    _kruskal((one, other), order, np.arange(count), kept)
    return order[kept]


class Forest:
    """The forest of all pairs added so far, held in memory with one batch of new pairs.

    >>> forest = Forest(gather=2)
    >>> forest.add(np.array([1, 1]), np.array([2, 3]), np.float32([0.5, 0.7]))
    >>> forest.add(np.array([2]), np.array([3]), np.float32([0.9]))
    >>> [column.tolist() for column in forest.edges()[:2]]
    [[2, 1], [3, 3]]
    """

    def __init__(self, gather: int) -> None:
        """Start without pairs; ``gather`` pairs are held before they are filtered."""
        self._gather = gather
        self._edges = Edges(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))
        self._gathered: list[tuple[NDArray[Any], NDArray[Any], NDArray[Any]]] = []
        self._count = 0

    def add(self, src: NDArray[Any], dst: NDArray[Any], score: NDArray[Any]) -> None:
        """Add pairs."""
        self._gathered.append((src, dst, score))
        self._count += len(src)
        if self._count >= max(self._gather, len(self._edges[0])):
            self._fold()

    @property
    def size(self) -> int:
        """Number of edges after the last filtering."""
        return len(self._edges[0])

    def edges(self) -> Edges:
        """Return src, dst and score of the forest's edges, best first."""
        self._fold()
        return self._edges

    def _fold(self) -> None:
        if self._gathered:
            edges = [self._edges, *self._gathered]
            src, dst, score = (np.concatenate(column) for column in zip(*edges, strict=True))
            self._gathered, self._count = [], 0
            kept = maximum_spanning_forest(src, dst, score)
            self._edges = Edges(src[kept], dst[kept], score[kept])


class _Numbered(NamedTuple):
    """Ends of edges by number, and the number of ids."""

    src: Longs
    dst: Longs
    ids: int


def _dense(src: Longs, dst: Longs) -> _Numbered:
    """Number the ends from 0; ids that are dense need no sort."""
    low, high = int(min(src.min(), dst.min())), int(max(src.max(), dst.max()))
    if dense(low, high, len(src)):
        return _Numbered(src - low, dst - low, high - low + 1)
    known, index = numbered(np.concatenate((src, dst)))
    return _Numbered(index[: len(src)], index[len(src) :], len(known))


def best_first(src: Longs, dst: Longs, score: Floats) -> Longs:
    """Return the order by (-score, src, dst)."""
    # A fast sort by score first, then by ends where scores are equal.
    order = np.argsort(-score)
    descending = score[order]
    if _sort_ties(order, descending, src, dst):
        _sort_many_ties(order, descending, src, dst)
    return order


def _sort_many_ties(order: Longs, score: Floats, src: Longs, dst: Longs) -> None:
    """Sort by ends where many scores are equal."""
    begins = np.flatnonzero(np.concatenate([[True], score[1:] != score[:-1]]))
    sizes = np.diff(np.append(begins, len(score)))
    group = np.repeat(np.arange(len(sizes)), sizes)
    rows = np.flatnonzero((sizes > _MANY)[group])
    ties = order[rows]
    order[rows] = ties[np.lexsort((dst[ties], src[ties], group[rows]))]


@compiled
def _sort_ties(order: Longs, score: Floats, src: Longs, dst: Longs) -> bool:
    """Sort runs of few equal scores by ends; return whether a longer run exists."""
    start, many = 0, False
    while start < len(order):
        stop = start + 1
        while stop < len(order) and score[stop] == score[start]:
            stop += 1
        if stop - start > _MANY:
            start, many = stop, True
        for i in range(start + 1, stop):
            edge, at = order[i], i
            while at > start and (
                src[order[at - 1]] > src[edge] or (src[order[at - 1]] == src[edge] and dst[order[at - 1]] > dst[edge])
            ):
                order[at] = order[at - 1]
                at -= 1
            order[at] = edge
        start = stop
    return many


@compiled(inline="always")
def root_of(parent: Longs, node: int) -> int:
    """Follow a union-find's parents to the root, halving the path on the way."""
    while parent[node] != node:
        parent[node] = parent[parent[node]]
        node = parent[node]
    return node


@compiled
def _kruskal(ends: tuple[Longs, Longs], order: Longs, parent: Longs, kept: NDArray[np.bool_]) -> None:
    a, b = ends
    for i in range(len(order)):
        edge = order[i]
        x, y = root_of(parent, a[edge]), root_of(parent, b[edge])
        if x != y:
            parent[max(x, y)] = min(x, y)
            kept[i] = True
