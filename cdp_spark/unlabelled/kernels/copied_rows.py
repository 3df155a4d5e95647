"""Rows of varying length, copied from one flat array into another."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cdp_spark.base.compiled import compiled

Longs = NDArray[np.int64]


@compiled
def copy_rows(offsets: Longs, values: NDArray[Any], rows: Longs, starts: Longs, out: NDArray[Any]) -> None:
    """Copy some rows to given positions.

    Parameters
    ----------
    offsets : ndarray of int64, shape (n + 1,)
        Row ``i`` has the values from ``offsets[i]`` to ``offsets[i + 1]``.
    values : ndarray
    rows, starts : ndarray of int64, shape (m,)
        Row ``rows[i]`` is written from ``out[starts[i]]`` on.
    out : ndarray

    Examples
    --------
    >>> out = np.zeros(3)
    >>> copy_rows(np.array([0, 1, 3]), np.array([5.0, 6.0, 7.0]), np.array([1, 0]), np.array([0, 2]), out)
    >>> out.tolist()
    [6.0, 7.0, 5.0]
    """
    for number in range(len(rows)):
        start, end = offsets[rows[number]], offsets[rows[number] + 1]
        for position in range(start, end):
            out[starts[number] + position - start] = values[position]
