"""Keep the best of many scores: a pool takes every score above its bound, and is thinned to the best when it is full.

A sorted list moves half of its entries for every new one. A pool of twice the room moves none, and its bound rises
only when it is thinned: about once each time that the number of scores seen has doubled.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cdp_spark.base.compiled import compiled
from cdp_spark.base.numeric.simd import LANES, bits_above, lowest

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]
Longs = NDArray[np.int64]


class Pools(NamedTuple):
    """One pool for each query.

    Attributes
    ----------
    entries : ndarray of int32, shape (n, size)
        -1 where a pool has no entry.
    scores : ndarray of float32, shape (n, size)
    used : ndarray of int64, shape (n,)
        Entries of each pool.
    bounds : ndarray of float32, shape (n,)
        A score must be above it to enter.
    """

    entries: Ints
    scores: Floats
    used: Longs
    bounds: Floats


def pool_size(room: int) -> int:
    """Return the size of a pool of ``room``: it is thinned once it has twice that."""
    return 2 * room + LANES


def empty_pools(count: int, room: int) -> Pools:
    """Return ``count`` empty pools that keep ``room`` entries each."""
    entries = np.full((count, pool_size(room)), -1, np.int32)
    scores = np.full(entries.shape, -np.inf, np.float32)
    return Pools(entries, scores, np.zeros(count, np.int64), np.full(count, -np.inf, np.float32))


@compiled
def finish(entries: Ints, scores: Floats, used: Longs, room: int) -> None:
    """Thin every pool to the best ``room``, the worst last; set the rest to -1."""
    for pool in range(len(used)):
        if used[pool] > room:
            thin(scores[pool], entries[pool], used[pool], room)
        entries[pool, used[pool] :] = -1


@compiled
def thin(scores: Floats, entries: Ints, used: int, room: int) -> np.float32:
    """Move the best ``room`` of ``used`` entries to the front, the worst one last.

    Returns
    -------
    float32
        Score of the worst of these.
    """
    low, high = 0, used - 1
    while low < high:
        pivot = _middle(scores[low], scores[(low + high) // 2], scores[high])
        i, j = low, high
        while i <= j:
            while scores[i] > pivot:
                i += 1
            while scores[j] < pivot:
                j -= 1
            if i <= j:
                scores[i], scores[j] = scores[j], scores[i]
                entries[i], entries[j] = entries[j], entries[i]
                i += 1
                j -= 1
        if room - 1 <= j:
            high = j
        elif room - 1 >= i:
            low = i
        else:
            break
    worst: np.float32 = scores[room - 1]
    return worst


@compiled(inline="always")
def _middle(a: np.float32, b: np.float32, c: np.float32) -> np.float32:
    return max(min(a, b), min(max(a, b), c))


def best_columns(scores: Floats, room: int) -> tuple[Ints, Floats]:
    """Find the columns of the largest scores of each row.

    Parameters
    ----------
    scores : ndarray of float32, shape (n, m)
    room : int
        At most ``m``.

    Returns
    -------
    columns : ndarray of int32, shape (n, room)
        In no order, but the worst of them last.
    kept : ndarray of float32, shape (n, room)
        Their scores.
    """
    shape, size = (len(scores), room), pool_size(room)
    columns, kept = np.empty(shape, np.int32), np.empty(shape, np.float32)
    _best_columns(scores, (columns, kept), (np.empty(size, np.int32), np.empty(size, np.float32)))
    return columns, kept


@compiled
def _best_columns(scores: Floats, best: tuple[Ints, Floats], pool: tuple[Ints, Floats]) -> None:
    (columns, kept), (entries, pool_scores) = best, pool
    room, width = columns.shape[1], scores.shape[1]
    for row in range(len(scores)):
        used, bound = 0, np.float32(-np.inf)
        for start in range(0, width, LANES):
            bits = bits_above(scores, row, start, bound)
            while bits:
                column = start + lowest(bits)
                bits &= bits - np.uint32(1)
                pool_scores[used], entries[used] = scores[row, column], column
                used += 1
            if used >= 2 * room:
                bound, used = thin(pool_scores, entries, used, room), room
        thin(pool_scores, entries, used, room)
        for i in range(room):
            columns[row, i], kept[row, i] = entries[i], pool_scores[i]
