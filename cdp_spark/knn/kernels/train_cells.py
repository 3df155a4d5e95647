"""Train the cells: k-means on a sample, then shards of about equal weight.

It starts with k-means in two levels, which costs sqrt(cells) instead of cells products per vector and iteration, and
divides cells that hold far more than their share, so that dense regions get more cells. A few iterations over all cells
follow, which halve the number of cells that a search must visit.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import faiss
import numpy as np
from numpy.typing import NDArray

from cdp_spark.knn.kernels.cells import Cells

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

SAMPLE_PER_CELL = 16
MOST_SAMPLED = 500_000
_ITERATIONS = 10
_REFINING = 3
_SEED = 1234
_SLICE = 8_192


def train_cells(sample: Floats, cells: int, shards: int) -> Cells:
    """Train fine cells and pack them into shards.

    Parameters
    ----------
    sample : ndarray of float32, shape (n, d)
        Distinct vectors in the order of their items; the result depends only on them.
    cells : int
        Wanted number of fine cells. A small sample gives fewer; the division of large cells gives some more.
    shards : int

    Returns
    -------
    Cells
    """
    cells = max(1, min(cells, len(sample) // 4))
    groups = max(1, round(cells**0.5))
    members = _split(sample, np.arange(len(sample)), groups)
    share = len(sample) / cells
    fine = [piece for group in members for piece in _split(sample, group, round(len(group) / share))]
    fine = [piece for cell in fine for piece in _split(sample, cell, round(len(cell) / (2 * share)))]
    centroids, weight = _refined(sample, np.stack([sample[rows].mean(axis=0, dtype=np.float64) for rows in fine]))
    distinct, first = np.unique(centroids, axis=0, return_index=True)
    return Cells(distinct, pack(distinct.astype(np.float32), weight[first], min(shards, len(distinct))))


def _refined(sample: Floats, centroids: NDArray[np.float64]) -> tuple[NDArray[np.float16], Ints]:
    """Refine all centroids; return them, and the number of sample vectors of each."""
    for _ in range(_REFINING):
        home = _nearest(sample, centroids.astype(np.float32))
        weight = np.bincount(home, minlength=len(centroids))
        order = np.argsort(home, kind="stable")
        kept = np.flatnonzero(weight)
        first = np.cumsum(weight[kept]) - weight[kept]
        sums = np.add.reduceat(sample[order], first, axis=0)
        centroids, weight = sums / weight[kept, None], weight[kept]
    return centroids.astype(np.float16), weight


def _nearest(sample: Floats, centroids: Floats) -> Ints:
    """Return the nearest centroid of each row; slices make it independent of threads."""

    def of_slice(start: int) -> Ints:
        faiss.omp_set_num_threads(1)  # in this thread only
        nearest: Ints = faiss.knn(sample[start : start + _SLICE], centroids, 1)[1][:, 0]
        return nearest

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return np.concatenate(list(pool.map(of_slice, range(0, len(sample), _SLICE))))


_plain = {"seed": _SEED, "min_points_per_centroid": 1, "max_points_per_centroid": 1_000_000, "verbose": False}
"""Options of ``faiss.Kmeans`` that make it use the whole sample."""


@contextmanager
def _one_thread() -> Iterator[None]:
    # Sums over several threads would depend on the number of threads.
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(threads)


def _split(sample: Floats, rows: Ints, pieces: int) -> list[Ints]:
    """Divide some rows of the sample by k-means, unless they are too few."""
    if pieces < 2 or len(rows) < 2 * pieces:
        return [rows]
    with _one_thread():
        points = np.ascontiguousarray(sample[rows])
        means = faiss.Kmeans(points.shape[1], pieces, niter=_ITERATIONS, spherical=True, **_plain)
        means.train(points)
        trained = np.asarray(means.centroids, np.float64)
        # In slices: the whole sample in float64 would set the peak memory of the driver.
        slices = (points[start : start + _SLICE].astype(np.float64) for start in range(0, len(points), _SLICE))
        nearest = np.concatenate([np.argmax(piece @ trained.T, axis=1) for piece in slices])
    return [rows[nearest == mean] for mean in np.unique(nearest)]


def pack(centroids: Floats, weight: Ints, shards: int) -> Ints:
    """Group cells into shards of about equal weight.

    Cells are halved recursively along the direction of largest spread.

    Returns
    -------
    ndarray of int64, shape (cells,)
        Shard of each cell, 0 to ``shards`` - 1.
    """
    shard = np.zeros(len(centroids), np.int64)
    _halve(centroids.astype(np.float64), weight, np.arange(len(centroids)), (0, shards), shard)
    return shard


def _halve(centroids: NDArray[np.float64], weight: Ints, rows: Ints, span: tuple[int, int], shard: Ints) -> None:
    first, count = span
    if count == 1:
        shard[rows] = first
        return
    left = count // 2
    centred = centroids[rows] - np.average(centroids[rows], axis=0, weights=weight[rows])
    _, directions = np.linalg.eigh((centred * weight[rows, None]).T @ centred)
    order = np.argsort(centred @ directions[:, -1], kind="stable")
    cut = int(np.searchsorted(np.cumsum(weight[rows[order]]), weight[rows].sum() * left / count))
    cut = min(max(cut, left), len(rows) - (count - left))
    _halve(centroids, weight, rows[order[:cut]], (first, left), shard)
    _halve(centroids, weight, rows[order[cut:]], (first + left, count - left), shard)
