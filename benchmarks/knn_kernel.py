"""The search of cells, one thread, beside faiss with the same cells and the same probes.

    python benchmarks/knn_kernel.py --items 200000

Every vector is a query, as in a KNN graph. All sides find the cells to probe and then the k nearest rows; the cells
are ours, given to faiss as the coarse quantiser of an ``IndexIVFFlat``. The answers are compared: ours are ranked in
float64, so few places differ. The last line is one line of JSON; ratios are the other side's seconds over ours.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import statistics
import time
from collections.abc import Callable

import faiss
import numpy as np
from faiss.contrib.big_batch_search import big_batch_search
from knn import without_self
from synthetic import identities, points
from threadpoolctl import threadpool_limits

from cdp_spark.knn.kernels.cells import Cells, cell_count
from cdp_spark.knn.kernels.search_cells import QUERY_BLOCK, Block, search
from cdp_spark.knn.kernels.train_cells import train_cells

ROWS = QUERY_BLOCK
"""Queries at once: as many as a search task takes."""


def main() -> None:
    options = arguments()
    threadpool_limits(1)
    faiss.omp_set_num_threads(1)
    vectors = normalised(options)
    cells = train_cells(vectors[:: max(1, options.items // 100_000)], cell_count(options.items), 1)
    index = faiss_index(vectors, cells, options.nprobe)
    ours(vectors[:2_000], cells, options.nprobe, options.k[0])  # compiles
    found = {}
    for k in options.k:
        sides: dict[str, Callable[[], np.ndarray]] = {
            "ours": lambda k=k: ours(vectors, cells, options.nprobe, k),
            "IndexIVFFlat": lambda k=k: by_index(index, vectors, k),
            "big_batch_search": lambda k=k: by_big_batches(index, vectors, k),
        }
        found[f"k={k}"] = compared(sides, options)
        print(json.dumps({f"k={k}": found[f"k={k}"]}), flush=True)
    ratios = {
        f"{name}_k{k}_ratio": round(found[f"k={k}"]["seconds"][name] / found[f"k={k}"]["seconds"]["ours"], 2)
        for name in ("IndexIVFFlat", "big_batch_search")
        for k in options.k
    }
    print(json.dumps({"items": options.items, "cells": len(cells.centroids), **found, **ratios}))


def compared(sides: dict[str, Callable[[], np.ndarray]], options: argparse.Namespace) -> dict:
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    answers = {}
    for _ in range(options.rounds):
        for name, side in sides.items():
            started = time.process_time()
            answers[name] = np.sort(side(), axis=1)
            seconds[name].append(time.process_time() - started)
    same = {name: round(float((answer == answers["ours"]).mean()), 5) for name, answer in answers.items()}
    middle = {name: round(statistics.median(values), 2) for name, values in seconds.items()}
    return {"seconds": middle, "same_places": same}


def normalised(options: argparse.Namespace) -> np.ndarray:
    """Make vectors as a shard holds them: float16 values of about unit norm, here as float32."""
    label = identities(options.items)
    made = np.concatenate([rows for _, rows in points(label, 0, options.dimension, 0.65)])
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    return made.astype(np.float16).astype(np.float32)


def ours(vectors: np.ndarray, cells: Cells, nprobe: int, k: int) -> np.ndarray:
    """Search as a task does: rows put in the order of their cells, then blocks of queries."""
    shard = cells.in_shard(0)
    place = np.concatenate([shard.nearest(part)[0] for part in blocks(vectors)])
    order = np.argsort(place, kind="stable")
    rows = Block.of(order, vectors[order])
    offsets = np.concatenate([[0], np.cumsum(np.bincount(place, minlength=len(shard.cells)))])
    found = np.empty((len(vectors), k), np.int64)
    for start in range(0, len(vectors), ROWS):
        queries = rows.take(np.arange(start, min(start + ROWS, len(vectors))))
        probes = shard.probes(queries.vectors, nprobe).astype(np.int32)
        found[queries.items] = search(queries, rows, offsets, probes, k).neighbors
    return found


def faiss_index(vectors: np.ndarray, cells: Cells, nprobe: int) -> faiss.IndexIVFFlat:
    quantiser = faiss.IndexFlatL2(vectors.shape[1])
    quantiser.add(cells.centroids.astype(np.float32))
    index = faiss.IndexIVFFlat(quantiser, vectors.shape[1], len(cells.centroids), faiss.METRIC_INNER_PRODUCT)
    index.is_trained, index.nprobe = True, nprobe
    return index


def by_index(index: faiss.IndexIVFFlat, vectors: np.ndarray, k: int) -> np.ndarray:
    index.reset()
    index.add(vectors)
    near = np.concatenate([index.search(part, k + 1)[1] for part in blocks(vectors)])
    return without_self(near, np.arange(len(vectors)))


def by_big_batches(index: faiss.IndexIVFFlat, vectors: np.ndarray, k: int) -> np.ndarray:
    index.reset()
    index.add(vectors)
    with contextlib.redirect_stdout(io.StringIO()):  # it tells of every list
        near = big_batch_search(index, vectors, k + 1)[1]
    return without_self(near, np.arange(len(vectors)))


def blocks(vectors: np.ndarray) -> list[np.ndarray]:
    return [vectors[start : start + ROWS] for start in range(0, len(vectors), ROWS)]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=200_000)
    parser.add_argument("--dimension", type=int, default=256)
    parser.add_argument("--nprobe", type=int, default=64)
    parser.add_argument("--k", type=int, nargs="+", default=[15, 80])
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
