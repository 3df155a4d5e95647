"""Features of a link, for a cluster mediator: sizes of the two clusters, their pairs, and their other links.

Vectors are read only where centroids are given: their cosines gained up to .009 of F on two data sets, and cost up to
.016 on two others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cdp_spark.agglomeration.kernels.links import Links
from cdp_spark.base.compiled import compiled

Ints = NDArray[np.int32]
Longs = NDArray[np.int64]
Floats = NDArray[np.float32]
Float16s = NDArray[np.float16]
Doubles = NDArray[np.float64]


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
        Rivals of these links.
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


STRANGERS = -1.0
"""Smallest cosine, used for a cluster without another link."""

PER_MODEL = ("average", "centroids", "average_minus_looser", "average_minus_tighter")
"""Mean cosine between all items of two clusters; cosine of their centroids; the first minus the mean cosine inside the
looser of the two, and minus that inside the tighter (1 for a single item)."""
MARGINS = ("cosine_margin_low", "cosine_margin_high")
"""Mean of ``average`` over the models, minus that of the best other link of the end."""


def centroid_features(models: int) -> list[str]:
    """Return the names of the features of vectors: none without models.

    >>> centroid_features(1)[-3:]
    ['average_minus_tighter.0', 'cosine_margin_low', 'cosine_margin_high']
    """
    return [f"{name}.{model}" for model in range(models) for name in PER_MODEL] + list(MARGINS if models else ())


@dataclass(frozen=True)
class Centroids:
    """Sums of the vectors of each cluster, by name.

    Attributes
    ----------
    sums : ndarray of float32, shape (items, d)
        Sum of the unit vectors of each cluster, all models side by side. Changed in place.
    squares : ndarray of float64, shape (items, models)
        Their squared lengths.
    ends : ndarray of int64, shape (models + 1,)
        First column of each model, and the end of the last.
    """

    sums: Floats
    squares: Doubles
    ends: Longs

    @classmethod
    def of(cls, vectors: Float16s, dimensions: Sequence[int]) -> Centroids:
        """Start with clusters of one item each.

        ``vectors`` have shape (items, sum of dimensions).
        """
        ends = np.concatenate([[0], np.cumsum(dimensions)]).astype(np.int64)
        sums, squares = vectors.astype(np.float32), np.ones((len(vectors), len(dimensions)), np.float64)
        every = np.arange(len(sums))
        _lengths(sums, ends, every, squares)
        _normalise(sums, ends, squares)
        _lengths(sums, ends, every, squares)
        return cls(sums, squares, ends)

    @property
    def models(self) -> int:
        """Number of models."""
        return len(self.ends) - 1

    def merge(self, into: Longs, changed: NDArray[np.bool_]) -> None:
        """Merge clusters.

        ``into`` is the new name of each, ``changed`` (by new name) whether several became one.
        """
        _merge(self.sums, into)
        _lengths(self.sums, self.ends, np.flatnonzero(changed), self.squares)

    def averages(self, a: Ints, b: Ints, size: Longs) -> Floats:
        """Return the mean cosine between the items of two clusters, shape (n, models)."""
        averages = np.empty((len(a), self.models), np.float32)
        _averages(self.sums, self.ends, (a, b), size, averages)
        return averages

    def features(self, a: Ints, b: Ints, averages: Floats, size: Longs) -> Floats:
        """Return ``PER_MODEL`` of every model for each link, shape (n, 4 * models)."""
        features = np.empty((len(a), len(PER_MODEL) * self.models), np.float32)
        _by_vectors(self.squares, (a, b), averages, size, features)
        return features


@compiled
def _merge(sums: Floats, into: Longs) -> None:
    # In the order of names, so that sums of float32 are reproducible.
    for name in range(len(into)):
        if into[name] != name:
            for j in range(sums.shape[1]):
                sums[into[name], j] += sums[name, j]


@compiled
def _normalise(sums: Floats, ends: Longs, squares: Doubles) -> None:
    for item in range(len(sums)):
        for model in range(len(ends) - 1):
            scale = np.float32(1.0 / max(math.sqrt(squares[item, model]), 1e-12))
            for j in range(ends[model], ends[model + 1]):
                sums[item, j] *= scale


@compiled
def _lengths(sums: Floats, ends: Longs, names: Longs, squares: Doubles) -> None:
    for name in names:
        for model in range(len(ends) - 1):
            total = 0.0
            for j in range(ends[model], ends[model + 1]):
                total += np.float64(sums[name, j]) * np.float64(sums[name, j])
            squares[name, model] = total


@compiled
def _averages(sums: Floats, ends: Longs, clusters: tuple[Ints, Ints], size: Longs, out: Floats) -> None:
    a, b = clusters
    for link in range(len(a)):
        one, other = sums[a[link]], sums[b[link]]
        possible = np.float64(size[a[link]]) * np.float64(size[b[link]])
        for model in range(len(ends) - 1):
            total = 0.0
            for j in range(ends[model], ends[model + 1]):
                total += np.float64(one[j]) * np.float64(other[j])
            out[link, model] = total / possible


@compiled
def _by_vectors(squares: Doubles, clusters: tuple[Ints, Ints], averages: Floats, size: Longs, out: Floats) -> None:
    a, b = clusters
    for link in range(len(a)):
        one, other = a[link], b[link]
        for model in range(squares.shape[1]):
            average = np.float64(averages[link, model])
            long = math.sqrt(squares[one, model] * squares[other, model])
            inside = _cohesion(squares[one, model], size[one]), _cohesion(squares[other, model], size[other])
            at = 4 * model
            out[link, at] = average
            out[link, at + 1] = average * size[one] * size[other] / max(long, 1e-12)
            out[link, at + 2], out[link, at + 3] = average - min(inside), average - max(inside)


@compiled
def _cohesion(square: float, size: int) -> float:
    """Return the mean cosine between the items of a cluster."""
    return (square - size) / (np.float64(size) * (size - 1)) if size > 1 else 1.0
