"""How many cells a search must visit when neighbours of neighbours complete it: tried on a few queries.

A true neighbour is in the expanded list of a query when it is in its own list or in that of one of its neighbours. From
the lists of some queries and of their true neighbours, by number of cells visited, the recall after one round of
expansion is counted, not guessed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from cdp_spark.kernels import lists as neighbour_lists
from cdp_spark.kernels.cells import MAX_COPIES, Cells, places
from cdp_spark.kernels.expansion import VIA
from cdp_spark.kernels.search import Lists
from cdp_spark.kernels.tuning import margin

Ints = NDArray[np.int32]
Longs = NDArray[np.int64]
Doubles = NDArray[np.float64]

_LEAST, _GROWTH = 1 / 24, 2
"""The cells that are tried, as shares of those that the search alone needs, and from one number to the next."""

_STAYS = 0.5
"""So much of what one round misses is missed in the end, at most: a million made vectors gave .33 to .41. The audit
tells where it is more."""


def ladder(most: int) -> list[int]:
    """Return how many cells to try, rising; none where it is not worth the while.

    >>> ladder(10), ladder(170), ladder(2)
    ([1, 2, 4], [8, 16, 32, 64], [])
    """
    first = max(1, math.ceil(most * _LEAST))
    steps = [first * _GROWTH**step for step in range(8)]
    return [step for step in steps if 2 * step < most]


def cells_needed(steps: Sequence[int], recalls: Sequence[Doubles], target: float, most: int) -> int:
    """Return the fewest cells whose lists promise the target once they are expanded.

    Parameters
    ----------
    steps : sequence of int
        Of :func:`ladder`.
    recalls : sequence of ndarray of float64
        By step, of :func:`expanded_recalls`.
    target : float
    most : int
        The cells that are enough without expansion.

    Examples
    --------
    >>> cells_needed([8, 16], [np.full(500, 0.8), np.full(500, 0.96)], 0.95, 60)
    13
    """
    expected = [_STAYS * ((1 - recall).mean() + margin(recall)) for recall in recalls]
    allowed = 1 - target
    for number, (step, missed) in enumerate(zip(steps, expected, strict=True)):
        if missed > allowed:
            continue
        if number == 0:
            return step
        way = (expected[number - 1] - allowed) / max(expected[number - 1] - missed, 1e-12)
        return math.ceil(steps[number - 1] * math.pow(step / steps[number - 1], way))
    return most


def probes_by_step(queries: Doubles, cells: Cells, spill: float, steps: Sequence[int]) -> list[Ints]:
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
    list of ndarray of int32, shape (q, cells of the step)
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
            nearest = shard.ranked(queries[rows], steps[-1])
            ranked[rows, slot, : nearest.shape[1]] = shard.cells[nearest]
    return [ranked[:, :, low:high].reshape(len(queries), -1) for low, high in pairwise([0, *steps])]


def cumulative(steps: Sequence[Lists]) -> list[Lists]:
    """Return the lists after each step: the k best of what it and those before have found.

    Parameters
    ----------
    steps : sequence of Lists
        Of the same queries; an item may come more than once, found in several shards.
    """
    found = [steps[0]]
    for step in steps[1:]:
        (items, scores), (more, their_scores) = _columns(found[-1]), _columns(step)
        neighbors, similarities = np.concatenate([items, more], axis=1), np.concatenate([scores, their_scores], axis=1)
        used = neighbors >= 0
        offsets = np.concatenate([[0], np.cumsum(used.sum(axis=1))]).astype(np.int64)
        found.append(neighbour_lists.merge(offsets, neighbors[used], similarities[used], more.shape[1]))
    return found


def _columns(lists: Lists) -> tuple[Longs, NDArray[np.float32]]:
    used = np.arange(lists.neighbors.shape[1]) < lists.counts[:, None]
    return np.where(used, lists.neighbors, -1), lists.similarities


def expanded_recalls(lists: Lists, items: Longs, wanted: Sequence[tuple[int, Longs]]) -> Doubles:
    """Return for each query which share of its true neighbours one round of expansion would find.

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
    >>> expanded_recalls(lists, np.array([1, 2, 3]), [(1, np.array([2, 4])), (1, np.array([5, 2]))]).tolist()
    [1.0, 0.5]
    """
    known, _ = _columns(lists)
    found = np.empty(len(wanted))
    for number, (query, true) in enumerate(wanted):
        own = known[np.searchsorted(items, query)]
        via = np.intersect1d(own[:VIA], items)
        reached = known[np.searchsorted(items, via)]
        found[number] = np.isin(true, np.concatenate([[query], own, reached.ravel()])).mean()
    return found
