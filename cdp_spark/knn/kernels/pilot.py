"""How many cells a search must visit when neighbours of neighbours complete it: tried on a few queries.

A true neighbour is in the expanded list of a query when it is in its own list or in that of one of its neighbours. From
the lists of some queries and of their true neighbours, by number of cells visited, the recall after one round of
expansion is counted, not guessed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cdp_spark.knn.kernels import neighbor_lists as neighbour_lists
from cdp_spark.knn.kernels.cells import Cells, Shard
from cdp_spark.knn.kernels.choose_probing import margin
from cdp_spark.knn.kernels.home_and_spill import MAX_COPIES, places
from cdp_spark.knn.kernels.neighbors_of_neighbors import VIA
from cdp_spark.knn.kernels.search_cells import Lists

Ints = NDArray[np.int32]
Longs = NDArray[np.int64]
Doubles = NDArray[np.float64]

_NOWHERE = -2
"""No item, and not the -1 of a list's place that is not used."""

_LEAST, _GROWTH = 1 / 24, 2
"""The cells that are tried, as shares of those that the search alone needs, and from one number to the next."""

_FURTHER = 0.85
"""What is missed in the end, over the geometric mean of what one round misses and what a second one would: .40 to .64
on made vectors and Omniglot, .82 on long-tailed made people, many of whom have one image. Rows that list a row are
asked too, which the pilot, that has the lists of few, cannot tell. The audit tells where it is more; then all is
searched again, so rather a few cells too many."""

_STAYS, _NEVER = 0.33, 0.002
"""But never less than a share of what one round misses, and what none finds. Where few are missed that is a line: .25
and .001 on a million made vectors, .31 and .002 on Omniglot."""


def ladder(most: int) -> list[int]:
    """Return how many cells to try, rising: fewer than ``most``.

    >>> ladder(10), ladder(170), ladder(2)
    ([1, 2, 4, 8], [8, 16, 32, 64, 128], [1])
    """
    first = max(1, math.ceil(most * _LEAST))
    steps = [first * _GROWTH**step for step in range(8)]
    return [step for step in steps if step < most]


def cells_needed(steps: Sequence[int], found: Sequence[tuple[Doubles, Doubles]], target: float, most: int) -> int:
    """Return the fewest cells whose lists promise the target once they are expanded, and an audit that says so.

    A second round begins with lists as good as those of a search of more cells: what it would do is read off there.

    Parameters
    ----------
    steps : sequence of int
        Of :func:`ladder`.
    found : sequence of (ndarray of float64, ndarray of float64)
        By step, recalls of the queries before and after one round, of :func:`recalls`.
    target : float
    most : int
        The cells that are enough without expansion.

    Examples
    --------
    >>> found = [(np.full(500, 0.7), np.full(500, 0.85)), (np.full(500, 0.85), np.full(500, 0.95))]
    >>> cells_needed([8, 16], found, 0.96, 60)
    14
    """
    before, after = (np.array([1 - each[round_].mean() for each in found]) for round_ in (0, 1))
    order = np.argsort(before)
    twice = np.interp(after, [0.0, *before[order]], [0.0, *after[order]])
    stays = np.clip(_FURTHER * np.sqrt(twice / np.maximum(after, 1e-12)), _STAYS, 1.0)
    margins = [margin(each[1], share) for each, share in zip(found, stays, strict=True)]
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
    """Return the cells that each query visits in each step beyond those of the steps before.

    Parameters
    ----------
    queries : ndarray of float64, shape (q, d)
        float16 values.
    cells : Cells
    spill : float
        Queries ask in every shard that holds them.
    steps : sequence of int
        Cells of a shard visited up to each step, rising.

    Returns
    -------
    ndarray of int32, shape (q, steps, cells)
        Numbers of cells; -1: none.
    """
    asking = places(queries, cells)
    held = (asking.gap <= spill) | (np.arange(MAX_COPIES) == 0)
    slots = int(np.flatnonzero(held.any(axis=0)).max()) + 1 if len(queries) else 1
    ranked = np.full((len(queries), slots, steps[-1]), -1, np.int32)
    for slot in range(slots):
        for number in np.unique(asking.shard[held[:, slot], slot]):
            rows = np.flatnonzero(held[:, slot] & (asking.shard[:, slot] == number))
            shard = cells.in_shard(int(number))
            ranked[rows, slot] = _nearest_by_step(shard, queries[rows], steps)
    most = max(high - low for low, high in pairwise([0, *steps]))
    by_step = np.full((len(queries), len(steps), slots, most), -1, np.int32)
    for step, (low, high) in enumerate(pairwise([0, *steps])):
        by_step[:, step, :, : high - low] = ranked[:, :, low:high]
    return by_step.reshape(len(queries), len(steps), -1)


def _nearest_by_step(shard: Shard, queries: Doubles, steps: Sequence[int]) -> Ints:
    """Return the nearest cells of a shard, those of an earlier step before those of a later one; -1: none."""
    found = np.full((len(queries), steps[-1]), -1, np.int32)
    known = np.zeros((len(queries), len(shard.cells)), np.bool_)
    for low, high in pairwise([0, *steps]):
        nearest = shard.probes(queries, high)
        further = ~np.take_along_axis(known, nearest, axis=1)
        stop = max(low, nearest.shape[1])
        found[:, low:stop] = shard.cells[nearest[further]].reshape(len(queries), stop - low)
        np.put_along_axis(known, nearest, True, axis=1)
    return found


def cumulative(found: Sequence[NDArray[Any]], *, queries: int, steps: int, k: int) -> list[Lists]:
    """Return the lists of all queries after each step: the k best of what it and those before have found.

    Parameters
    ----------
    found : four ndarrays: query (by place, rising), step, neighbour (int64), similarity (float32)
        An item may come more than once, found in several shards.
    queries, steps, k : int
    """
    query, step, neighbors, similarities = found
    lists = []
    for number in range(steps):
        kept = step <= number
        offsets = np.concatenate([[0], np.cumsum(np.bincount(query[kept], minlength=queries))]).astype(np.int64)
        lists.append(neighbour_lists.merge(offsets, neighbors[kept], similarities[kept], k))
    return lists


def recalls(lists: Lists, items: Longs, wanted: Sequence[tuple[int, Longs]]) -> tuple[Doubles, Doubles]:
    """Return for each query which share of its true neighbours its list holds, and one round of expansion would find.

    Parameters
    ----------
    lists : Lists
        Of the queries and of their true neighbours.
    items : ndarray of int64, rising
        Whose lists they are.
    wanted : sequence of (int, ndarray of int64)
        Queries, as items, and their true neighbours; one that equals another vector is named by the item that is
        searched for both, which may be the query.

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
    place = np.minimum(np.searchsorted(items, via), len(items) - 1)
    reached = np.where((items[place] == via)[:, :, None], known[place], -1)
    both = np.hstack([own, reached.reshape(len(queries), -1)])
    return _shares(true, own), _shares(true, both)


def _shares(true: Longs, found: Longs) -> Doubles:
    """Return which share of the true of each row is among the found."""
    held = (true[:, :, None] == found[:, None, :]).any(axis=2)
    shares: Doubles = held.sum(axis=1) / np.maximum(1, (true != _NOWHERE).sum(axis=1))
    return shares
