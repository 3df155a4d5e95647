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
from numba import njit
from numpy.typing import NDArray

from cdp_spark.kernels.halves import rough_dot_with, similarity_with, slack_of, spread
from cdp_spark.kernels.search import Block, Floats, Ints, Lists, Near, Rows, insert_row, lists_of

_ROUNDS = 4
_SETTLED = 0.005
"""Share of the places that a round must change to be worth another."""

VIA = 16
"""So many of a row's nearest neighbours are asked for theirs."""

LISTING = 8
"""And so many of the rows that list it and are not in its list, the most similar: without them twice as much stays
missed."""


class _Before(NamedTuple):
    """What a round starts from: all lists, which places have changed in the last round, and who else lists a row."""

    near: Ints
    fresh: NDArray[np.bool_]
    listing: Ints


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
    listing = Near(np.empty((len(near), LISTING), np.int32), np.empty((len(near), LISTING), np.float32))
    read = Rows.of(rows)
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(_ROUNDS):
            list(pool.map(partial(_listing, lists, rows.items, listing), bounds[:-1], bounds[1:]))
            before = _Before(near.copy(), fresh.copy(), listing.rows)
            some = partial(_round, read, before, slack, lists, fresh)
            if sum(pool.map(some, bounds[:-1], bounds[1:])) <= _SETTLED * near.size:
                break
    return lists_of(rows.items, near, similarities)


@njit(cache=True, nogil=True)
def _listing(lists, items, listing, start, stop):  # type: ignore[no-untyped-def]
    """Find for some rows the most similar ones that have them in their lists and are not in theirs."""
    near, similarities = lists
    found, best = listing
    found[start:stop], best[start:stop] = -1, -np.inf
    for row in range(len(near)):
        for place in range(near.shape[1]):
            other = near[row, place]
            if other < 0:
                break
            if not start <= other < stop:
                continue
            similarity = similarities[row, place]
            if similarity >= best[other, LISTING - 1] and not (near[other] == row).any():
                insert_row(similarity, row, items, found[other], best[other])


@njit(cache=True, nogil=True)
def _round(rows, known, slack, lists, fresh, start, stop):  # type: ignore[no-untyped-def]
    """Improve the lists of some rows from those before the round; return how many places have changed."""
    items, bits, norms = rows
    before, was_fresh, listing = known
    near, similarities = lists
    changes, values, last = 0, np.empty(bits.shape[1], np.float32), near.shape[1] - 1
    seen = np.full(len(items), -1, np.int32)
    for row in range(start, stop):
        seen[row] = row
        spread(bits[row], values)
        for neighbor in before[row]:
            if neighbor >= 0:
                seen[neighbor] = row
        asked = min(VIA, before.shape[1])
        for place in range(asked + LISTING):
            via = before[row, place] if place < asked else listing[row, place - asked]
            if via < 0:
                continue
            all_new = place >= asked or was_fresh[row, place]
            for step in range(-1, before.shape[1]):
                other = via if step < 0 else before[via, step]
                if other < 0:
                    break
                if seen[other] != row and (all_new or was_fresh[via, step]):
                    seen[other] = row
                    scale = norms[row] * norms[other]
                    # Few are good enough, and float32 tells of nearly all others.
                    if rough_dot_with(values, bits[other]) >= (similarities[row, last] - slack) * scale:
                        similarity = similarity_with(values, bits[other], scale)
                        changes += insert_row(similarity, other, items, near[row], similarities[row])
        for place in range(near.shape[1]):
            fresh[row, place] = not (before[row] == near[row, place]).any()
    return changes
