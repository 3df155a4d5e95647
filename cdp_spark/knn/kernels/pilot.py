"""Try on a few queries how many cells a search must visit if neighbours of neighbours complete it.

The expanded list of a query holds a true neighbour if the query's own list holds it, or that of one of its neighbours.
The lists of some queries and of their true neighbours, by number of cells visited, therefore give the exact recall
after one round of expansion.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cdp_spark.knn.kernels import neighbor_lists as neighbour_lists
from cdp_spark.knn.kernels.cells import MAX_COPIES, Cells, Shard, assign
from cdp_spark.knn.kernels.choose_probing import margin
from cdp_spark.knn.kernels.neighbors_of_neighbors import VIA
from cdp_spark.knn.kernels.search_cells import Lists

Ints = NDArray[np.int32]
Longs = NDArray[np.int64]
Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]

_NOWHERE = -2
"""No item; differs from -1, the unused entry of a list."""

_LEAST, _GROWTH = 1 / 24, 2
"""Fewest cells to try, as a share of those that a search without expansion needs, and the factor from step to step."""

_FURTHER = 0.85
"""Share missed in the end, divided by the geometric mean of the shares missed after one round and after two: .40 to .64
on synthetic vectors and Omniglot, .82 on synthetic long-tailed people, many of whom have one image. The expansion also
uses rows that list a row, which the pilot cannot see, since it has few lists. If the audit finds that more is missed,
the whole search is repeated, so a few cells too many are cheaper."""

_STAYS, _NEVER = 0.33, 0.002
"""Lower bound of the share missed in the end: ``_STAYS`` of what one round misses, plus ``_NEVER``. Where little is
missed, the relation is linear: .25 and .001 on a million synthetic vectors, .31 and .002 on Omniglot."""


def ladder(most: int) -> list[int]:
    """Return the numbers of cells to try, ascending, all below ``most``.

    >>> ladder(10), ladder(170), ladder(2)
    ([1, 2, 4, 8], [8, 16, 32, 64, 128], [1])
    """
    first = max(1, math.ceil(most * _LEAST))
    steps = [first * _GROWTH**step for step in range(8)]
    return [step for step in steps if step < most]


def cells_needed(steps: Sequence[int], recall: Sequence[tuple[Doubles, Doubles]], target: float, most: int) -> int:
    """Return the fewest cells whose expanded lists should reach the target.

    A second round starts from lists as good as those of a search of more cells, so its effect is interpolated there.

    Parameters
    ----------
    steps : sequence of int
        From :func:`ladder`.
    recall : sequence of (ndarray of float64, ndarray of float64)
        Recall of each query before and after one round, by step; from :func:`recalls`.
    target : float
    most : int
        Number of cells that suffices without expansion.

    Examples
    --------
    >>> recall = [(np.full(500, 0.7), np.full(500, 0.85)), (np.full(500, 0.85), np.full(500, 0.95))]
    >>> cells_needed([8, 16], recall, 0.96, 60)
    14
    """
    before, after = (np.array([1 - each[round_].mean() for each in recall]) for round_ in (0, 1))
    order = np.argsort(before)
    twice = np.interp(after, [0.0, *before[order]], [0.0, *after[order]])
    stays = np.clip(_FURTHER * np.sqrt(twice / np.maximum(after, 1e-12)), _STAYS, 1.0)
    margins = [margin(each[1], share) for each, share in zip(recall, stays, strict=True)]
    missed = stays * after + _NEVER + margins
    allowed = 1 - target
    for number, step in enumerate(steps):
        if missed[number] > allowed:
            continue
        if number == 0:
            return step
        way = (missed[number - 1] - allowed) / max(missed[number - 1] - missed[number], 1e-12)
        return math.ceil(steps[number - 1] * math.pow(step / steps[number - 1], way))
    return most


def probes_by_step(queries: Doubles, cells: Cells, spill: float, steps: Sequence[int]) -> Ints:
    """Return the cells that each step adds to those that a query visits.

    Parameters
    ----------
    queries : ndarray of float64, shape (q, d)
        float16 values.
    cells : Cells
    spill : float
        Queries search every shard that holds them.
    steps : sequence of int
        Cells of a shard visited up to each step, ascending.

    Returns
    -------
    ndarray of int32, shape (q, steps, cells)
        Numbers of cells; -1: none.
    """
    assigned = assign(queries, cells)
    held = (assigned.gap <= spill) | (np.arange(MAX_COPIES) == 0)
    slots = int(np.flatnonzero(held.any(axis=0)).max()) + 1 if len(queries) else 1
    ranked = np.full((len(queries), slots, steps[-1]), -1, np.int32)
    for slot in range(slots):
        for number in np.unique(assigned.shard[held[:, slot], slot]):
            rows = np.flatnonzero(held[:, slot] & (assigned.shard[:, slot] == number))
            shard = cells.in_shard(int(number))
            ranked[rows, slot] = _nearest_by_step(shard, queries[rows], steps)
    most = max(high - low for low, high in pairwise([0, *steps]))
    by_step = np.full((len(queries), len(steps), slots, most), -1, np.int32)
    for step, (low, high) in enumerate(pairwise([0, *steps])):
        by_step[:, step, :, : high - low] = ranked[:, :, low:high]
    return by_step.reshape(len(queries), len(steps), -1)


def _nearest_by_step(shard: Shard, queries: Doubles, steps: Sequence[int]) -> Ints:
    """Return the nearest cells of a shard, in the order of the steps; -1: none."""
    by_step = np.full((len(queries), steps[-1]), -1, np.int32)
    known = np.zeros((len(queries), len(shard.cells)), np.bool_)
    for low, high in pairwise([0, *steps]):
        nearest = shard.probes(queries, high)
        further = ~np.take_along_axis(known, nearest, axis=1)
        stop = max(low, nearest.shape[1])
        by_step[:, low:stop] = shard.cells[nearest[further]].reshape(len(queries), stop - low)
        np.put_along_axis(known, nearest, True, axis=1)
    return by_step


class StepEntries(NamedTuple):
    """Neighbours of queries, by the step that added them.

    One that is in several shards may be repeated.

    Attributes
    ----------
    query : ndarray of int64, ascending
        Index of the query.
    step, neighbors : ndarray of int64
    similarities : ndarray of float32
    """

    query: Longs
    step: Longs
    neighbors: Longs
    similarities: Floats


def cumulative(entries: StepEntries, *, queries: int, steps: int, k: int) -> list[Lists]:
    """Return the lists of all queries after each step: the k best up to then.

    Parameters
    ----------
    entries : StepEntries
    queries, steps, k : int
    """
    query, step, neighbors, similarities = entries
    lists = []
    for number in range(steps):
        kept = step <= number
        offsets = np.concatenate([[0], np.cumsum(np.bincount(query[kept], minlength=queries))]).astype(np.int64)
        lists.append(neighbour_lists.merge(neighbour_lists.Entries(offsets, neighbors[kept], similarities[kept]), k))
    return lists


def recalls(lists: Lists, items: Longs, wanted: Sequence[tuple[int, Longs]]) -> tuple[Doubles, Doubles]:
    """Return each query's recall before and after one round of expansion.

    Parameters
    ----------
    lists : Lists
        Lists of the queries and of their true neighbours.
    items : ndarray of int64, ascending
        The owner of each list.
    wanted : sequence of (int, ndarray of int64)
        Queries, as items, and their true neighbours. A neighbour with the same vector as another item is named by the
        item that is searched for both, which may be the query.

    Examples
    --------
    >>> lists = Lists(np.array([[2, -1], [3, 4], [0, 0]]), np.zeros((3, 2), np.float32), np.array([1, 2, 0]))
    >>> before, after = recalls(lists, np.array([1, 2, 3]), [(1, np.array([2, 4])), (1, np.array([5, 6, 2, 4]))])
    >>> before.tolist(), after.tolist()
    ([0.5, 0.25], [1.0, 0.5])
    """
    known = np.where(np.arange(lists.neighbors.shape[1]) < lists.counts[:, None], lists.neighbors, -1)
    queries = np.array([query for query, _ in wanted], np.int64)
    true = np.full((len(wanted), max([len(each) for _, each in wanted], default=0)), _NOWHERE)
    for row, (_, each) in enumerate(wanted):
        true[row, : len(each)] = each
    own = np.hstack([known[np.searchsorted(items, queries)], queries[:, None]])
    via = own[:, :VIA]
    position = np.minimum(np.searchsorted(items, via), len(items) - 1)
    reached = np.where((items[position] == via)[:, :, None], known[position], -1)
    both = np.hstack([own, reached.reshape(len(queries), -1)])
    return _shares(true, own), _shares(true, both)


def _shares(true: Longs, listed: Longs) -> Doubles:
    """Return the share of each row's true neighbours that are listed."""
    held = (true[:, :, None] == listed[:, None, :]).any(axis=2)
    shares: Doubles = held.sum(axis=1) / np.maximum(1, (true != _NOWHERE).sum(axis=1))
    return shares
