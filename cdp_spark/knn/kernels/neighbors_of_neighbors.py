"""Neighbours of neighbours: what a search of few cells has missed is mostly in the lists of what it has found.

In: the rows of one shard and their neighbour lists. Out: better lists. As in NN-descent (Dong, Charikar and Li, WWW
2011) each row is compared with the neighbours of its neighbours, and with rows that have it in their own lists and the
neighbours of these, over a few rounds; here from lists that hold most neighbours already. What two earlier entries have
led to is not tried again. All lists of a round are made from those of the one before, and ranked in float64, so that
the order of the rows decides nothing.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cdp_spark.base.compiled import compiled
from cdp_spark.base.numeric.float16 import rough_dot_with, similarity_with, slack_of, spread, values_of
from cdp_spark.base.numeric.simd import prefetch, prefetch_one
from cdp_spark.knn.kernels.exact_ranking import Near, Rows, insert_row
from cdp_spark.knn.kernels.search_cells import Block, Floats, Ints, Lists, lists_of, rows_of

_ROUNDS = 4
_SETTLED = 0.0005
"""Share of the places that a round must change to be worth another. A recall of .99 leaves few, and late rounds, in
which nothing is tried again, cost little."""

VIA = 16
"""So many of a row's nearest neighbours are asked for theirs."""

LISTING = 8
"""And so many of the rows that list it and are not in its list, the most similar: without them twice as much stays
missed."""

_AHEAD = 6
"""So many vectors, and lists, before it is their turn they are asked for: what is random takes its time to come."""


class _Before(NamedTuple):
    """What a round starts from.

    Attributes
    ----------
    near : ndarray of int32, shape (rows, k)
    fresh : ndarray of bool, shape (rows, k)
        Which places have changed in the last round.
    changed : ndarray of bool, shape (rows,)
        Lists with such a place.
    listing, listed : ndarray of int32, shape (rows, LISTING)
        Who else lists a row, now and in the last round.
    """

    near: Ints
    fresh: NDArray[np.bool_]
    changed: NDArray[np.bool_]
    listing: Ints
    listed: Ints


def expanded(rows: Block, near: Ints, similarities: Floats, *, threads: int = 1) -> Lists:
    """Improve the lists of all rows of a shard.

    Parameters
    ----------
    rows : Block
    near : ndarray of int32, shape (rows, k)
        The list of each row, of row numbers, by (-similarity, item); -1: none. Changed in place.
    similarities : ndarray of float32, shape (rows, k)
        -inf where there is none. Changed in place.
    threads : int
        Share the rows of a round.

    Returns
    -------
    Lists
        No list is worse than before.
    """
    bounds = np.linspace(0, len(near), threads + 1).astype(np.int64)
    lists, fresh, slack = Near(near, similarities), np.ones(near.shape, np.bool_), slack_of(rows.vectors.shape[1])
    shape = len(near), LISTING
    listing, listed = Near(np.empty(shape, np.int32), np.empty(shape, np.float32)), np.full(shape, -1, np.int32)
    read = rows_of(rows)
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(_ROUNDS):
            list(pool.map(partial(_listing, lists, read.items, listing), bounds[:-1], bounds[1:]))
            changed = np.asarray(fresh.any(axis=1))
            before = _Before(near.copy(), fresh.copy(), changed, listing.rows, listed)
            some = partial(_improved, read, before, slack, (lists, fresh))
            if sum(pool.map(some, bounds[:-1], bounds[1:])) <= _SETTLED * near.size:
                break
            listed[:] = listing.rows
    return lists_of(rows.items, near, similarities)


@compiled
def _listing(lists, items, listing, start, stop):  # type: ignore[no-untyped-def]
    """Find for some rows the most similar ones that have them in their lists and are not in theirs."""
    near, similarities = lists
    found, best = listing
    found[start:stop], best[start:stop] = -1, -np.inf
    for row in range(len(near)):
        for other in near[min(row + _AHEAD, len(near) - 1)]:
            if start <= other < stop:
                prefetch(best, other)
                prefetch(near, other)
        for place in range(near.shape[1]):
            other = near[row, place]
            if other < 0:
                break
            if not start <= other < stop:
                continue
            similarity = similarities[row, place]
            if similarity >= best[other, LISTING - 1] and not _holds(near[other], row):
                insert_row(similarity, row, items, found[other], best[other])


def _improved(
    rows: Rows, known: _Before, slack: float, changing: tuple[Near, NDArray[np.bool_]], start: np.int64, stop: np.int64
) -> int:
    """Improve the lists of some rows from those before the round; return how many places have changed."""
    changes: int = _round(rows, known, slack, changing, _room(rows, known.near.shape[1]), (start, stop))
    return changes


@compiled
def _round(rows, known, slack, changing, buffers, part):  # type: ignore[no-untyped-def]
    items, bits, norms = rows
    (near, similarities), fresh = changing
    seen, untried, values = buffers
    changes, last = 0, near.shape[1] - 1
    for row in range(part[0], part[1]):
        count = _untried(row, known, seen, untried)
        spread(bits[row], values)
        for number in range(-_AHEAD, count):
            if number + _AHEAD < count:
                prefetch(bits, untried[number + _AHEAD])
                prefetch_one(norms, untried[number + _AHEAD])
            if number < 0:
                continue
            other = untried[number]
            scale = norms[row] * norms[other]
            # Few are good enough, and float32 tells of nearly all others.
            if rough_dot_with(values, bits[other]) >= (similarities[row, last] - slack) * scale:
                similarity = similarity_with(values, bits[other], scale)
                changes += insert_row(similarity, other, items, near[row], similarities[row])
        for place in range(near.shape[1]):
            fresh[row, place] = not _holds(known.near[row], near[row, place])
    return changes


@compiled
def _holds(some, row):  # type: ignore[no-untyped-def]
    """Tell whether a row is among some; ``(some == row).any()`` would allocate."""
    found = False
    for other in some:
        found |= other == row
    return found


def _room(rows: Rows, k: int) -> tuple[Ints, Ints, Floats]:
    """Return a set of rows, half of whose places are used at most, room for those that are tried, and for a vector."""
    tried = (VIA + LISTING) * (k + 1)
    places = 1 << int(np.ceil(np.log2(2 * (tried + k + 1))))
    return np.empty(places, np.int32), np.empty(tried, np.int32), values_of(rows.vectors)


@compiled
def _untried(row, known, seen, untried):  # type: ignore[no-untyped-def]
    """Collect what two entries lead to, unless two earlier ones have: the list of a neighbour, or of who lists the row.

    Returns
    -------
    int
        How many are in ``untried``.
    """
    near, fresh, changed, listing, listed = known
    count, asked = 0, min(VIA, near.shape[1])
    seen[:] = -1
    _add(seen, row)
    for neighbor in near[row]:
        if neighbor >= 0:
            _add(seen, neighbor)
    for place in range(asked + LISTING):
        via = near[row, place] if place < asked else listing[row, place - asked]
        if via < 0:
            continue
        all_new = fresh[row, place] if place < asked else not _holds(listed[row], via)
        if not all_new and not changed[via]:
            continue
        for step in range(-1, near.shape[1]):
            other = via if step < 0 else near[via, step]
            if other < 0:
                break
            if (all_new or (step >= 0 and fresh[via, step])) and _add(seen, other):
                untried[count] = other
                count += 1
    return count


@compiled
def _add(seen, row):  # type: ignore[no-untyped-def]
    """Add a row to a set; tell whether it is new."""
    last = len(seen) - 1
    place = (row * 0x9E3779B1 >> 7) & last
    while seen[place] >= 0:
        if seen[place] == row:
            return False
        place = (place + 1) & last
    seen[place] = row
    return True
