"""What a cluster mediator reads of a link: the sizes of the two clusters, their pairs, and their other links.

No vector is read: in the prototype, average-link and centroid cosines were worth .002 to .004 of F.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from cdp_spark.kernels.links import Links

Longs = NDArray[np.int64]
Floats = NDArray[np.float32]

LINK_FEATURES = (
    "size_low", "size_high",  # log
    "mean", "best", "total",  # of z; the sum as asinh
    "density",  # pairs that are there as a share of those possible
    "coverage",  # pairs as a share of those that the smaller cluster's lists have room for
    "pairs", "possible",  # log
    "evidence",  # (sum of z - 3 per missing pair) per possible pair
    "margin_low", "margin_high",  # mean z minus that of the end's best other link
)  # fmt: skip

MEAN = LINK_FEATURES.index("mean")
FLOOR = -4.0
"""Links of a mean z up to this are not looked at: their clusters are strangers."""

_MISSING = 3.0


def rivals_of(links: Links, mean: Floats, count: int) -> Floats:
    """Return, for both ends of each link, the largest mean z of another link of that end, at least ``FLOOR``.

    Parameters
    ----------
    links : Links
    mean : ndarray of float32
        Mean z of each link.
    count : int
        Names of clusters are below it.

    Returns
    -------
    ndarray of float32, shape (m, 2)
    """
    rivals = np.empty((len(links), 2), np.float32)
    _rivals(links.a, links.b, mean, count, np.float32(FLOOR), rivals)
    return rivals


@njit(cache=True)
def _rivals(a, b, mean, count, floor, rivals):  # type: ignore[no-untyped-def]
    first, second = np.full(count, floor, np.float32), np.full(count, floor, np.float32)
    for link in range(len(a)):
        value = mean[link]
        for end in (a[link], b[link]):
            if value > first[end]:
                first[end], second[end] = value, first[end]
            elif value > second[end]:
                second[end] = value
    for link in range(len(a)):
        for side, end in enumerate((a[link], b[link])):
            rivals[link, side] = second[end] if mean[link] == first[end] else first[end]


def link_features(links: Links, rows: Longs, rivals: Floats, size: Longs, k: int) -> Floats:
    """Compute the features of some links.

    Parameters
    ----------
    links : Links
    rows : ndarray of int64, shape (n,)
        Places of the links.
    rivals : ndarray of float32, shape (n, 2)
        Theirs.
    size : ndarray of int64, shape (items,)
        Items of each cluster, by name.
    k : int
        Neighbours in a full list.

    Returns
    -------
    ndarray of float32, shape (n, 12)
        ``LINK_FEATURES``; swapping the two clusters changes nothing.
    """
    found = np.empty((len(rows), len(LINK_FEATURES)), np.float32)
    _features(links.a, links.b, links.count, links.total, links.best, rows, rivals, size, k, found)
    return found


@njit(cache=True)
def _features(a, b, count, total, best, rows, rivals, size, k, found):  # type: ignore[no-untyped-def]
    for row in range(len(rows)):
        link = rows[row]
        low, high = min(size[a[link]], size[b[link]]), max(size[a[link]], size[b[link]])
        possible, pairs, z = float(low) * float(high), float(count[link]), total[link]
        mean = np.float32(z / pairs)
        found[row, 0], found[row, 1] = math.log(low), math.log(high)
        found[row, 2], found[row, 3], found[row, 4] = mean, best[link], math.asinh(z)
        found[row, 5], found[row, 6] = pairs / possible, pairs / (k * low)
        found[row, 7], found[row, 8] = math.log(pairs), math.log(possible)
        found[row, 9] = (z - _MISSING * (possible - pairs)) / possible
        found[row, 10] = mean - max(rivals[row, 0], rivals[row, 1])
        found[row, 11] = mean - min(rivals[row, 0], rivals[row, 1])
