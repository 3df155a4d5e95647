"""Coarse and fine cells (IVF): place vectors in cells, choose the cells a query probes.

A *fine cell* is what is nearest to a centroid, in Euclidean distance; a *shard* (coarse cell) is a set of near fine
cells of about equal weight. A vector lives in its home shard and, near a border, in others (spill); inside each shard
that holds it, it lives in one fine cell and, as a query, probes the ``nprobe`` nearest of that shard.

Distances in float32 depend on the shape of the tiles, so they only nominate cells; where two are too close to call,
scores in float64 decide, which are exact for float16 values. A vector's cells never depend on its batch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from cdp_spark.kernels.halves import slack_of
from cdp_spark.kernels.pools import best_columns, dot, thin

Doubles = NDArray[np.float64]
Vectors = NDArray[np.floating[Any]]
Floats = NDArray[np.float32]
Halves = NDArray[np.float16]
Ints = NDArray[np.int64]

COPIES = 1.6
"""Shards that a vector is in, where there are several, about: 1.54 with two shards of 1.4 million vectors."""

_TILE_ROWS = 512
"""Vectors at once whose scores of all cells are held."""

_OVERFETCH = 4

AROUND, _AROUND_PROBE = 512, 8
"""Cells around a vector's own that are ranked: at least, and for each cell that is probed."""


@dataclass(frozen=True)
class Cells:
    """The trained cells of one model.

    Attributes
    ----------
    centroids : ndarray of float16, shape (cells, d)
        Means of their vectors, not normalised: a mean that is long is that of a dense cell.
    shard : ndarray of int64, shape (cells,)
        Shard of each cell.
    """

    centroids: Halves
    shard: Ints
    _lists: dict[int, Shard] = field(default_factory=dict, repr=False, compare=False)

    @property
    def shards(self) -> int:
        """Number of shards."""
        return int(self.shard.max()) + 1

    def in_shard(self, shard: int) -> Shard:
        """Return the cells of one shard."""
        if shard not in self._lists:
            self._lists[shard] = Shard(np.flatnonzero(self.shard == shard), self.centroids)
        return self._lists[shard]


class Shard:
    """Fine cells of one shard.

    A vector's score of a cell is ``x . c - |c|^2 / 2``: the greater it is, the nearer is the centroid.

    Attributes
    ----------
    cells : ndarray of int64, shape (m,)
        By number among all.
    number : ndarray of int64
        Position in ``cells`` of each of all cells; -1: of another shard.
    half : ndarray of float64, shape (m,)
        What is taken off the product of a vector and a centroid.
    """

    def __init__(self, cells: Ints, centroids: Halves) -> None:
        self.cells = cells
        self.number = np.full(len(centroids), -1, np.int64)
        self.number[cells] = np.arange(len(cells))
        self._exact = centroids[cells].astype(np.float64)
        self.half = np.einsum("ij,ij->i", self._exact, self._exact) / 2
        self._rounded = self._exact.astype(np.float32)
        self._rounded_half = self.half.astype(np.float32)
        self._slack = slack_of(centroids.shape[1])

    def nearest(self, vectors: Vectors) -> tuple[Ints, Doubles]:
        """Return the position of each vector's nearest cell, and its score."""
        position = self._nearest(vectors, 1)[:, 0]
        score = np.einsum("ij,ij->i", vectors, self._exact[position]) - self.half[position]
        return position, score

    def ranked(self, vectors: Doubles, count: int | None = None) -> Ints:
        """Return the positions of the ``count`` nearest cells (default: all), the nearest first, shape (n, count)."""
        return _top(vectors @ self._exact.T - self.half, min(count or len(self.cells), len(self.cells)))

    def probes(self, vectors: Vectors, nprobe: int) -> Ints:
        """Choose the cells that each query probes.

        Parameters
        ----------
        vectors : ndarray of floats, shape (n, d)
            float16 values.
        nprobe : int

        Returns
        -------
        ndarray of int64, shape (n, min(nprobe, cells of the shard))
            Positions within ``cells``, rising.
        """
        return np.sort(self._nearest(vectors, min(nprobe, len(self.cells))), axis=1)

    def around(self, nprobe: int) -> Ints:
        """Return, for :meth:`probes_near`, the positions of the cells nearest to each cell, rising, shape (cells, m).

        Of the cells that a vector probes nearly all are among these, and most cells of a shard need not be ranked.
        """
        count = max(AROUND, _AROUND_PROBE * nprobe)
        if count >= len(self.cells):
            return np.broadcast_to(np.arange(len(self.cells)), (len(self.cells), len(self.cells)))
        return np.sort(self._nearest(self._rounded, count), axis=1)

    def probes_near(self, vectors: Vectors, home: Ints, nprobe: int, around: Ints) -> Ints:
        """Choose the cells that each query probes, among those around the cell that it lives in.

        Parameters
        ----------
        vectors : ndarray of floats, shape (n, d)
            float16 values.
        home : ndarray of int64, shape (n,), rising
            Position of the cell of each.
        nprobe : int
        around : ndarray of int64, shape (cells, m)
            Of :meth:`around`.

        Returns
        -------
        ndarray of int64, shape (n, min(nprobe, m))
            Positions within ``cells``, rising.
        """
        if around.shape[1] == len(self.cells):
            return self.probes(vectors, nprobe)
        count = min(nprobe, around.shape[1])
        chosen = np.empty((len(vectors), count), np.int64)
        starts = np.flatnonzero(np.diff(home, prepend=-1))
        for start, stop in pairwise([*starts.tolist(), len(home)]):
            chosen[start:stop] = self._nearest(vectors[start:stop], count, among=around[home[start]])
        return np.sort(chosen, axis=1)

    def _nearest(self, vectors: Vectors, count: int, among: Ints | None = None) -> Ints:
        """Return the positions of the ``count`` nearest cells (default: of all), as a set."""
        cells = len(self.cells) if among is None else len(among)
        if count >= cells:
            return np.broadcast_to(np.arange(cells) if among is None else among, (len(vectors), cells))
        rounded, half = (part if among is None else part[among] for part in (self._rounded, self._rounded_half))
        room = min(count + _OVERFETCH, cells)
        chosen = np.empty((len(vectors), count), np.int64)
        scores = np.empty((min(_TILE_ROWS, len(vectors)), cells), np.float32)
        for start in range(0, len(vectors), _TILE_ROWS):
            tile = vectors[start : start + _TILE_ROWS].astype(np.float32, copy=False)
            product = np.matmul(tile, rounded.T, out=scores[: len(tile)])
            product -= half
            columns, kept = best_columns(product, room)
            if among is not None:
                columns = among[columns].astype(np.int32)
            unsure = _settle(columns, kept, count, self._slack, tile, self._exact, self.half)
            chosen[start : start + len(tile)] = columns[:, :count]
            chosen[start + unsure] = self._exactly(tile[unsure].astype(np.float64), count, among)
        return chosen

    def _exactly(self, vectors: Doubles, count: int, among: Ints | None) -> Ints:
        """Return the same by float64 scores alone."""
        if among is None:
            return self.ranked(vectors, count)
        return among[_top(vectors @ self._exact[among].T - self.half[among], count)]


@njit(cache=True, nogil=True)
def _settle(columns, scores, count, slack, vectors, exact, half):  # type: ignore[no-untyped-def]
    """Choose the ``count`` best columns of each row, by float64 scores where float32 cannot tell.

    Parameters
    ----------
    columns, scores : ndarray, shape (n, room)
        Of :func:`best_columns`, with ``room`` above ``count``. Changed: the chosen are the first ``count``.
    count : int
    slack : float
        Scores that differ by more are in their exact order.
    vectors, exact, half : ndarray of float, shapes (n, d), (m, d), (m,)
        The score of row ``i`` and column ``c`` is ``vectors[i] . exact[c] - half[c]``; equal ones go by column.

    Returns
    -------
    ndarray of int64
        Rows of which more columns are in question than there is room for.
    """
    rows, room = columns.shape
    unsure = np.zeros(rows, np.bool_)
    place, column, score = np.empty(room, np.int64), np.empty(room, np.int32), np.empty(room, np.float64)
    for row in range(rows):
        last = scores[row, room - 1]
        bound = thin(scores[row], columns[row], room, count)
        unsure[row] = last >= bound - slack
        asked, beyond = 0, False
        for i in range(room):
            if abs(scores[row, i] - bound) <= slack:
                place[asked] = i
                beyond |= i >= count
                asked += 1
        if unsure[row] or not beyond:
            continue
        for i in range(asked):
            c = columns[row, place[i]]
            _insert_exact(dot(vectors[row], exact[c]) - half[c], c, score, column, i)
        for i in range(asked):
            columns[row, place[i]] = column[i]
    return np.flatnonzero(unsure)


@njit(cache=True)
def _insert_exact(total, column, scores, columns, used):  # type: ignore[no-untyped-def]
    at = used
    while at > 0 and (scores[at - 1] < total or (scores[at - 1] == total and columns[at - 1] > column)):
        scores[at], columns[at] = scores[at - 1], columns[at - 1]
        at -= 1
    scores[at], columns[at] = total, column


def row_bytes(dimension: float, k: int) -> float:
    """Return what a row of a shard takes of the task that expands its list: vector, lists, what comes and goes."""
    return 2 * dimension + 50 * k


def cell_count(items: int) -> int:
    """Return how many fine cells a model of so many vectors gets: 4 sqrt(n)."""
    return max(1, round(4 * math.sqrt(items)))


def _top(scores: Doubles, width: int) -> Ints:
    """Return the columns of the ``width`` largest scores in each row, best first, ties by column."""
    if width < scores.shape[1]:
        last = -np.partition(-scores, width - 1, axis=1)[:, width - 1 : width]
        ties = scores == last
        room = width - (scores > last).sum(axis=1, keepdims=True)
        columns = np.nonzero((scores > last) | (ties & (np.cumsum(ties, axis=1) <= room)))[1].reshape(-1, width)
    else:
        columns = np.broadcast_to(np.arange(scores.shape[1]), scores.shape)
    kept = np.take_along_axis(scores, columns, axis=1)
    return np.take_along_axis(columns, np.argsort(-kept, axis=1, kind="stable"), axis=1)
