"""The KNN graph of one model, Parquet in and Parquet out, beside faiss and others at the same measured recall.

    python benchmarks/knn.py --items 1000000 --target 0.95 --output runs/knn

Ours is what a run does: intake, twins, cells, search and the audit of recall, the session running already. faiss is a
plain script: the same file, ``IndexIVFFlat``, inner product, all threads; its number of cells is the best of 4, 8 and
16 sqrt(N), and its ``nprobe`` the smallest that reaches the recall that *ours measured*; both are found on a sample of
queries before the clock starts. hnswlib, usearch and pynndescent (``--sides``) get as much: the cheapest setting of a
ladder that reaches that recall, found on the whole set before the timed run. Recall of all is measured against the
same exact answers. The last line is one line of JSON; ratios are our seconds over the other side's.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from synthetic import identities, points, write_vectors

from cdp_spark.base.loading import load_config
from cdp_spark.runtime.progress import Progress
from cdp_spark.runtime.session import local_session
from cdp_spark.runtime.storage import StageStore
from cdp_spark.tasks.intake import taken_in
from cdp_spark.tasks.knn import knn_graph

K = 14
QUERIES = 2_000
SHORT = 120.0
"""Seconds: runs below it are repeated for a median."""


def main() -> None:
    options = arguments()
    path = options.output / f"data-{options.items}-{options.dimension}-{options.noise}.parquet"
    if not path.exists():
        label = identities(options.items)
        write_vectors(path, points(label, 0, options.dimension, options.noise), options.dimension)
    truth = exact(path, options)
    found = {"ours": repeated(lambda: ours(path, options), truth, options)}
    print(json.dumps(found), flush=True)
    for name in options.sides:
        side = SIDES[name](read(path), truth, found["ours"]["recall"])
        print(name, "set up", flush=True)
        found[name] = repeated(lambda side=side: side(path, options.output), truth, options)
        found[name]["setting"] = side.setting
        print(json.dumps({name: found[name]}), flush=True)
    ratios = {f"{name}_ratio": round(found["ours"]["median"] / found[name]["median"], 3) for name in options.sides}
    print(json.dumps({"items": options.items, "target": options.target, **found, **ratios}))


def repeated(side: Callable[[], Path], truth: tuple[np.ndarray, np.ndarray], options: argparse.Namespace) -> dict:
    seconds = []
    while not seconds or (len(seconds) < options.rounds and seconds[0] < SHORT):
        started = time.time()
        out = side()
        seconds.append(round(time.time() - started, 1))
    return {"seconds": seconds, "median": statistics.median(seconds), "recall": round(recall(out, truth), 4)}


def exact(path: Path, options: argparse.Namespace) -> tuple[np.ndarray, np.ndarray]:
    """Return some queries and their exact neighbours, without themselves."""
    vectors = read(path)
    queries = np.sort(np.random.default_rng(0).choice(options.items, QUERIES, replace=False))
    _, near = faiss.knn(vectors[queries], vectors, K + 1, metric=faiss.METRIC_INNER_PRODUCT)
    return queries, without_self(near, queries)


def recall(out: Path, truth: tuple[np.ndarray, np.ndarray]) -> float:
    """Share of the exact neighbours of the queries that a written graph (item, neighbors) holds."""
    queries, wanted = truth
    table = pq.read_table(out, columns=["item", "neighbors"], filters=[("item", "in", queries)]).sort_by("item")
    return overlap(table.column("neighbors").to_pylist(), wanted)


def overlap(found: list, wanted: np.ndarray) -> float:
    return float(np.mean([len(np.intersect1d(a, b)) / len(b) for a, b in zip(found, wanted, strict=True)]))


def ours(path: Path, options: argparse.Namespace) -> Path:
    output = options.output / "run"
    shutil.rmtree(output, ignore_errors=True)
    settings = {"input": {"base": str(path)}, "output": str(output), "knn": {"k": K, "recall_target": options.target}}
    config = load_config(settings)
    store = StageStore(local_session(options.master, {}), str(output), Progress.on_stderr())
    (vectors,) = taken_in(store, config.input, {}).vectors.values()
    graph = knn_graph(store, vectors, config.knn)
    print(json.dumps(graph.recall), flush=True)
    (stored,) = (result for result in store.results if result.name == f"knn/{vectors.model}")
    return Path(output, stored.path)


def read(path: Path) -> np.ndarray:
    """Read and normalise all vectors, as the scripts of the other sides do."""
    column = pq.read_table(path).column("embedding").combine_chunks()
    vectors = column.values.to_numpy(zero_copy_only=True).reshape(len(column), -1)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def write(out: Path, near: np.ndarray, similarity: np.ndarray) -> Path:
    """Write lists without the item itself."""
    places = np.arange(len(near))
    kept = own_dropped(near, places)
    shape = (len(near), near.shape[1] - 1)
    offsets = np.arange(shape[0] + 1, dtype=np.int32) * shape[1]
    lists = [pa.ListArray.from_arrays(offsets, part[kept].ravel()) for part in (near, similarity.astype(np.float32))]
    pq.write_table(pa.table([pa.array(places), *lists], names=["item", "neighbors", "similarities"]), out)
    return out


def own_dropped(near: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Mark all but the query itself, or all but the last where it is not among the found."""
    own = near == queries[:, None]
    own[~own.any(axis=1), -1] = True
    return ~own


def without_self(near: np.ndarray, queries: np.ndarray) -> np.ndarray:
    return near[own_dropped(near, queries)].reshape(len(near), -1)


class Faiss:
    """``IndexIVFFlat``; ``nprobe`` by bisection on the queries of the truth."""

    def __init__(self, vectors: np.ndarray, truth: tuple[np.ndarray, np.ndarray], target: float) -> None:
        tried = [(*self._cheapest(vectors, truth, target, share), share) for share in (4, 8, 16)]
        _, nprobe, share = min(tried)
        self.setting = {"nlist": round(share * len(vectors) ** 0.5), "nprobe": nprobe}
        print("faiss tried", tried, flush=True)

    def _cheapest(self, vectors, truth, target, share) -> tuple[float, int]:
        """Return the seconds that all of it would take, and the number of probes."""
        started = time.time()
        index = self._index(vectors, round(share * len(vectors) ** 0.5))
        built = time.time() - started
        queries, wanted = truth
        low, high = 1, 2048
        while low < high:
            index.nprobe = (low + high) // 2
            found = without_self(index.search(vectors[queries], K + 1)[1], queries)
            low, high = (low, index.nprobe) if overlap(list(found), wanted) >= target else (index.nprobe + 1, high)
        index.nprobe = low
        started = time.time()
        sample = vectors[: 10 * QUERIES]
        index.search(sample, K + 1)
        return built + (time.time() - started) * len(vectors) / len(sample), low

    @staticmethod
    def _index(vectors: np.ndarray, nlist: int) -> faiss.IndexIVFFlat:
        quantiser = faiss.IndexFlatIP(vectors.shape[1])
        index = faiss.IndexIVFFlat(quantiser, vectors.shape[1], nlist, faiss.METRIC_INNER_PRODUCT)
        index.train(vectors[np.random.default_rng(0).permutation(len(vectors))[: 40 * nlist]])
        index.add(vectors)
        return index

    def __call__(self, path: Path, output: Path) -> Path:
        vectors = read(path)
        index = self._index(vectors, self.setting["nlist"])
        index.nprobe = self.setting["nprobe"]
        similarity, near = index.search(vectors, K + 1)
        return write(output / "faiss.parquet", near, similarity)


class Ladder:
    """A side whose settings are tried, the cheapest first, until one reaches the recall."""

    rungs: tuple[dict, ...]

    def __init__(self, vectors: np.ndarray, truth: tuple[np.ndarray, np.ndarray], target: float) -> None:
        queries, wanted = truth
        for setting in self.rungs:
            self.setting = setting
            near = without_self(self.neighbours(vectors)[0], np.arange(len(vectors)))
            reached = overlap(list(near[queries]), wanted)
            print(type(self).__name__, self.setting, round(reached, 4), flush=True)
            if reached >= target:
                return

    def __call__(self, path: Path, output: Path) -> Path:
        near, similarity = self.neighbours(read(path))
        return write(output / f"{type(self).__name__.lower()}.parquet", near, similarity)

    def neighbours(self, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        raise NotImplementedError


class Hnswlib(Ladder):
    rungs = tuple({"M": m, "ef_construction": e, "ef": f} for m, e, f in ((12, 60, 60), (16, 100, 120), (16, 200, 240)))

    def neighbours(self, vectors):
        import hnswlib

        index = hnswlib.Index("ip", vectors.shape[1])
        index.init_index(len(vectors), M=self.setting["M"], ef_construction=self.setting["ef_construction"])
        index.set_num_threads(os.cpu_count())
        index.add_items(vectors)
        index.set_ef(self.setting["ef"])
        near, distance = index.knn_query(vectors, K + 1)
        return near.astype(np.int64), 1 - distance


class Usearch(Ladder):
    rungs = tuple(
        {"connectivity": m, "expansion_add": a, "expansion_search": s}
        for m, a, s in ((12, 60, 60), (16, 100, 120), (16, 200, 240))
    )

    def neighbours(self, vectors):
        from usearch.index import Index

        index = Index(ndim=vectors.shape[1], metric="ip", dtype="f32", **self.setting)
        index.add(np.arange(len(vectors)), vectors, threads=os.cpu_count())
        found = index.search(vectors, K + 1, threads=os.cpu_count())
        return found.keys.astype(np.int64), 1 - found.distances


class Pynndescent(Ladder):
    rungs = tuple({"n_neighbors": n} for n in (K + 1, 20, 30, 40, 60))

    def neighbours(self, vectors):
        from pynndescent import NNDescent

        near, distance = NNDescent(vectors, metric="cosine", n_jobs=-1, random_state=0, **self.setting).neighbor_graph
        return near[:, : K + 1].astype(np.int64), 1 - distance[:, : K + 1]


SIDES = {"faiss": Faiss, "hnswlib": Hnswlib, "usearch": Usearch, "pynndescent": Pynndescent}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--dimension", type=int, default=256)
    parser.add_argument("--noise", type=float, default=0.65)
    parser.add_argument(
        "--target", type=float, default=0.95, help="our knn.recall_target; the others get what we reach"
    )
    parser.add_argument("--sides", nargs="*", choices=list(SIDES), default=["faiss"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--master")
    return parser.parse_args()


if __name__ == "__main__":
    main()
