"""Coarse and fine cells (IVF): assign vectors to cells, choose the cells that a query probes.

A *fine cell* holds the vectors nearest to a centroid, by Euclidean distance. A *shard* (coarse cell) is a set of fine
cells near to each other; shards have about equal weight. A vector lives in its home shard and, near a border, in others
(spill). In each of these shards it lives in one fine cell and, as a query, probes the ``nprobe`` nearest ones.

Distances in float32 depend on the shape of the tiles, so they only nominate cells. Where two are too close to call,
scores in float64 decide, which are exact for float16 values. A vector's cells never depend on its batch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cdp_spark.knn.kernels.nearest_cells import Ranking

Doubles = NDArray[np.float64]
Vectors = NDArray[np.floating[Any]]
Floats = NDArray[np.float32]
Float16s = NDArray[np.float16]
Ints = NDArray[np.int64]


COPIES = 1.6
"""Mean number of shards that hold a vector, if there are several: 1.54 with two shards of 1.4 million vectors."""

AROUND, _AROUND_PROBE = 1024, 8
"""Cells ranked around a vector's own: at least ``AROUND``, and ``_AROUND_PROBE`` for each cell that is probed."""


@dataclass(frozen=True)
class Cells:
    """The trained cells of one model.

    Attributes
    ----------
    centroids : ndarray of float16, shape (cells, d)
        Means of their vectors, not normalised: the mean of a dense cell is longer.
    shard : ndarray of int64, shape (cells,)
        Shard of each cell.
    """

    centroids: Float16s
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

    The score of a cell for vector x is ``x . c - |c|^2 / 2``; the nearest centroid c has the greatest.

    Attributes
    ----------
    cells : ndarray of int64, shape (m,)
        Numbers of the cells, among those of all shards.
    number : ndarray of int64
        For each cell of all shards, its position in ``cells``; -1 if it is in another shard.
    """

    def __init__(self, cells: Ints, centroids: Float16s) -> None:
        self.cells = cells
        self.number = np.full(len(centroids), -1, np.int64)
        self.number[cells] = np.arange(len(cells))
        self._ranking = Ranking(centroids[cells])

    def nearest(self, vectors: Vectors, among: Ints | None = None) -> tuple[Ints, Doubles]:
        """Return the position of each vector's nearest cell, and its score.

        Only ``among`` these ascending positions, if given.
        """
        position = self._ranking.nearest(vectors, 1, among)[:, 0]
        return position, self._ranking.scores(vectors, position)

    def ranked(self, vectors: Doubles, count: int | None = None) -> Ints:
        """Return the positions of the nearest cells (default: all), the nearest first."""
        return self._ranking.ranked(vectors, count or len(self.cells))

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
            Positions within ``cells``, ascending.
        """
        return np.sort(self._ranking.nearest(vectors, min(nprobe, len(self.cells))), axis=1)

    def around(self, nprobe: int) -> Ints:
        """Return the cells nearest to each cell, for :meth:`probes_near`.

        Nearly all cells that a vector probes are among them, so that most cells of a shard need not be ranked.

        Returns
        -------
        ndarray of int64, shape (cells, m)
            Positions within ``cells``, ascending.
        """
        count = max(AROUND, _AROUND_PROBE * nprobe)
        if count >= len(self.cells):
            return np.broadcast_to(np.arange(len(self.cells)), (len(self.cells), len(self.cells)))
        return np.sort(self._ranking.nearest(self._ranking.centroids, count), axis=1)

    def probes_near(self, vectors: Vectors, home: Ints, nprobe: int, around: Ints) -> Ints:
        """Choose the cells that each query probes, among those around its own cell.

        Parameters
        ----------
        vectors : ndarray of floats, shape (n, d)
            float16 values.
        home : ndarray of int64, shape (n,), ascending
            Position of each query's own cell.
        nprobe : int
        around : ndarray of int64, shape (cells, m)
            From :meth:`around`.

        Returns
        -------
        ndarray of int64, shape (n, min(nprobe, m))
            Positions within ``cells``, ascending.
        """
        if around.shape[1] == len(self.cells):
            return self.probes(vectors, nprobe)
        count = min(nprobe, around.shape[1])
        chosen = np.empty((len(vectors), count), np.int64)
        starts = np.flatnonzero(np.diff(home, prepend=-1))
        for start, stop in pairwise([*starts.tolist(), len(home)]):
            chosen[start:stop] = self._ranking.nearest(vectors[start:stop], count, around[home[start]])
        return np.sort(chosen, axis=1)


def row_bytes(dimension: float, k: int) -> float:
    """Return the bytes per row in the task that expands lists: its vector and lists."""
    return 2 * dimension + 50 * k


def cell_count(items: int) -> int:
    """Return the number of fine cells for ``items`` vectors: 4 sqrt(items)."""
    return max(1, round(4 * math.sqrt(items)))


MAX_COPIES = 4

_LEADERS = 1.0
"""Leaders, as a multiple of the square root of the number of cells."""

RANKED = 5 * 1024
"""Cells that are ranked around each leader."""

_TILE_ROWS = 512
"""Vectors scored at a time."""


@dataclass(frozen=True)
class Assignment:
    """Up to ``MAX_COPIES`` shards of each vector: home first, then from near to far.

    Attributes
    ----------
    shard, cell : ndarray of int64, shape (n, MAX_COPIES); -1 if there is no further shard
    gap : ndarray of float64, shape (n, MAX_COPIES)
        Score of the home cell minus that of the nearest cell in the shard; inf if there is no shard.
    """

    shard: Ints
    cell: Ints
    gap: Doubles


@dataclass(frozen=True)
class Leaders:
    """Cells that stand for the cells around them.

    Attributes
    ----------
    cells : ndarray of int64, shape (m,)
    around : ndarray of int64, shape (m, c)
        The cells nearest to each leader, by shard and number.
    """

    cells: Ints
    around: Ints

    @classmethod
    def of(cls, cells: Cells) -> Leaders:
        """Choose the leaders: a single one where all cells are ranked anyway."""
        count = len(cells.centroids)
        every = Shard(np.arange(count), cells.centroids)
        step = count if count <= RANKED else max(1, round(math.sqrt(count) / _LEADERS))
        chosen = np.arange(0, count, step)
        nearest = [every.ranked(cells.centroids[some].astype(np.float64), RANKED) for some in _tiles(chosen)]
        around = np.sort(np.concatenate(nearest), axis=1)
        by_shard = np.argsort(cells.shard[around], axis=1, kind="stable")
        return cls(chosen, np.take_along_axis(around, by_shard, axis=1))


def assign(vectors: Vectors, cells: Cells, leaders: Leaders | None = None) -> Assignment:
    """Assign each vector to its home and to the shards beside it.

    Parameters
    ----------
    vectors : ndarray of floats, shape (n, d)
        float16 values.
    cells : Cells
    leaders : Leaders, optional
        Leaders of the cells; default: make them.
    """
    leaders = leaders or Leaders.of(cells)
    float16s = np.ascontiguousarray(vectors, np.float16)
    shape = len(vectors), MAX_COPIES
    assigned = Assignment(np.full(shape, -1, np.int64), np.full(shape, -1, np.int64), np.full(shape, np.inf))
    led_by = Shard(leaders.cells, cells.centroids).nearest(float16s)[0]
    order = np.argsort(led_by, kind="stable")
    begins = np.searchsorted(led_by[order], np.arange(len(leaders.cells) + 1))
    for leader in np.flatnonzero(np.diff(begins)):
        among, rows = leaders.around[leader], order[begins[leader] : begins[leader + 1]]
        number, first = np.unique(cells.shard[among], return_index=True)
        cell, score = np.empty((len(rows), len(number)), np.int64), np.empty((len(rows), len(number)))
        led = float16s[rows]
        for i, (own, some) in enumerate(zip(number.tolist(), np.split(among, first[1:]), strict=True)):
            shard = cells.in_shard(own)
            nearest, score[:, i] = shard.nearest(led, shard.number[some])
            cell[:, i] = shard.cells[nearest]
        _fill(assigned, rows, number, cell, score)
    return assigned


def _fill(assigned: Assignment, rows: Ints, number: Ints, cell: Ints, score: Doubles) -> None:
    """Write the nearest shards of some vectors, the home first, ties by shard."""
    ranked = np.argsort(-score, axis=1, kind="stable")[:, :MAX_COPIES]
    slots = slice(0, ranked.shape[1])
    best = np.take_along_axis(score, ranked, axis=1)
    assigned.shard[rows, slots] = number[ranked]
    assigned.cell[rows, slots] = np.take_along_axis(cell, ranked, axis=1)
    assigned.gap[rows, slots] = best[:, :1] - best


def _tiles(rows: Ints) -> list[Ints]:
    return [rows[start : start + _TILE_ROWS] for start in range(0, len(rows), _TILE_ROWS)]
