"""The KNN graph of one model, Parquet in and Parquet out, beside faiss and others at the same measured recall.

    python benchmarks/knn.py --items 1000000 --targets 0.95 0.99 --output runs/knn

Ours is what a run does: intake, twins, cells, search and the audit of recall, the session running already. Every side
has done 2,000 vectors before its clock starts: what is loaded and compiled once is. faiss is a plain script: the same
file, ``IndexIVFFlat``, inner product, all threads; its number of cells is the best of 4, 8 and 16 sqrt(N), and its
``nprobe`` the smallest that reaches the recall that *ours measured*; both are found on a sample of queries before the
clock starts. hnswlib and usearch (``--sides``) get as much: the better of two indexes, and how far a query looks; of
pynndescent's settings the cheapest that reaches that recall, tried on the whole set. Recall of all is measured against
the same exact answers. The last line is one line of JSON; ratios are our seconds over the other side's at the recall
that ours had at that target.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from synthetic import identities, points, write_vectors

from cdp_spark.config.loading import load_config
from cdp_spark.intake.flow import taken_in
from cdp_spark.knn.flow import knn_graph
from cdp_spark.runs.stage_store import StageStore
from cdp_spark.spark.progress import Progress
from cdp_spark.spark.session import local_session

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
    warmed_up(path, options)
    found: dict[str, dict] = {"ours": {}, **{name: {} for name in options.sides}}
    for target in options.targets:
        found["ours"][target] = repeated(lambda target=target: ours(path, target, options), truth, options.rounds)
        print(json.dumps({"target": target, "ours": found["ours"][target]}), flush=True)
    for name in options.sides:
        side = SIDES[name](path, options, truth)
        for target in options.targets:
            found[name][target] = side.at(found["ours"][target]["recall"])
            print(json.dumps({"target": target, name: found[name][target]}), flush=True)
    ratios = {
        f"{name}_{target}_ratio": round(found["ours"][target]["median"] / found[name][target]["median"], 3)
        for name in options.sides
        for target in options.targets
        if found[name][target]["median"]
    }
    print(json.dumps({"items": options.items, **found, **ratios}))


def repeated(side: Callable[[], Path], truth: tuple[np.ndarray, np.ndarray], rounds: int) -> dict:
    seconds = []
    while not seconds or (len(seconds) < rounds and seconds[0] < SHORT):
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


def warmed_up(path: Path, options: argparse.Namespace) -> None:
    """Let our side do as many vectors as the others have done before they are timed."""
    few = options.output / "few.parquet"
    pq.write_table(pq.read_table(path).slice(0, QUERIES), few)
    ours(few, min(options.targets), options, exact_below=0)


def ours(path: Path, target: float, options: argparse.Namespace, **knn: int) -> Path:
    output = options.output / "run"
    shutil.rmtree(output, ignore_errors=True)
    settings = {"input": {"base": str(path)}, "output": str(output), "knn": {"k": K, "recall_target": target, **knn}}
    config = load_config(settings)
    store = StageStore(local_session(options.master, {}), str(output), Progress.on_stderr())
    (vectors,) = taken_in(store, config.input, {}).vectors.values()
    graph = knn_graph(store, vectors, config.knn)
    print(json.dumps(graph.recall), flush=True)
    stored = [result for result in store.results if result.name == f"knn/{vectors.model}"][-1]  # one for each round
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


class Index:
    """A side with a few settings of its index and an effort of a query: found on the queries of the truth."""

    efforts: Sequence[int]

    def __init__(self, path: Path, options: argparse.Namespace, truth: tuple[np.ndarray, np.ndarray]) -> None:
        self.path, self.options, self.truth = path, options, truth
        vectors = read(path)
        self.asked, self.sample = vectors[truth[0]], vectors[: 10 * QUERIES]
        self.indexes = []
        for setting in self.settings(len(vectors)):
            started = time.time()
            self.indexes.append((setting, self.built(vectors, setting), time.time() - started))
            print(type(self).__name__, "has built", setting, flush=True)

    def at(self, target: float) -> dict:
        """Take the index with which everything would be quickest at this recall, and do it, timed."""
        tried = [self._tried(*each, target) for each in self.indexes]
        best = min(tried, key=lambda each: each["would_take"])
        done = repeated(lambda: self._run(best["setting"], best["effort"]), self.truth, self.options.rounds)
        return {**done, "setting": best["setting"], "effort": best["effort"], "tried": tried}

    def _tried(self, setting: dict, index: Any, built: float, target: float) -> dict:
        """Find the least effort by bisection, and what everything would take."""
        queries, wanted = self.truth
        low, high = 0, len(self.efforts) - 1
        while low < high:
            middle = (low + high) // 2
            found = without_self(self.found(index, self.asked, self.efforts[middle])[0], queries)
            low, high = (low, middle) if overlap(list(found), wanted) >= target else (middle + 1, high)
        effort = self.efforts[low]
        started = time.time()
        self.found(index, self.sample, effort)
        searched = (time.time() - started) * self.options.items / len(self.sample)
        return {"setting": setting, "effort": effort, "would_take": round(built + searched, 1)}

    def _run(self, setting: dict, effort: int) -> Path:
        vectors = read(self.path)
        near, similarity = self.found(self.built(vectors, setting), vectors, effort)
        return write(self.options.output / f"{type(self).__name__.lower()}.parquet", near, similarity)

    def settings(self, items: int) -> Sequence[dict]:
        raise NotImplementedError

    def built(self, vectors: np.ndarray, setting: dict) -> Any:
        raise NotImplementedError

    def found(self, index: Any, queries: np.ndarray, effort: int) -> tuple[np.ndarray, np.ndarray]:
        raise NotImplementedError


class Faiss(Index):
    """``IndexIVFFlat``; its effort is ``nprobe``."""

    efforts = range(1, 2049)

    def settings(self, items):
        return [{"nlist": round(share * items**0.5)} for share in (4, 8, 16)]

    def built(self, vectors, setting):
        quantiser, nlist = faiss.IndexFlatIP(vectors.shape[1]), setting["nlist"]
        index = faiss.IndexIVFFlat(quantiser, vectors.shape[1], nlist, faiss.METRIC_INNER_PRODUCT)
        index.train(vectors[np.random.default_rng(0).permutation(len(vectors))[: 40 * nlist]])
        index.add(vectors)
        return index

    def found(self, index, queries, effort):
        index.nprobe = effort
        similarity, near = index.search(queries, K + 1)
        return near, similarity


class Ladder:
    """A side whose settings are tried, the cheapest first, until one reaches the recall."""

    rungs: tuple[dict, ...]

    def __init__(self, path: Path, options: argparse.Namespace, truth: tuple[np.ndarray, np.ndarray]) -> None:
        self.path, self.options, self.truth = path, options, truth
        self.tried: list[dict] = []
        self.neighbours(read(path)[:QUERIES], self.rungs[0])  # what is compiled when it is first used

    def at(self, target: float) -> dict:
        """Return what the first setting that reaches the recall took; ``median`` is None where none does."""
        for place, setting in enumerate(self.rungs):
            if place == len(self.tried):
                self.tried.append({**self._timed(setting, 1), "setting": setting})
                print(type(self).__name__, json.dumps(self.tried[-1]), flush=True)
            if self.tried[place]["recall"] >= target:
                again = self.options.rounds > 1 and self.tried[place]["median"] < SHORT
                return {**self._timed(setting, self.options.rounds), "setting": setting} if again else self.tried[place]
        return {"median": None, "recall": self.tried[-1]["recall"], "setting": "none reaches it"}

    def _timed(self, setting: dict, rounds: int) -> dict:
        return repeated(lambda: self._run(setting), self.truth, rounds)

    def _run(self, setting: dict) -> Path:
        near, similarity = self.neighbours(read(self.path), setting)
        return write(self.options.output / f"{type(self).__name__.lower()}.parquet", near, similarity)

    def neighbours(self, vectors: np.ndarray, setting: dict) -> tuple[np.ndarray, np.ndarray]:
        raise NotImplementedError


EFS = (20, 30, 40, 50, 60, 75, 90, 105, 120, 150, 180, 240, 320, 400, 600)


class Hnswlib(Index):
    efforts = EFS

    def settings(self, items):
        return ({"M": 12, "ef_construction": 60}, {"M": 16, "ef_construction": 100})

    def built(self, vectors, setting):
        import hnswlib

        index = hnswlib.Index("ip", vectors.shape[1])
        index.init_index(len(vectors), **setting)
        index.set_num_threads(os.cpu_count())
        index.add_items(vectors)
        return index

    def found(self, index, queries, effort):
        index.set_ef(effort)
        near, distance = index.knn_query(queries, K + 1)
        return near.astype(np.int64), 1 - distance


class Usearch(Index):
    efforts = EFS

    def settings(self, items):
        return ({"connectivity": 12, "expansion_add": 60}, {"connectivity": 16, "expansion_add": 100})

    def built(self, vectors, setting):
        from usearch.index import Index

        index = Index(ndim=vectors.shape[1], metric="ip", dtype="f32", **setting)
        index.add(np.arange(len(vectors)), vectors, threads=os.cpu_count())
        return index

    def found(self, index, queries, effort):
        index.expansion_search = effort
        found = index.search(queries, K + 1, threads=os.cpu_count())
        return found.keys.astype(np.int64), 1 - found.distances


class Pynndescent(Ladder):
    rungs = tuple({"n_neighbors": n} for n in (K + 1, 20, 30, 40, 60))

    def neighbours(self, vectors, setting):
        from pynndescent import NNDescent

        near, distance = NNDescent(vectors, metric="cosine", n_jobs=-1, random_state=0, **setting).neighbor_graph
        return near[:, : K + 1].astype(np.int64), 1 - distance[:, : K + 1]


SIDES = {"faiss": Faiss, "hnswlib": Hnswlib, "usearch": Usearch, "pynndescent": Pynndescent}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--dimension", type=int, default=256)
    parser.add_argument("--noise", type=float, default=0.65)
    parser.add_argument(
        "--targets", type=float, nargs="+", default=[0.95], help="our knn.recall_target; the others get what we reach"
    )
    parser.add_argument("--sides", nargs="*", choices=list(SIDES), default=["faiss"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--master")
    return parser.parse_args()


if __name__ == "__main__":
    main()
