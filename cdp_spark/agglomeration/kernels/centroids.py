"""Centroids of clusters, for the mean cosine between all items of two clusters, paired or not.

In: the vectors of items, all models side by side. The sums of the unit vectors of each cluster and model are kept, from
which the mean cosines between and inside clusters follow without those of single items.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cdp_spark.base.compiled import compiled

Ints = NDArray[np.int32]
Longs = NDArray[np.int64]
Float16s = NDArray[np.float16]
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

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
        _features(self.squares, (a, b), averages, size, features)
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
def _features(squares: Doubles, clusters: tuple[Ints, Ints], averages: Floats, size: Longs, out: Floats) -> None:
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
