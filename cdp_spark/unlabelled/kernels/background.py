"""The background of an item in a model: how similar strangers are to it.

In: vectors of some items, and those of 1,000 items drawn by hash, the same for all. Out: median and spread of the
cosines between them. A cosine less the median, over the spread, means the same in every model and every set.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cdp_spark.base.numeric.float16 import row_norms
from cdp_spark.base.numeric.uniform_hashes import uniform

Longs = NDArray[np.int64]
Halves = NDArray[np.float16]
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

DRAWN = 1_000
"""Items that stand for the whole set."""

LEAST_SPREAD = 1e-3
_QUARTILE = 0.6745
"""Upper quartile of the standard normal distribution."""
_SALT = 0xBAC
_ROWS = 2_048


def drawn_items(items: Longs, count: int = DRAWN) -> Longs:
    """Return the items whose hashes are smallest, rising: any order and any division of the items gives the same.

    >>> drawn_items(np.arange(10), count=3).tolist() == drawn_items(np.arange(10)[::-1], count=3).tolist()
    True
    """
    return np.sort(items[np.lexsort((items, hashes(items)))[:count]])


def hashes(items: Longs) -> Doubles:
    """Return the hash in [0, 1) of each item: those whose hashes are smallest are drawn."""
    return uniform(items, _SALT)


def background(vectors: Halves, drawn: Halves) -> Doubles:
    """Measure the background of each row.

    Parameters
    ----------
    vectors : ndarray of float16, shape (n, d)
        Unit vectors, but for rounding.
    drawn : ndarray of float16, shape (m, d)
        Vectors of the items drawn, at least one.

    Returns
    -------
    ndarray of float64, shape (n, 2)
        Median, and (upper quartile - median) / .6745, at least .001. Products of float16 values add up exactly in
        float64, so results depend on neither batches nor threads.
    """
    measured = np.empty((len(vectors), 2), np.float64)
    others, lengths = drawn.astype(np.float64).T, row_norms(drawn)
    for start in range(0, len(vectors), _ROWS):
        rows = vectors[start : start + _ROWS]
        cosines = rows.astype(np.float64) @ others / (row_norms(rows)[:, None] * lengths)
        middle, upper = quantiles(cosines, (0.5, 0.75))
        measured[start : start + _ROWS, 0] = middle
        measured[start : start + _ROWS, 1] = np.maximum((upper - middle) / _QUARTILE, LEAST_SPREAD)
    return measured


def quantiles(rows: Doubles, shares: tuple[float, ...]) -> list[Doubles]:
    """Return rising quantiles of each row, as ``numpy.quantile``; the rows are put in another order.

    >>> [each.tolist() for each in quantiles(np.array([[4.0, 1.0, 2.0]]), (0.5, 0.75))]
    [[2.0], [3.0]]
    """
    last, below, above, quantiles_of = rows.shape[1] - 1, 0, rows, []
    for share in shares:
        at = int(share * last)
        # NumPy vectorises a partition around one position, which is six times as fast as one around several.
        above.partition(at - below, axis=1)
        below, above = at, above[:, at - below :]
        low, high, inside = above[:, 0].copy(), above[:, 1 if at < last else 0 :].min(axis=1), share * last - at
        quantiles_of.append(low + (high - low) * inside if inside < 0.5 else high - (high - low) * (1 - inside))
    return quantiles_of


def in_units(cosine: Floats, background_of_end: Doubles) -> Doubles:
    """Return cosines less the background of one end, over its spread; shapes (n,) and (n, 2)."""
    units: Doubles = (cosine - background_of_end[:, 0]) / background_of_end[:, 1]
    return units
