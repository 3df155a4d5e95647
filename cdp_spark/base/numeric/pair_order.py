"""Sort pairs of numbers, and keep each pair once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Longs = NDArray[np.int64]


def order_of_pairs(first: Longs, second: Longs) -> Longs:
    """Return the stable order of pairs of non-negative numbers.

    >>> order_of_pairs(np.array([5, 0, 5]), np.array([9, 7, 8])).tolist()
    [1, 2, 0]
    """
    width = int(second.max(initial=-1)) + 1
    if (int(first.max(initial=-1)) + 1) * width <= np.iinfo(np.int64).max:
        return np.argsort(first * width + second, kind="stable")  # faster than two sorts, one after the other
    return np.lexsort((second, first))


def first_of_each_pair(first: Longs, second: Longs) -> Longs:
    """Return the position of the first of all equal pairs, in the order of the pairs.

    >>> first_of_each_pair(np.array([5, 0, 5]), np.array([9, 7, 9])).tolist()
    [1, 0]
    """
    order = order_of_pairs(first, second)
    new = np.ones(len(order), bool)
    new[1:] = (np.diff(first[order]) != 0) | (np.diff(second[order]) != 0)
    return order[new]
