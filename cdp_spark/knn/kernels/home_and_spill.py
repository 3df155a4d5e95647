"""Assign vectors to shards and cells: the nearest cell and its shard (home), and the shards beside it (spill).

Of many thousands of cells only the few thousand around a vector's nearest *leader* are ranked. Leaders are a few of the
cells, evenly spaced. A vector's cells depend only on the vector and on the trained cells.
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
    shard, cell : ndarray of int64, shape (n, MAX_COPIES); -1 where there is no further shard
    gap : ndarray of float64, shape (n, MAX_COPIES)
        Score of the home cell minus that of the nearest cell in the shard; inf where there is no shard.
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
        Those of the cells; default: make them.
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
