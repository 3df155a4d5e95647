"""Where vectors live: the nearest cell of all, its shard, and the shards beside it.

Of many thousand cells only about a thousand near a vector are ranked: those around the *leader* that it is nearest to.
Leaders are a few of the cells, evenly taken. The cells of a vector depend on nothing but itself and the trained cells.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from cdp_spark.kernels.cells import Cells, Ints, Shard, Vectors
from cdp_spark.kernels.halves import bits_of, dot_with, floats_of, slack_of
from cdp_spark.kernels.lanes import LANES, bits_above, lowest

Doubles = NDArray[np.float64]

MAX_COPIES = 4

_MATHS = {"nnan", "nsz", "reassoc", "contract"}
"""What of ``fastmath`` a maximum needs to be one of vectors; infinities stay what they are."""

_LEADERS = 1.0
"""For each square root of the number of cells."""

RANKED = 1024
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
    half : ndarray of float64, shape (cells,)
        Of all cells: what is taken off the product of a vector and a centroid.
    """

    cells: Ints
    around: Ints
    half: Doubles

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
        return cls(chosen, np.take_along_axis(around, by_shard, axis=1), every.half)


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
    values = vectors.astype(np.float32, copy=False)
    shape = len(vectors), MAX_COPIES
    found = Places(np.full(shape, -1, np.int64), np.full(shape, -1, np.int64), np.full(shape, np.inf))
    led_by = Shard(leaders.cells, cells.centroids).nearest(values)[0]
    order = np.argsort(led_by, kind="stable")
    begins = np.searchsorted(led_by[order], np.arange(len(leaders.cells) + 1))
    slack = slack_of(cells.centroids.shape[1])
    for leader in np.flatnonzero(np.diff(begins)):
        among = leaders.around[leader]
        bits = bits_of(cells.centroids[among])
        centroids = floats_of(bits, np.empty(bits.shape, np.float32))
        half = leaders.half[among]
        number, first = np.unique(cells.shard[among], return_index=True)
        starts = np.append(first, len(among))
        for rows in _tiles(order[begins[leader] : begins[leader + 1]]):
            scores = values[rows] @ centroids.T
            scores -= half.astype(np.float32)
            near = _best_of_shards(scores, values[rows], bits, half, starts, slack)
            _fill(found, rows, among, number, near)
    return found


def _fill(found: Places, rows: Ints, among: Ints, number: Ints, near: tuple[Ints, Doubles]) -> None:
    """Put the nearest shards of some vectors in their places, the home first, ties by shard."""
    column, score = near
    ranked = np.argsort(-score, axis=1, kind="stable")[:, :MAX_COPIES]
    slots = slice(0, ranked.shape[1])
    best = np.take_along_axis(score, ranked, axis=1)
    found.shard[rows, slots] = number[ranked]
    found.cell[rows, slots] = among[np.take_along_axis(column, ranked, axis=1)]
    found.gap[rows, slots] = best[:, :1] - best


def _tiles(rows: Ints) -> list[Ints]:
    return [rows[start : start + _TILE_ROWS] for start in range(0, len(rows), _TILE_ROWS)]


@njit(cache=True, nogil=True, fastmath=_MATHS)
def _best_of_shards(scores, vectors, centroids, half, starts, slack):  # type: ignore[no-untyped-def]
    """Return the nearest cell in each shard, by float64 scores where float32 cannot tell; ties by cell.

    Parameters
    ----------
    scores : ndarray of float32, shape (n, m)
        ``vectors[i] . centroids[j] - half[j]``, rounded.
    vectors, centroids, half : ndarray of float32, uint16 (bits), float64, shapes (n, d), (m, d), (m,)
    starts : ndarray of int64, shape (shards + 1,)
        Where the cells of each shard begin.
    slack : float
        Scores that differ by more are in their exact order.

    Returns
    -------
    column : ndarray of int64, shape (n, shards)
    score : ndarray of float64, shape (n, shards)
    """
    column = np.zeros((len(scores), len(starts) - 1), np.int64)
    score = np.full(column.shape, -np.inf)
    for row in range(len(scores)):
        for shard in range(len(starts) - 1):
            best = np.float32(-np.inf)
            for j in range(starts[shard], starts[shard + 1]):
                best = max(best, scores[row, j])
            for start in range(starts[shard], starts[shard + 1], LANES):
                bits = bits_above(scores, row, start, np.float32(best - 2 * slack))
                while bits:
                    j = start + lowest(bits)
                    bits &= bits - np.uint32(1)
                    exact = dot_with(vectors[row], centroids[j]) - half[j] if j < starts[shard + 1] else -np.inf
                    if exact > score[row, shard]:
                        column[row, shard], score[row, shard] = j, exact
    return column, score
