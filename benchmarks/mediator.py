"""The block join and the mediator: KNN tables of several models to scored pairs, and how it grows.

    python benchmarks/mediator.py --items 200000 1400000 --output runs/mediator

Vectors and KNN tables are made, not searched: identities of about 65 images; of an item's neighbours a quarter are of
other identities, a third of these anywhere, so that blocks have halos as real ones do. Cosines are computed from the
vectors, the network has the shape that training gives it. What is timed is what a run does after the search: blocks,
members, scored pairs. The last line is one line of JSON.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cdp_spark.base import schemas
from cdp_spark.config.sections import KnnConfig
from cdp_spark.intake.flow import Vectors
from cdp_spark.knn.flow import Graph
from cdp_spark.knn.kernels.cells import Cells
from cdp_spark.networks.kernels.mlp import Ensemble, Mlp
from cdp_spark.pairs.block_join import Join
from cdp_spark.pairs.flow import joined_pairs
from cdp_spark.runs.stage_store import StageStore
from cdp_spark.scoring import score_pairs as stage
from cdp_spark.spark.progress import Progress
from cdp_spark.spark.session import local_session

BLOCK = 20_000
IDENTITY, CELL = 65, 1_300
"""Images of an identity, and of a cell: twenty identities."""

STRANGERS, FAR = 0.25, 0.33
"""Share of an item's neighbours that are of other identities, and of these the share that is in any cell."""


def main() -> None:
    options = arguments()
    spark = local_session(options.master, {})
    rows = []
    for items in options.items:
        rows.append(measured(spark, items, options))
        print(json.dumps(rows[-1]), flush=True)
    first, last = rows[0], rows[-1]
    grown = last["items"] / first["items"]
    growth = {"items_ratio": grown, "seconds_ratio": last["seconds"] / first["seconds"]} if len(rows) > 1 else {}
    print(json.dumps({"runs": rows, **growth}))


def measured(spark, items: int, options: argparse.Namespace) -> dict:
    folder = options.output / f"data-{items}-{options.dimension}-{options.k}"
    for model in range(options.models):
        write_model(folder, model, items, options)
    graphs = {f"model{model}": graph_of(spark, folder, model, items, options) for model in range(options.models)}
    width = 3 * options.models - 1
    judge = stage.scoring(
        Ensemble((network(width),)), list(range(width)), sample_every=max(1, items * options.k // 50_000)
    )
    store = StageStore(spark, str(options.output / f"run-{items}"), Progress.on_stderr())
    store.folder.remove("stages")
    join = Join("code", "base", judge, stage.SAMPLED_PAIRS, "benchmark")
    pairs = joined_pairs(store, "scored_pairs", graphs, KnnConfig(k=options.k), join)
    seconds = {result.name: round(result.made_seconds, 1) for result in store.results}
    whole = sum(seconds.values())
    return {
        "items": items, "models": options.models, "dimension": options.dimension, "pairs": pairs.rows,
        "seconds": round(whole, 1), "pairs_per_second": round(pairs.rows / whole), "stages": seconds,
        "peak_worker_mib": max(result.peak_worker_bytes or 0 for result in store.results) >> 20,
    }  # fmt: skip


def graph_of(spark, folder: Path, model: int, items: int, options: argparse.Namespace) -> Graph:
    def read(name: str, schema):
        return spark.read.schema(schema).parquet(str(folder / f"{name}{model}"))

    shards = read("vectors", schemas.SHARDS)
    vectors = Vectors(shards.select("item", "vector"), items, f"v{model}{items}", f"model{model}", options.dimension)
    cells = -(-items // CELL)
    centroids = np.random.default_rng(9).standard_normal((cells, 16)).astype(np.float16)
    known = Cells(centroids, np.zeros(cells, np.int64))
    return Graph(read("knn", schemas.KNN), items, f"g{model}{items}", shards, {}, known, vectors)


def network(width: int) -> Mlp:
    random = np.random.default_rng(0)
    sizes = (width, 3 * width, 3 * width, 1)
    layers = [
        (random.standard_normal(shape).astype(np.float32) / 4, np.zeros(shape[1], np.float32))
        for shape in pairwise(sizes)
    ]
    return Mlp(np.zeros(width, np.float32), np.ones(width, np.float32), tuple(layers))


def write_model(folder: Path, model: int, items: int, options: argparse.Namespace) -> None:
    """Write vectors (as one shard) and KNN table of one model, in blocks."""
    if (folder / f"knn{model}" / "done").exists():
        return
    vectors = np.lib.format.open_memmap(scratch(folder), "w+", np.float16, (items, options.dimension))
    (folder / f"vectors{model}").mkdir(parents=True, exist_ok=True)
    (folder / f"knn{model}").mkdir(parents=True, exist_ok=True)
    number_of = np.random.default_rng(5).permutation(items)  # the place in the order of identities -> the item
    for number, (start, rows) in enumerate(made_vectors(model, items, options.dimension)):
        vectors[start : start + len(rows)] = rows
        place = np.arange(start, start + len(rows))
        write_vectors(folder / f"vectors{model}" / f"{number}.parquet", number_of[place], place // CELL, rows)
    for number, start in enumerate(range(0, items, BLOCK)):
        place = np.arange(start, min(start + BLOCK, items))
        near = neighbours(model, place, items, options.k)
        own = vectors[place].astype(np.float32)
        cosine = np.stack(
            [np.einsum("nd,nd->n", own, vectors[near[:, j]].astype(np.float32)) for j in range(options.k)]
        )
        order = np.argsort(-cosine.T, axis=1)
        lists = np.take_along_axis(number_of[near], order, 1), np.take_along_axis(cosine.T, order, 1)
        write_lists(folder / f"knn{model}" / f"{number}.parquet", number_of[place], *lists)
    scratch(folder).unlink()
    (folder / f"knn{model}" / "done").touch()


def scratch(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder / "vectors.npy"


def made_vectors(model: int, items: int, dimension: int) -> Iterator[tuple[int, np.ndarray]]:
    for start in range(0, items, BLOCK):
        random = np.random.default_rng([model, start])
        identity = np.arange(start, min(start + BLOCK, items)) // IDENTITY
        centres = np.random.default_rng([model, int(identity[0])]).standard_normal(
            (identity[-1] - identity[0] + 1, dimension)
        )
        rows = centres[identity - identity[0]] + 0.8 * random.standard_normal((len(identity), dimension))
        yield start, (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)


def neighbours(model: int, place: np.ndarray, items: int, k: int) -> np.ndarray:
    """Choose k distinct places for each: of the own identity, of another one in the cell, of anywhere."""
    random = np.random.default_rng([7, model, int(place[0])])
    first = np.minimum(place // IDENTITY * IDENTITY, items - IDENTITY)
    inside = random.random((len(place), IDENTITY)).argsort(axis=1)[:, : k + 1] + first[:, None]
    found = np.where((inside == place[:, None]).cumsum(axis=1)[:, :k] > 0, inside[:, 1:], inside[:, :k])
    cell = np.minimum(place // CELL * CELL, items - CELL)
    beside = cell[:, None] + random.integers(0, CELL, found.shape)
    anywhere = random.integers(0, items, found.shape)
    other = np.where(random.random(found.shape) < FAR, anywhere, beside)
    chosen = np.where(random.random(found.shape) < STRANGERS, other, found)
    # Two of a list may be equal, or one the item itself: give these the untouched choice.
    ordered = np.sort(np.concatenate([chosen, place[:, None]], axis=1), axis=1)
    clash = (np.diff(ordered, axis=1) == 0).any(axis=1)
    return np.where(clash[:, None], found, chosen)


def write_vectors(path: Path, item: np.ndarray, cell: np.ndarray, rows: np.ndarray) -> None:
    count = len(item)
    zero = pa.array(np.zeros(count, np.int32))
    data = pa.py_buffer(np.ascontiguousarray(rows).tobytes())
    offsets = pa.py_buffer((np.arange(count + 1) * rows.shape[1] * 2).astype(np.int32).tobytes())
    columns = [
        pa.array(item), zero, zero, pa.array(cell.astype(np.int32)), pa.nulls(count, pa.int64()),
        pa.nulls(count, pa.list_(pa.int64())), pa.Array.from_buffers(pa.binary(), count, [None, offsets, data]),
    ]  # fmt: skip
    pq.write_table(pa.table(columns, names=schemas.SHARDS.names), path, compression="none", use_dictionary=False)


def write_lists(path: Path, item: np.ndarray, neighbors: np.ndarray, similarities: np.ndarray) -> None:
    offsets = pa.array((np.arange(len(item) + 1) * neighbors.shape[1]).astype(np.int32))
    columns = [
        pa.array(item),
        pa.ListArray.from_arrays(offsets, pa.array(neighbors.ravel())),
        pa.ListArray.from_arrays(offsets, pa.array(similarities.ravel().astype(np.float32))),
    ]
    pq.write_table(pa.table(columns, names=schemas.KNN.names), path, compression="zstd")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, nargs="+", default=[200_000, 1_400_000])
    parser.add_argument("--models", type=int, default=5)
    parser.add_argument("--dimension", type=int, default=256)
    parser.add_argument("--k", type=int, default=14)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--master")
    return parser.parse_args()


if __name__ == "__main__":
    main()
