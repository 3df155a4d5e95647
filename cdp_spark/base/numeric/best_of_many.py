"""Keep the best of many scores: pools are filled with what passes a bound, and thinned to the best when they are full.

A list that is kept sorted moves half of its entries for each that comes in; a pool of twice the room does not, and its
bound rises only each time it is thinned: about once every time that the scores seen have doubled.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cdp_spark.base.compiled import compiled
from cdp_spark.base.numeric.simd import LANES, bits_above, lowest

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]


def pool_size(room: int) -> int:
    """Return the places that a pool of so much room needs: what may pass before it is thinned, and some lanes more."""
    return 2 * room + LANES


def empty_pools(count: int, room: int) -> tuple[Ints, Floats, NDArray[np.int64], Floats]:
    """Return empty pools: entries (-1 where there is none), scores, places used, and the bounds to pass.

    Shapes (count, places), twice, and (count,), twice.
    """
    entries = np.full((count, pool_size(room)), -1, np.int32)
    scores = np.full(entries.shape, -np.inf, np.float32)
    return entries, scores, np.zeros(count, np.int64), np.full(count, -np.inf, np.float32)


@compiled
def finish(entries, scores, used, room):  # type: ignore[no-untyped-def]
    """Thin all pools to the best ``room``, the worst of them last; places that are not used have no entry."""
    for pool in range(len(used)):
        if used[pool] > room:
            thin(scores[pool], entries[pool], used[pool], room)
        entries[pool, used[pool] :] = -1


@compiled
def thin(scores, entries, used, room):  # type: ignore[no-untyped-def]
    """Move the best ``room`` of the ``used`` entries to the front, the worst of these last; return its score."""
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
    return scores[room - 1]


@compiled(inline="always")
def _middle(a, b, c):  # type: ignore[no-untyped-def]
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
    shape, places = (len(scores), room), pool_size(room)
    columns, kept = np.empty(shape, np.int32), np.empty(shape, np.float32)
    _best_columns(scores, (columns, kept), (np.empty(places, np.float32), np.empty(places, np.int32)))
    return columns, kept


@compiled
def _best_columns(scores, best, buffers):  # type: ignore[no-untyped-def]
    (columns, kept), (pool, entries) = best, buffers
    room, width = columns.shape[1], scores.shape[1]
    for row in range(len(scores)):
        used, bound = 0, np.float32(-np.inf)
        for start in range(0, width, LANES):
            bits = bits_above(scores, row, start, bound)
            while bits:
                column = start + lowest(bits)
                bits &= bits - np.uint32(1)
                pool[used], entries[used] = scores[row, column], column
                used += 1
            if used >= 2 * room:
                bound, used = thin(pool, entries, used, room), room
        thin(pool, entries, used, room)
        for place in range(room):
            columns[row, place], kept[row, place] = entries[place], pool[place]
