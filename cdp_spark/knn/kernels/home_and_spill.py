"""Where vectors live: the nearest cell of all, its shard, and the shards beside it.

Of many thousand cells only some thousands near a vector are ranked: those around the *leader* that it is nearest to.
Leaders are a few of the cells, evenly taken. The cells of a vector depend on nothing but itself and the trained cells.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cdp_spark.knn.kernels.cells import Cells, Ints, Shard, Vectors

Doubles = NDArray[np.float64]

MAX_COPIES = 4

_LEADERS = 1.0
"""For each square root of the number of cells."""

RANKED = 5 * 1024
"""Cells around a leader that are ranked."""

_TILE_ROWS = 512
"""Vectors at once whose scores are held."""


@dataclass(frozen=True)
class Places:
    """Where vectors live: up to ``MAX_COPIES`` shards each, the home first, then by falling nearness.

    Attributes
    ----------
    shard, cell : ndarray of int64, shape (n, MAX_COPIES); -1 where there is no further shard
    gap : ndarray of float64, shape (n, MAX_COPIES)
        By how much the score of the nearest cell of that shard is below that of the home cell (inf where none).
    """

    shard: Ints
    cell: Ints
    gap: Doubles


@dataclass(frozen=True)
class Leaders:
    """Cells that stand for those around them.

    Attributes
    ----------
    cells : ndarray of int64, shape (m,)
    around : ndarray of int64, shape (m, c)
        The cells nearest to each, by shard and number.
    """

    cells: Ints
    around: Ints

    @classmethod
    def of(cls, cells: Cells) -> Leaders:
        """Choose the leaders: a single one where all cells are ranked."""
        count = len(cells.centroids)
        every = Shard(np.arange(count), cells.centroids)
        step = count if count <= RANKED else max(1, round(math.sqrt(count) / _LEADERS))
        chosen = np.arange(0, count, step)
        nearest = [every.ranked(cells.centroids[some].astype(np.float64), RANKED) for some in _tiles(chosen)]
        around = np.sort(np.concatenate(nearest), axis=1)
        by_shard = np.argsort(cells.shard[around], axis=1, kind="stable")
        return cls(chosen, np.take_along_axis(around, by_shard, axis=1))


def places(vectors: Vectors, cells: Cells, leaders: Leaders | None = None) -> Places:
    """Find the home of each vector and the shards beside it.

    Parameters
    ----------
    vectors : ndarray of floats, shape (n, d)
        float16 values.
    cells : Cells
    leaders : Leaders, optional
        Of the cells; made where they are not given.
    """
    leaders = leaders or Leaders.of(cells)
    halves = np.ascontiguousarray(vectors, np.float16)
    shape = len(vectors), MAX_COPIES
    found = Places(np.full(shape, -1, np.int64), np.full(shape, -1, np.int64), np.full(shape, np.inf))
    led_by = Shard(leaders.cells, cells.centroids).nearest(halves)[0]
    order = np.argsort(led_by, kind="stable")
    begins = np.searchsorted(led_by[order], np.arange(len(leaders.cells) + 1))
    for leader in np.flatnonzero(np.diff(begins)):
        among, rows = leaders.around[leader], order[begins[leader] : begins[leader + 1]]
        number, first = np.unique(cells.shard[among], return_index=True)
        column, score = np.empty((len(rows), len(number)), np.int64), np.empty((len(rows), len(number)))
        led = halves[rows]
        for place, (own, some) in enumerate(zip(number.tolist(), np.split(among, first[1:]), strict=True)):
            shard = cells.in_shard(own)
            nearest, score[:, place] = shard.nearest(led, shard.number[some])
            column[:, place] = shard.cells[nearest]
        _fill(found, rows, number, column, score)
    return found


def _fill(found: Places, rows: Ints, number: Ints, cell: Ints, score: Doubles) -> None:
    """Put the nearest shards of some vectors in their places, the home first, ties by shard."""
    ranked = np.argsort(-score, axis=1, kind="stable")[:, :MAX_COPIES]
    slots = slice(0, ranked.shape[1])
    best = np.take_along_axis(score, ranked, axis=1)
    found.shard[rows, slots] = number[ranked]
    found.cell[rows, slots] = np.take_along_axis(cell, ranked, axis=1)
    found.gap[rows, slots] = best[:, :1] - best


def _tiles(rows: Ints) -> list[Ints]:
    return [rows[start : start + _TILE_ROWS] for start in range(0, len(rows), _TILE_ROWS)]
