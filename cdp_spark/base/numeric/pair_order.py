"""Put pairs of numbers in order, and find each once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Longs = NDArray[np.int64]


def order_of_pairs(first: Longs, second: Longs) -> Longs:
    """Return the places of the pairs, sorted by (first, second), equal ones as they come; no number is negative.

    >>> order_of_pairs(np.array([5, 0, 5]), np.array([9, 7, 8])).tolist()
    [1, 2, 0]
    """
    width = int(second.max(initial=-1)) + 1
    if (int(first.max(initial=-1)) + 1) * width <= np.iinfo(np.int64).max:
        return np.argsort(first * width + second, kind="stable")  # faster than to sort by one after the other
    return np.lexsort((second, first))


def first_of_each_pair(first: Longs, second: Longs) -> Longs:
    """Return the places of distinct pairs, of equal ones the first, sorted by (first, second).

    >>> first_of_each_pair(np.array([5, 0, 5]), np.array([9, 7, 9])).tolist()
    [1, 0]
    """
    order = order_of_pairs(first, second)
    new = np.ones(len(order), bool)
    new[1:] = (np.diff(first[order]) != 0) | (np.diff(second[order]) != 0)
    return order[new]
