"""Count the items of clusters that two clusterings of the same items share as a whole."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Longs = NDArray[np.int64]


def items_alike(one: Longs, other: Longs) -> int:
    """Count the items in clusters of two or more that both clusterings have, item by item.

    Parameters
    ----------
    one, other : ndarray of int64, shape (n,)
        Smallest item of each item's cluster; an item without a cluster is its own.

    Returns
    -------
    int
        A whole number, so that no order and no machine shows.

    Examples
    --------
    >>> items_alike(np.array([0, 0, 2, 2, 4]), np.array([0, 0, 2, 2, 2]))
    2
    """
    # Equal clusters have equal smallest items, so counts by root compare them without a sort.
    count = len(one)
    of_one, of_other = np.bincount(one, minlength=count), np.bincount(other, minlength=count)
    shared = np.bincount(one[one == other], minlength=count)
    return int(shared[(shared > 1) & (shared == of_one) & (shared == of_other)].sum())
