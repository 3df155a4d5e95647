"""What a cluster mediator reads of a link: the sizes of the two clusters, their pairs, and their other links.

No vector is read unless centroids are given: their cosines gained up to .009 of F on two sets, and cost up to .016 on
two others.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from cdp_spark.agglomeration.kernels.centroids import STRANGERS, Centroids, centroid_features
from cdp_spark.agglomeration.kernels.links import Links
from cdp_spark.base.compiled import compiled

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
_COLUMNS = len(LINK_FEATURES)


def link_feature_names(models: int = 0) -> list[str]:
    """Return the names of all that is read; ``models`` is how many models' vectors are."""
    return [*LINK_FEATURES, *centroid_features(models)]


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
        (m, 4) where links know cosines: then also the largest mean cosine (over models) of another link that is
        looked at, at least ``STRANGERS``.
    """
    of_mean = _rivals(links, mean, count, FLOOR)
    if not links.cosines.shape[1]:
        return of_mean
    cosine = np.where(mean > FLOOR, links.cosines.mean(axis=1), np.float32(STRANGERS))
    return np.concatenate([of_mean, _rivals(links, cosine, count, STRANGERS)], axis=1)


def _rivals(links: Links, values: Floats, count: int, floor: float) -> Floats:
    """Return for both ends of each link the largest value of another link of that end, at least the floor."""
    rivals = np.empty((len(links), 2), np.float32)
    _find_rivals((links.a, links.b), values, np.full((2, count), floor, np.float32), rivals)
    return rivals


@compiled
def _find_rivals(ends, mean, largest, rivals):  # type: ignore[no-untyped-def]
    (a, b), first, second = ends, largest[0], largest[1]
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


def link_features(
    links: Links, rows: Longs, rivals: Floats, size: Longs, k: int, *, centroids: Centroids | None = None
) -> Floats:
    """Compute the features of some links.

    Parameters
    ----------
    links : Links
    rows : ndarray of int64, shape (n,)
        Places of the links.
    rivals : ndarray of float32, shape (n, 2), or (n, 4) with centroids
        Theirs.
    size : ndarray of int64, shape (items,)
        Items of each cluster, by name.
    k : int
        Neighbours in a full list.
    centroids : Centroids, optional
        Of the clusters.

    Returns
    -------
    ndarray of float32, shape (n, 12), or (n, 14 + 4 * models) with centroids
        As :func:`link_feature_names` names them; swapping the two clusters changes nothing.
    """
    found = np.empty((len(rows), _COLUMNS), np.float32)
    read = (links.a, links.b, links.count, links.total, links.best)
    _features(read, rows, np.ascontiguousarray(rivals), (size, k), found)
    if centroids is None:
        return found
    cosines = links.cosines[rows]
    margins = np.sort(cosines.mean(axis=1)[:, None] - rivals[:, 2:], axis=1)
    return np.concatenate([found, centroids.features(links.a[rows], links.b[rows], cosines, size), margins], axis=1)


@compiled
def _features(links, rows, rivals, sizes, found):  # type: ignore[no-untyped-def]
    (a, b, count, total, best), (size, k) = links, sizes
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
