"""Improve neighbour lists by neighbours of neighbours: these are most of what a search of few cells misses.

In: the rows of one shard and their neighbour lists. Out: better lists. As in NN-descent (Dong, Charikar and Li, WWW
2011), a few rounds compare each row with the neighbours of its neighbours, with the rows that list it, and with the
neighbours of these; here the lists hold most neighbours from the start. A pair that two earlier entries led to is not
compared again. A round reads only the lists of the round before, and ranks in float64, so that the order of the rows
does not matter.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cdp_spark.base.compiled import compiled
from cdp_spark.base.numeric.float16 import rough_dot_with, similarity_with, slack_of, spread, values_of
from cdp_spark.base.numeric.simd import prefetch, prefetch_one
from cdp_spark.knn.kernels.exact_ranking import Near, Rows, insert_row
from cdp_spark.knn.kernels.search_cells import Block, Floats, Ints, Lists, Longs, lists_of, rows_of

_ROUNDS = 4
_SETTLED = 0.0005
"""Share of the entries that a round must change to be worth another. At a recall of .99 few entries remain to change,
and late rounds, which repeat no comparison, cost little."""

VIA = 16
"""Nearest neighbours of a row whose neighbours are compared with it."""

LISTING = 8
"""Most similar rows that list a row without being in its list, which are treated as its neighbours: without them twice
as many neighbours stay missed."""

_AHEAD = 6
"""Prefetch distance, in vectors or lists: random reads are latency-bound."""


class _Before(NamedTuple):
    """The lists before a round, and what changed in the round before.

    Attributes
    ----------
    near : ndarray of int32, shape (rows, k)
    fresh : ndarray of bool, shape (rows, k)
        Entries that the last round changed.
    changed : ndarray of bool, shape (rows,)
        Lists with such an entry.
    listing, listed : ndarray of int32, shape (rows, LISTING)
        Other rows that list a row, now and in the last round.
    """

    near: Ints
    fresh: NDArray[np.bool_]
    changed: NDArray[np.bool_]
    listing: Ints
    listed: Ints


class _Buffers(NamedTuple):
    """A hash set of rows, at most half full; rows to try; values of one vector."""

    seen: Ints
    untried: Ints
    values: Floats


def expanded(rows: Block, near: Ints, similarities: Floats, *, threads: int = 1) -> Lists:
    """Improve the lists of all rows of a shard.

    Parameters
    ----------
    rows : Block
    near : ndarray of int32, shape (rows, k)
        Row numbers by (-similarity, item); -1: none. Changed in place.
    similarities : ndarray of float32, shape (rows, k)
        -inf if there is none. Changed in place.
    threads : int
        The rows of a round are divided among them.

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
            list(pool.map(partial(_listing, lists, read.items, listing), pairwise(bounds.tolist())))
            changed = np.asarray(fresh.any(axis=1))
            before = _Before(near.copy(), fresh.copy(), changed, listing.rows, listed)
            improve = partial(_improved, read, before, slack, (lists, fresh))
            if sum(pool.map(improve, pairwise(bounds.tolist()))) <= _SETTLED * near.size:
                break
            listed[:] = listing.rows
    return lists_of(rows.items, near, similarities)


@compiled
def _listing(lists: Near, items: Longs, listing: Near, span: tuple[int, int]) -> None:
    """Find the most similar rows that list a row of the span without being listed."""
    near, similarities = lists
    nearest, best = listing
    start, stop = span
    nearest[start:stop], best[start:stop] = -1, -np.inf
    for row in range(len(near)):
        for other in near[min(row + _AHEAD, len(near) - 1)]:
            if start <= other < stop:
                prefetch(best, other)
                prefetch(near, other)
        for i in range(near.shape[1]):
            other = near[row, i]
            if other < 0:
                break
            if not start <= other < stop:
                continue
            similarity = similarities[row, i]
            if similarity >= best[other, LISTING - 1] and not _holds(near[other], row):
                insert_row(similarity, row, items, nearest[other], best[other])


def _improved(
    rows: Rows, known: _Before, slack: float, changing: tuple[Near, NDArray[np.bool_]], span: tuple[int, int]
) -> int:
    """Improve the lists of a span of rows; return the number of changes."""
    return _round(rows, known, slack, changing, _buffers(rows, known.near.shape[1]), span)


@compiled
def _round(
    rows: Rows,
    known: _Before,
    slack: float,
    changing: tuple[Near, NDArray[np.bool_]],
    buffers: _Buffers,
    span: tuple[int, int],
) -> int:
    items, bits, norms = rows
    (near, similarities), fresh = changing
    seen, untried, values = buffers
    changes, last = 0, near.shape[1] - 1
    for row in range(span[0], span[1]):
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
            # Few are good enough; float32 suffices to rule out nearly all others.
            if rough_dot_with(values, bits[other]) >= (similarities[row, last] - slack) * scale:
                similarity = similarity_with(values, bits[other], scale)
                changes += insert_row(similarity, other, items, near[row], similarities[row])
        for i in range(near.shape[1]):
            fresh[row, i] = not _holds(known.near[row], near[row, i])
    return changes


@compiled
def _holds(some: Ints, row: int) -> bool:
    """Return whether some rows include a row; ``(some == row).any()`` would allocate."""
    held = False
    for other in some:
        held |= other == row
    return held


def _buffers(rows: Rows, k: int) -> _Buffers:
    tried = (VIA + LISTING) * (k + 1)
    slots = 1 << int(np.ceil(np.log2(2 * (tried + k + 1))))
    return _Buffers(np.empty(slots, np.int32), np.empty(tried, np.int32), values_of(rows.vectors))


@compiled
def _untried(row: int, known: _Before, seen: Ints, untried: Ints) -> int:
    """Collect the rows that two entries lead to, unless two earlier ones did.

    The first entry is a neighbour or a row that lists this one; the second is in the list of the first.

    Returns
    -------
    int
        Number of rows in ``untried``.
    """
    near, fresh, changed, listing, listed = known
    count, asked = 0, min(VIA, near.shape[1])
    seen[:] = -1
    _add(seen, row)
    for neighbor in near[row]:
        if neighbor >= 0:
            _add(seen, neighbor)
    for i in range(asked + LISTING):
        via = near[row, i] if i < asked else listing[row, i - asked]
        if via < 0:
            continue
        all_new = fresh[row, i] if i < asked else not _holds(listed[row], via)
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
def _add(seen: Ints, row: int) -> bool:
    """Add a row to a hash set; tell whether it is new."""
    last = len(seen) - 1
    slot = (row * 0x9E3779B1 >> 7) & last
    while seen[slot] >= 0:
        if seen[slot] == row:
            return False
        slot = (slot + 1) & last
    seen[slot] = row
    return True
