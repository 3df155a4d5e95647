"""Number values densely: the items of an edge list, the clusters of a result."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Longs = NDArray[np.int64]


def numbered(values: Longs) -> tuple[Longs, Longs]:
    """Return the distinct values, ascending, and each value's position among them.

    Equals ``numpy.unique(values, return_inverse=True)``, which sorts. Values that are dense, as items are, need no
    sort.

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
    distinct, position = np.unique(values, return_inverse=True)
    return distinct, position


def positions(known: Longs, values: Longs) -> Longs:
    """Return the position of each value among known ones, distinct and ascending.

    >>> positions(np.array([3, 7, 8]), np.array([8, 3, 8])).tolist()
    [2, 0, 2]
    """
    position: Longs
    if not len(values) or not dense(int(known[0]), int(known[-1]), len(known)):
        position = np.searchsorted(known, values)
        return position
    table = np.empty(int(known[-1] - known[0]) + 1, np.int64)
    table[known - known[0]] = np.arange(len(known))
    position = table[values - known[0]]
    return position


def dense(low: int, high: int, count: int) -> bool:
    """Return whether a table of all values is cheaper than a sort of ``count`` values."""
    return high - low < 4 * count + 1024
