"""Coarse and fine cells (IVF): train centroids, place vectors in cells, choose the cells a query probes.

A *fine cell* is the neighbourhood of a centroid; a *shard* (coarse cell) is a set of near fine cells of about equal
weight. A vector lives in its home shard and, near a border, in others (spill); inside each shard that holds it, it
lives in one fine cell and, as a query, probes the ``nprobe`` best of that shard.

All products are float64 products of float16 values, hence exact, so that a vector's cells never depend on its batch.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]
Halves = NDArray[np.float16]
Ints = NDArray[np.int64]

MAX_COPIES = 4
_NEAR = 256
"""Fewest cells near a home cell that are ranked when a query chooses its probes."""


@dataclass(frozen=True)
class Cells:
    """The trained cells of one model.

    Attributes
    ----------
    centroids : ndarray of float16, shape (cells, d)
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

    @cached_property
    def exact(self) -> Doubles:
        """Centroids in float64."""
        return self.centroids.astype(np.float64)

    @cached_property
    def groups(self) -> tuple[Doubles, list[Ints]]:
        """Group centroids, and the cells near each: a shortcut to the nearest cell."""
        groups = max(1, round(len(self.centroids) ** 0.5))
        chosen = self.exact[:: -(-len(self.exact) // groups)]
        near = _top(chosen @ self.exact.T, min(len(self.exact), max(64, 4 * len(self.exact) // len(chosen))))
        return chosen, [np.sort(row) for row in near]

    def in_shard(self, shard: int) -> Shard:
        """Return the cells of one shard."""
        if shard not in self._lists:
            self._lists[shard] = Shard(np.flatnonzero(self.shard == shard), self.exact)
        return self._lists[shard]


@dataclass(frozen=True)
class Places:
    """Where vectors live: up to ``MAX_COPIES`` shards each, the home first, then by falling nearness.

    Attributes
    ----------
    shard, cell : ndarray of int64, shape (n, MAX_COPIES); -1 where there is no further shard
    gap : ndarray of float64, shape (n, MAX_COPIES)
        By how much the best cell of that shard is worse than the home cell (0 for the home, inf where none).
    """

    shard: Ints
    cell: Ints
    gap: Doubles


class Shard:
    """Fine cells of one shard, with each cell's nearest others."""

    def __init__(self, cells: Ints, exact: Doubles) -> None:
        self.cells = cells
        self.centroids = exact[cells]
        self.number = np.full(len(exact), -1, np.int64)
        self.number[cells] = np.arange(len(cells))

    def near(self, cell: int, width: int) -> Ints:
        """Return the positions of the ``width`` cells nearest to ``cell``, itself included."""
        scores = self.centroids @ self.centroids[self.number[cell]]
        nearest: Ints = _top(scores[None, :], min(width, len(scores)))[0]
        return nearest


def cell_count(items: int) -> int:
    """Return how many fine cells a model of so many vectors gets: 4 sqrt(n), the usual nlist."""
    return max(1, round(4 * math.sqrt(items)))


def nearest_cell(vectors: Doubles, cells: Cells) -> Ints:
    """Return the home cell of each vector: the best of those near its nearest group."""
    group_centroids, near = cells.groups
    group = np.argmax(vectors @ group_centroids.T, axis=1)
    home = np.empty(len(vectors), np.int64)
    for number in np.unique(group):
        rows = np.flatnonzero(group == number)
        home[rows] = near[number][np.argmax(vectors[rows] @ cells.exact[near[number]].T, axis=1)]
    return home


def places(vectors: Doubles, cells: Cells) -> Places:
    """Find the home of each vector and the shards beside it.

    Parameters
    ----------
    vectors : ndarray of float64, shape (n, d)
        float16 values.
    cells : Cells
    """
    home = nearest_cell(vectors, cells)
    found = Places(
        np.full((len(vectors), MAX_COPIES), -1, np.int64),
        np.full((len(vectors), MAX_COPIES), -1, np.int64),
        np.full((len(vectors), MAX_COPIES), np.inf),
    )
    found.shard[:, 0], found.cell[:, 0], found.gap[:, 0] = cells.shard[home], home, 0.0
    if cells.shards > 1:
        _fill_spill(vectors, home, cells, found)
    return found


def _fill_spill(vectors: Doubles, home: Ints, cells: Cells, found: Places) -> None:
    """Fill in the next shards: for each, its cell nearest to the vector."""
    scores = vectors @ cells.exact.T
    own = scores[np.arange(len(vectors)), home]
    best = np.full((len(vectors), cells.shards), -np.inf)
    best_cell = np.full((len(vectors), cells.shards), -1, np.int64)
    for shard in range(cells.shards):
        members = cells.in_shard(shard).cells
        position = np.argmax(scores[:, members], axis=1)
        best[:, shard] = scores[np.arange(len(vectors)), members[position]]
        best_cell[:, shard] = members[position]
    best[np.arange(len(vectors)), cells.shard[home]] = -np.inf
    nearest = _top(best, min(MAX_COPIES - 1, cells.shards - 1))
    rows = np.arange(len(vectors))[:, None]
    slots = slice(1, 1 + nearest.shape[1])
    found.shard[:, slots] = nearest
    found.cell[:, slots] = best_cell[rows, nearest]
    found.gap[:, slots] = np.maximum(0.0, own[:, None] - best[rows, nearest])


def near_width(nprobe: int) -> int:
    """Return how many cells near its home cell a query ranks to choose ``nprobe`` of them."""
    return max(_NEAR, 8 * nprobe)


def probes(vectors: NDArray[Any], home: Ints, shard: Shard, nprobe: int) -> Ints:
    """Choose the cells that each query probes in one shard.

    Parameters
    ----------
    vectors : ndarray of float, shape (n, d)
    home : ndarray of int64, shape (n,)
        Each query's cell in this shard.
    shard : Shard
    nprobe : int

    Returns
    -------
    ndarray of int64, shape (n, min(nprobe, cells of the shard))
        Positions within ``shard.cells``, best first.
    """
    width = min(len(shard.cells), near_width(nprobe))
    chosen = np.empty((len(vectors), min(nprobe, len(shard.cells))), np.int64)
    order = np.argsort(home, kind="stable")
    bounds = np.flatnonzero(np.diff(home[order], prepend=-1, append=-1))
    for start, stop in itertools.pairwise(bounds):
        rows = order[start:stop]
        near = shard.near(int(home[rows[0]]), width)
        chosen[rows] = near[_top(vectors[rows].astype(np.float64) @ shard.centroids[near].T, chosen.shape[1])]
    return chosen


def _top(scores: Doubles, width: int) -> Ints:
    """Return the columns of the ``width`` largest scores in each row, best first, ties by column."""
    if width < scores.shape[1]:
        columns = np.sort(np.argpartition(-scores, width - 1, axis=1)[:, :width], axis=1)
    else:
        columns = np.broadcast_to(np.arange(scores.shape[1]), scores.shape)
    kept = np.take_along_axis(scores, columns, axis=1)
    return np.take_along_axis(columns, np.argsort(-kept, axis=1, kind="stable"), axis=1)
