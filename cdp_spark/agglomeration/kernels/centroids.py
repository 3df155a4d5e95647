"""What the vectors of two clusters say beside their pairs: cosines between all their items, paired or not.

In: the vectors of items, of all models side by side. Kept: the sum of the unit vectors of each cluster and model, from
which mean cosines between and inside clusters follow without a look at single items.
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
Halves = NDArray[np.float16]
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

STRANGERS = -1.0
"""Least cosine: that of a cluster without another link."""

PER_MODEL = ("average", "centroids", "average_minus_looser", "average_minus_tighter")
"""Mean cosine between all items of two clusters; cosine of their centroids; the first less the mean cosine inside the
looser of the two, and inside the tighter (1 for a single item)."""
MARGINS = ("cosine_margin_low", "cosine_margin_high")
"""Mean over the models of ``average``, less that of the end's best other link."""


def centroid_features(models: int) -> list[str]:
    """Return the names of what is read of a link beside ``LINK_FEATURES``: none without models.

    >>> centroid_features(1)[-3:]
    ['average_minus_tighter.0', 'cosine_margin_low', 'cosine_margin_high']
    """
    return [f"{name}.{model}" for model in range(models) for name in PER_MODEL] + list(MARGINS if models else ())


@dataclass(frozen=True)
class Centroids:
    """Clusters of vectors, by name.

    Attributes
    ----------
    sums : ndarray of float32, shape (items, d)
        Sum of the unit vectors of each cluster, all models side by side. Changed in place.
    squares : ndarray of float64, shape (items, models)
        Their squared lengths.
    ends : ndarray of int64, shape (models + 1,)
        Where the numbers of each model begin, and where the last end.
    """

    sums: Floats
    squares: Doubles
    ends: Longs

    @classmethod
    def of(cls, vectors: Halves, dimensions: Sequence[int]) -> Centroids:
        """Begin with clusters of one item each: vectors of shape (items, sum of dimensions)."""
        ends = np.concatenate([[0], np.cumsum(dimensions)]).astype(np.int64)
        sums, squares = vectors.astype(np.float32), np.ones((len(vectors), len(dimensions)), np.float64)
        every = np.arange(len(sums))
        _lengths(sums, ends, every, squares)
        _shortened(sums, ends, squares)
        _lengths(sums, ends, every, squares)
        return cls(sums, squares, ends)

    @property
    def models(self) -> int:
        """Number of models."""
        return len(self.ends) - 1

    def merge(self, into: Longs, changed: NDArray[np.bool_]) -> None:
        """Let clusters merge: ``into`` is the new name of each, ``changed`` (by new name) whether it has several."""
        _merge(self.sums, into)
        _lengths(self.sums, self.ends, np.flatnonzero(changed), self.squares)

    def averages(self, a: Ints, b: Ints, size: Longs) -> Floats:
        """Return the mean cosine between the items of two clusters each, shape (n, models)."""
        found = np.empty((len(a), self.models), np.float32)
        _averages(self.sums, self.ends, a, b, size, found)
        return found

    def features(self, a: Ints, b: Ints, averages: Floats, size: Longs) -> Floats:
        """Return ``PER_MODEL`` of every model for the links of two clusters each, shape (n, 4 * models)."""
        found = np.empty((len(a), len(PER_MODEL) * self.models), np.float32)
        _features(self.squares, a, b, averages, size, found)
        return found


@compiled
def _merge(sums, into):  # type: ignore[no-untyped-def]
    # In the order of names, so that sums of float32 are the same every time.
    for name in range(len(into)):
        if into[name] != name:
            for j in range(sums.shape[1]):
                sums[into[name], j] += sums[name, j]


@compiled
def _shortened(sums, ends, squares):  # type: ignore[no-untyped-def]
    """Bring vectors to length one."""
    for item in range(len(sums)):
        for model in range(len(ends) - 1):
            scale = np.float32(1.0 / max(math.sqrt(squares[item, model]), 1e-12))
            for j in range(ends[model], ends[model + 1]):
                sums[item, j] *= scale


@compiled
def _lengths(sums, ends, names, squares):  # type: ignore[no-untyped-def]
    for name in names:
        for model in range(len(ends) - 1):
            total = 0.0
            for j in range(ends[model], ends[model + 1]):
                total += np.float64(sums[name, j]) * np.float64(sums[name, j])
            squares[name, model] = total


@compiled
def _averages(sums, ends, a, b, size, found):  # type: ignore[no-untyped-def]
    for link in range(len(a)):
        one, other = sums[a[link]], sums[b[link]]
        possible = np.float64(size[a[link]]) * np.float64(size[b[link]])
        for model in range(len(ends) - 1):
            total = 0.0
            for j in range(ends[model], ends[model + 1]):
                total += np.float64(one[j]) * np.float64(other[j])
            found[link, model] = total / possible


@compiled
def _features(squares, a, b, averages, size, found):  # type: ignore[no-untyped-def]
    for link in range(len(a)):
        one, other = a[link], b[link]
        for model in range(squares.shape[1]):
            average = np.float64(averages[link, model])
            long = math.sqrt(squares[one, model] * squares[other, model])
            inside = _cohesion(squares[one, model], size[one]), _cohesion(squares[other, model], size[other])
            at = 4 * model
            found[link, at] = average
            found[link, at + 1] = average * size[one] * size[other] / max(long, 1e-12)
            found[link, at + 2], found[link, at + 3] = average - min(inside), average - max(inside)


@compiled
def _cohesion(square, size):  # type: ignore[no-untyped-def]
    """Mean cosine between the items of a cluster."""
    return (square - size) / (np.float64(size) * (size - 1)) if size > 1 else 1.0
