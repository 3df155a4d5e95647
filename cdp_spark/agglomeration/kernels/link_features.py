"""Features of a link, for a cluster mediator: sizes of the two clusters, their pairs, and their other links.

Vectors are read only where centroids are given: their cosines gained up to .009 of F on two data sets, and cost up to
.016 on two others.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cdp_spark.agglomeration.kernels.centroids import STRANGERS, Centroids, centroid_features
from cdp_spark.agglomeration.kernels.links import Links
from cdp_spark.base.compiled import compiled

Ints = NDArray[np.int32]
Longs = NDArray[np.int64]
Floats = NDArray[np.float32]

LINK_FEATURES = (
    "size_low", "size_high",  # log
    "mean", "best", "total",  # of z; the sum as asinh
    "density",  # existing pairs as a share of the possible ones
    "coverage",  # pairs as a share of the entries in the smaller cluster's neighbour lists
    "pairs", "possible",  # log
    "evidence",  # (sum of z - 3 per missing pair) per possible pair
    "margin_low", "margin_high",  # mean z minus that of the end's best other link
)  # fmt: skip

MEAN = LINK_FEATURES.index("mean")
FLOOR = -4.0
"""Links with a mean z up to this are not scored: their clusters are strangers."""

_MISSING = 3.0
_COLUMNS = len(LINK_FEATURES)


def link_feature_names(models: int = 0) -> list[str]:
    """Return the names of all features, with those of the vectors of some models."""
    return [*LINK_FEATURES, *centroid_features(models)]


class Clusters(NamedTuple):
    """Items of each cluster, by name, and the centroids, where vectors are read."""

    size: Longs
    centroids: Centroids | None = None


class _Read(NamedTuple):
    """Columns of links that features are made of."""

    a: Ints
    b: Ints
    pairs: Ints
    total: NDArray[np.float64]
    best: Floats


def rivals_of(links: Links, mean: Floats, count: int) -> Floats:
    """Return the largest mean z of the other links of each end, at least ``FLOOR``.

    Parameters
    ----------
    links : Links
    mean : ndarray of float32
        Mean z of each link.
    count : int
        Upper bound of the names of clusters.

    Returns
    -------
    ndarray of float32, shape (m, 2)
        (m, 4) where links have cosines: then also the largest mean cosine (over models) among the other scored links,
        at least ``STRANGERS``.
    """
    of_mean = _rivals(links, mean, count, FLOOR)
    if not links.cosines.shape[1]:
        return of_mean
    cosine = np.where(mean > FLOOR, links.cosines.mean(axis=1), np.float32(STRANGERS))
    return np.concatenate([of_mean, _rivals(links, cosine, count, STRANGERS)], axis=1)


def _rivals(links: Links, values: Floats, count: int, floor: float) -> Floats:
    """Return the largest value among the other links of each end, at least the floor."""
    rivals = np.empty((len(links), 2), np.float32)
    _find_rivals((links.a, links.b), values, np.full((2, count), floor, np.float32), rivals)
    return rivals


@compiled
def _find_rivals(ends: tuple[Ints, Ints], mean: Floats, largest: Floats, rivals: Floats) -> None:
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


def link_features(links: Links, rows: Longs, rivals: Floats, clusters: Clusters, k: int) -> Floats:
    """Compute the features of some links.

    Parameters
    ----------
    links : Links
    rows : ndarray of int64, shape (n,)
        Indices of the links.
    rivals : ndarray of float32, shape (n, 2), or (n, 4) with centroids
        Those of these links.
    clusters : Clusters
    k : int
        Neighbours in a full list.

    Returns
    -------
    ndarray of float32, shape (n, 12), or (n, 14 + 4 * models) with centroids
        Named by :func:`link_feature_names`; swapping the two clusters changes nothing.
    """
    size, centroids = clusters
    features = np.empty((len(rows), _COLUMNS), np.float32)
    read = _Read(links.a, links.b, links.count, links.total, links.best)
    _features(read, rows, np.ascontiguousarray(rivals), (size, k), features)
    if centroids is None:
        return features
    cosines = links.cosines[rows]
    margins = np.sort(cosines.mean(axis=1)[:, None] - rivals[:, 2:], axis=1)
    of_vectors = centroids.features(links.a[rows], links.b[rows], cosines, size)
    return np.concatenate([features, of_vectors, margins], axis=1)


@compiled
def _features(links: _Read, rows: Longs, rivals: Floats, sizes: tuple[Longs, int], out: Floats) -> None:
    (a, b, count, total, best), (size, k) = links, sizes
    for row in range(len(rows)):
        link = rows[row]
        low, high = min(size[a[link]], size[b[link]]), max(size[a[link]], size[b[link]])
        possible, pairs, z = float(low) * float(high), float(count[link]), total[link]
        mean = np.float32(z / pairs)
        out[row, 0], out[row, 1] = math.log(low), math.log(high)
        out[row, 2], out[row, 3], out[row, 4] = mean, best[link], math.asinh(z)
        out[row, 5], out[row, 6] = pairs / possible, pairs / (k * low)
        out[row, 7], out[row, 8] = math.log(pairs), math.log(possible)
        out[row, 9] = (z - _MISSING * (possible - pairs)) / possible
        out[row, 10] = mean - max(rivals[row, 0], rivals[row, 1])
        out[row, 11] = mean - min(rivals[row, 0], rivals[row, 1])
