"""Number values densely: the items of an edge list, the clusters of a result."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Longs = NDArray[np.int64]


def numbered(values: Longs) -> tuple[Longs, Longs]:
    """Return the distinct values, rising, and the place of each value among them.

    The same as ``numpy.unique(values, return_inverse=True)``, which sorts; values that are dense already, as items
    are, need no sort.

    >>> [column.tolist() for column in numbered(np.array([7, 3, 7]))]
    [[3, 7], [1, 0, 1]]
    """
    if not len(values):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    low, high = int(values.min()), int(values.max())
    if dense(low, high, len(values)):
        present = np.zeros(high - low + 1, np.bool_)
        present[values - low] = True
        return np.flatnonzero(present) + low, (np.cumsum(present) - 1)[values - low]
    distinct, place = np.unique(values, return_inverse=True)
    return distinct, place


def places(known: Longs, values: Longs) -> Longs:
    """Return where each value is among rising distinct ones, all of which are known.

    >>> places(np.array([3, 7, 8]), np.array([8, 3, 8])).tolist()
    [2, 0, 2]
    """
    if not len(values) or not dense(int(known[0]), int(known[-1]), len(known)):
        found: Longs = np.searchsorted(known, values)
        return found
    table = np.empty(int(known[-1] - known[0]) + 1, np.int64)
    table[known - known[0]] = np.arange(len(known))
    place: Longs = table[values - known[0]]
    return place


def dense(low: int, high: int, count: int) -> bool:
    """Tell whether so many values between these bounds are better looked up in a table than sorted."""
    return high - low < 4 * count + 1024
