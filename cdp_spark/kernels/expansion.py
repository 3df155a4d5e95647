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

import numpy as np
from numba import njit

from cdp_spark.kernels.halves import bits_of, similarity_with, spread
from cdp_spark.kernels.search import Block, Lists

_ROUNDS = 3
_SETTLED = 0.005
"""Share of the places that a round must change to be worth another."""

VIA = 16
"""So many of a row's nearest neighbours are asked for theirs."""

LISTING = 8
"""And so many of the rows that list it and are not in its list, the most similar: without them twice as much stays
missed."""


def expanded(rows: Block, lists: Lists, *, threads: int = 1) -> Lists:
    """Improve the lists of all rows of a shard.

    Parameters
    ----------
    rows : Block
    lists : Lists
        One of each row, in the order of the rows; neighbours are **row numbers**. Changed in place.
    threads : int
        Share the rows of a round.

    Returns
    -------
    Lists
        Neighbours are items, by (-similarity, item); no list is worse than before.
    """
    near = np.where(np.arange(lists.neighbors.shape[1]) < lists.counts[:, None], lists.neighbors, -1).astype(np.int32)
    similarities = lists.similarities
    similarities[near < 0] = -np.inf
    bounds = np.linspace(0, len(near), threads + 1).astype(np.int64)
    bits, fresh = bits_of(rows.vectors), np.ones(near.shape, np.bool_)
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(_ROUNDS):
            before, was_fresh, listing = near.copy(), fresh.copy(), _listing(near, similarities, rows.items)
            known = (bits, rows.norms, rows.items, before, was_fresh, listing)
            some = partial(_round, *known, near, similarities, fresh)
            if sum(pool.map(some, bounds[:-1], bounds[1:])) <= _SETTLED * near.size:
                break
    counts = (near >= 0).sum(axis=1)
    similarities[near < 0] = 0
    return Lists(np.where(near >= 0, rows.items[near], -1), similarities, counts)


@njit(cache=True)
def _listing(near, similarities, items):  # type: ignore[no-untyped-def]
    """Return for each row the most similar rows that have it in their lists and are not in its own."""
    found = np.full((len(near), LISTING), -1, np.int32)
    best = np.full(found.shape, -np.inf, np.float32)
    for row in range(len(near)):
        for place in range(near.shape[1]):
            other = near[row, place]
            if other < 0:
                break
            similarity = similarities[row, place]
            if similarity >= best[other, LISTING - 1] and not (near[other] == row).any():
                _insert(similarity, row, items, found[other], best[other])
    return found


@njit(cache=True, nogil=True)
def _round(  # type: ignore[no-untyped-def]
    bits, norms, items, before, was_fresh, listing, near, similarities, fresh, start, stop
):
    """Improve the lists of some rows from the lists ``before``; return how many places have changed."""
    changes, values = 0, np.empty(bits.shape[1], np.float32)
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
                    similarity = similarity_with(values, bits[other], norms[row] * norms[other])
                    changes += _insert(similarity, other, items, near[row], similarities[row])
        for place in range(near.shape[1]):
            fresh[row, place] = not (before[row] == near[row, place]).any()
    return changes


@njit(cache=True)
def _insert(similarity, row, items, near, similarities):  # type: ignore[no-untyped-def]
    """Insert into one list kept by (-similarity, item); tell whether it was good enough."""
    place = len(near) - 1
    if similarity < similarities[place] or (
        similarity == similarities[place] and near[place] >= 0 and items[row] > items[near[place]]
    ):
        return 0
    while place > 0 and (
        similarities[place - 1] < similarity
        or (similarities[place - 1] == similarity and items[near[place - 1]] > items[row])
    ):
        similarities[place] = similarities[place - 1]
        near[place] = near[place - 1]
        place -= 1
    similarities[place] = similarity
    near[place] = row
    return 1
