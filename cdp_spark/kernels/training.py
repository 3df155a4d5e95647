"""Train the cells: k-means in two levels on a sample, then shards of about equal weight.

Two levels cost sqrt(cells) instead of cells products per vector and iteration; a cell that holds far more than its
share of the sample is divided again, so that dense regions get more cells.
"""

from __future__ import annotations

import faiss
import numpy as np
from numpy.typing import NDArray

from cdp_spark.kernels.cells import Cells

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

SAMPLE_PER_CELL = 32
_ITERATIONS = 10
_SLICE = 8_192


def train_cells(sample: Floats, cells: int, shards: int) -> Cells:
    """Train fine cells and pack them into shards.

    Parameters
    ----------
    sample : ndarray of float32, shape (n, d)
        Distinct vectors in the order of their items; the result depends on nothing else.
    cells : int
        Wanted number of fine cells; fewer when the sample is small, some more where cells are divided.
    shards : int

    Returns
    -------
    Cells
    """
    cells = max(1, min(cells, len(sample) // 4))
    groups = max(1, round(cells**0.5))
    members = _split(sample, np.arange(len(sample)), groups)
    share = len(sample) / cells
    fine = [part for group in members for part in _split(sample, group, round(len(group) / share))]
    fine = [part for cell in fine for part in _split(sample, cell, round(len(cell) / (2 * share)))]
    centroids = np.stack([_centre(sample[rows]) for rows in fine])
    distinct, first = np.unique(centroids, axis=0, return_index=True)
    weight = np.array([len(rows) for rows in fine])[first]
    return Cells(distinct, pack(distinct.astype(np.float32), weight, min(shards, len(distinct))))


def _centre(vectors: Floats) -> NDArray[np.float16]:
    mean = vectors.mean(axis=0, dtype=np.float64)
    norm = float(np.linalg.norm(mean))
    # Opposite vectors may cancel out; any member then stands for the cell.
    centre: NDArray[np.float16] = (mean / norm if norm > 1e-6 else vectors[0]).astype(np.float16)
    return centre


def _split(sample: Floats, rows: Ints, parts: int) -> list[Ints]:
    """Divide some rows of the sample by k-means; one part when there is too little to divide."""
    if parts < 2 or len(rows) < 2 * parts:
        return [rows]
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        points = np.ascontiguousarray(sample[rows])
        means = faiss.Kmeans(
            points.shape[1], parts, niter=_ITERATIONS, seed=1234, spherical=True, min_points_per_centroid=1,
            max_points_per_centroid=1_000_000, verbose=False,
        )  # fmt: skip
        means.train(points)
        trained = np.asarray(means.centroids, np.float64)
        # In slices: the whole sample in float64 would be the driver's peak.
        slices = (points[start : start + _SLICE].astype(np.float64) for start in range(0, len(points), _SLICE))
        nearest = np.concatenate([np.argmax(part @ trained.T, axis=1) for part in slices])
    finally:
        faiss.omp_set_num_threads(threads)
    return [rows[nearest == part] for part in np.unique(nearest)]


def pack(centroids: Floats, weight: Ints, shards: int) -> Ints:
    """Group cells into shards of about equal weight by halving along the direction of largest spread.

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
