"""Clusters without any label or setting, beside what people use instead: pairwise and BCubed F, and seconds.

    python benchmarks/no_labels.py --data DATA --output runs/no-labels
    python benchmarks/no_labels.py --cost --data DATA --sets omniglot --output runs/cost

Labels only judge. Ours reads the models one by one; the others read the unit vectors of all models side by side, at
their defaults (EVoC draws anew each time). HDBSCAN is shown at two members and two samples as well. FINCH gives several
partitions: its first. Leiden (modularity), Infomap and Chinese whispers read the graph of the 15 nearest neighbours,
weighted by cosine. * is told the true number of clusters, which nobody has. Noise counts as clusters of one. Glyphs
come with the package; other sets lie in ``--data``. ``--mediators`` adds mediators of other seeds, ``--single`` our
figures for each model alone. Each way runs in a process of its own, after a run over a few rows that is not counted:
it compiles. A rival that is not installed is named and left out. Ours runs the reference kernel
(``unlabelled.kernels.reference``), on one machine, not yet the distributed job. The last line is one line of JSON.

``--cost`` runs ``cdp-spark cluster`` instead, without labels and as a vote with 15 and with 40 neighbours, and compares
the CPU seconds of whole processes. Without labels 40 neighbours are searched, so the second vote reads the same lists.
Each runs ``--rounds`` times; the first run of each compiles, and does not count if there are several. The last line has
the ratios of medians.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import queue
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from peers import kmeans, neighbours

from cdp_spark.datasets import glyphs
from cdp_spark.evaluation.kernels.metrics import scores, sums_of
from cdp_spark.unlabelled.kernels.reference import cluster_without_labels
from cdp_spark.unlabelled.shipped import SHIPPED, load_unlabelled

OMNIGLOT = ["resnet", "dense", "sep", "wide", "plain"]
SETS = {
    "glyphs": (glyphs.FOLDER / "unlabelled", [glyphs.BASE, *glyphs.COMMITTEE]),
    "lfw": (Path("lfw/labelled"), ["mobileface_v3", "mfn_casia", "mobileface_v2", "mobileface_v1"]),
    "omniglot_longtail": (Path("omniglot_longtail/unlabelled"), OMNIGLOT),
    "omniglot": (Path("omniglot/unlabelled"), OMNIGLOT),
}
"""Folders, those of other sets than the glyphs below ``--data``, and models, the base first."""
NEAREST = 15
WARM_ROWS = 1_000


@dataclass(frozen=True)
class Given:
    """What is clustered: unit vectors by model, and the true identity of each row, read by who is told a number."""

    models: list[np.ndarray]
    identity: np.ndarray

    @property
    def side_by_side(self) -> np.ndarray:
        return np.concatenate(self.models, axis=1) / np.float32(len(self.models) ** 0.5)

    def first(self, rows: int) -> Given:
        return Given([vectors[:rows] for vectors in self.models], self.identity[:rows])


Way = Callable[[Given], tuple[np.ndarray, dict[str, Any]]]
"""Returns a label per row, -1 for noise, and what else is known of the run."""


def ours(mediator: str, only: int | None = None) -> Way:
    """Cluster without labels; ``only``: by one model. The one place to change when the product does it."""

    def run(given: Given) -> tuple[np.ndarray, dict[str, Any]]:
        models = given.models if only is None else [given.models[only]]
        loaded, _ = load_unlabelled(SHIPPED if mediator == "shipped" else mediator)
        labels, facts = cluster_without_labels(models, loaded)
        return labels, {"shift": facts.shift, "halves": facts.halves, "agreement": round(facts.agreement, 4)}

    return run


def rival(labels: Callable[[np.ndarray], np.ndarray]) -> Way:
    """Wrap a clustering of vectors."""
    return lambda given: (np.asarray(labels(given.side_by_side)), {})


def finch(vectors: np.ndarray) -> np.ndarray:
    from finch import FINCH

    partitions: np.ndarray = FINCH(vectors, verbose=False)[0]
    return partitions[:, 0]


def evoc(vectors: np.ndarray) -> np.ndarray:
    from evoc import EVoC

    return EVoC().fit_predict(vectors)


def hdbscan(**settings: int) -> Callable[[np.ndarray], np.ndarray]:
    def labels(vectors: np.ndarray) -> np.ndarray:
        from fast_hdbscan import HDBSCAN

        return HDBSCAN(**settings).fit_predict(vectors)

    return labels


def plscan(vectors: np.ndarray) -> np.ndarray:
    from fast_plscan import PLSCAN

    return PLSCAN().fit_predict(vectors)


def edges(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct pairs of nearest neighbours, shape (m, 2), and their cosines, where these are positive."""
    near, cosine = neighbours(vectors, NEAREST)
    pairs = np.stack([np.repeat(np.arange(len(vectors)), NEAREST), near.ravel()], axis=1)
    pairs.sort(axis=1)
    pairs, first = np.unique(pairs, axis=0, return_index=True)
    cosine = cosine.ravel()[first]
    return pairs[cosine > 0], cosine[cosine > 0]


def leiden(vectors: np.ndarray) -> np.ndarray:
    import random

    import igraph

    pairs, cosine = edges(vectors)
    random.seed(0)  # igraph's generator
    graph = igraph.Graph(len(vectors), pairs.tolist())
    return np.array(graph.community_leiden(objective_function="modularity", weights=cosine.tolist()).membership)


def infomap(vectors: np.ndarray) -> np.ndarray:
    from infomap import Infomap

    pairs, cosine = edges(vectors)
    graph = Infomap("--silent --seed 1")
    graph.add_links([(int(a), int(b), float(w)) for (a, b), w in zip(pairs, cosine, strict=True)])
    graph.run()
    found = np.full(len(vectors), -1)
    for node, module in graph.get_modules().items():
        found[node] = module
    return found


def chinese_whispers(vectors: np.ndarray) -> np.ndarray:
    import networkx
    from chinese_whispers import chinese_whispers as whispered

    pairs, cosine = edges(vectors)
    graph = networkx.Graph()
    graph.add_nodes_from(range(len(vectors)))
    graph.add_weighted_edges_from((int(a), int(b), float(w)) for (a, b), w in zip(pairs, cosine, strict=True))
    whispered(graph, seed=0)
    return np.array([graph.nodes[row]["label"] for row in range(len(vectors))])


def told_kmeans(given: Given) -> tuple[np.ndarray, dict[str, Any]]:
    return kmeans(given.side_by_side, [None], len(np.unique(given.identity)))[None], {}


RIVALS: dict[str, Way] = {
    "FINCH": rival(finch),
    "EVoC": rival(evoc),
    "HDBSCAN": rival(hdbscan()),
    "HDBSCAN, 2 and 2": rival(hdbscan(min_cluster_size=2, min_samples=2)),
    "PLSCAN": rival(plscan),
    "Leiden": rival(leiden),
    "Infomap": rival(infomap),
    "Chinese whispers": rival(chinese_whispers),
    "K-means*": told_kmeans,
}


COSTS = {"no_labels": [], "vote_15": ["--threshold", "0.5"], "vote_40": ["--threshold", "0.5", "--k", "40"]}
"""Options of the runs whose costs are compared."""


def main() -> None:
    options = arguments()
    options.output.mkdir(parents=True, exist_ok=True)
    if options.cost:
        print(json.dumps({name: costs(name, options) for name in options.sets}))
        return
    table: dict[str, dict[str, Any]] = {}
    for name in options.sets:
        rows = table.setdefault(name, {})
        for way in ways_of(name, options):
            rows[way] = apart(way, name, options)
            print(name, way, json.dumps(rows[way]), flush=True)
            (options.output / "no_labels.json").write_text(json.dumps(table, indent=1))
    show(table, scores_and_seconds)
    print(json.dumps(table))


def costs(name: str, options: argparse.Namespace) -> dict[str, float]:
    """Run the product without labels and as a vote, and return CPU seconds over those of the votes."""
    seconds: dict[str, list[float]] = {way: [] for way in COSTS}
    for number in range(options.rounds):
        for way, words in COSTS.items():
            output = options.output / f"{name}-{way}"
            shutil.rmtree(output, ignore_errors=True)
            seconds[way].append(cpu_seconds([*command(name, options), *words, "--output", str(output)]))
            print(name, way, number, round(seconds[way][-1], 2), file=sys.stderr, flush=True)
    counted = {way: statistics.median(each[1:] or each) for way, each in seconds.items()}
    (options.output / f"{name}-cost.json").write_text(json.dumps(seconds, indent=1))
    ratios = {f"cpu_over_{way}_ratio": counted["no_labels"] / counted[way] for way in COSTS if way != "no_labels"}
    return {key: round(value, 2) for key, value in ratios.items()}


def command(name: str, options: argparse.Namespace) -> list[str]:
    folder, models = folder_of(name, options.data), SETS[name][1]
    base, *committee = (str(folder / f"{model}.parquet") for model in models)
    run = [sys.executable, "-m", "cdp_spark", "cluster", "--engine", options.engine]
    return [*run, "--base", base, "--committee", *committee]


def cpu_seconds(words: list[str]) -> float:
    """Run a command, and return the CPU seconds of it and of all processes that it started and waited for."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def ways_of(name: str, options: argparse.Namespace) -> list[str]:
    """Name the ways: ours by mediator, ours by each model alone with the first mediator, and the others."""
    single = [f"ours, {model} alone" for model in SETS[name][1]] if options.single else []
    return [*(f"ours, {mediator}" for mediator in options.mediators), *single, *options.rivals]


def way_named(way: str, name: str, mediators: list[str]) -> Way:
    kind = way.removeprefix("ours, ")
    if kind.endswith(" alone"):
        return ours(mediators[0], SETS[name][1].index(kind.removesuffix(" alone")))
    return RIVALS[way] if way in RIVALS else ours(kind)


def apart(way: str, name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Run one way on one set in a process of its own, with bounds on memory and time."""
    context = multiprocessing.get_context("spawn")
    answers: Any = context.Queue()
    process = context.Process(target=_run, args=(way, name, options, answers))
    process.start()
    deadline, answer = time.time() + options.limit, None
    while answer is None and time.time() < deadline:
        alive = process.is_alive()
        try:
            answer = answers.get(timeout=1)
        except queue.Empty:
            if not alive:
                break
    failed = f"more than {options.limit} s" if process.is_alive() else "ended without an answer"
    process.kill()
    process.join()
    return answer or {"failed": failed}


def _run(way: str, name: str, options: argparse.Namespace, answers: Any) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (options.memory << 30, options.memory << 30))
    try:
        run, given = way_named(way, name, options.mediators), read(name, options.data)
        run(given.first(WARM_ROWS))
        started, cpu = time.time(), time.process_time()
        labels, known = run(given)
        seconds = {"seconds": round(time.time() - started, 2), "cpu_seconds": round(time.process_time() - cpu, 2)}
        answers.put(judged(labels, given.identity) | seconds | known)
    except ImportError as error:
        answers.put({"failed": f"{error.name} is not installed"})
    except MemoryError:
        answers.put({"failed": f"more than {options.memory} GiB"})
    except Exception as error:  # a rival's, whatever it is: the others still run
        answers.put({"failed": f"{type(error).__name__}: {error}"})


def read(name: str, data: Path | None) -> Given:
    folder, models = folder_of(name, data), SETS[name][1]
    labels = pq.read_table(folder / "labels.parquet").sort_by("id")
    identity = np.unique(labels["label"].to_numpy(), return_inverse=True)[1]
    return Given([vectors_of(folder / f"{model}.parquet") for model in models], identity)


def folder_of(name: str, data: Path | None) -> Path:
    folder = SETS[name][0]
    return folder if folder.is_absolute() else (data or Path()) / folder


def vectors_of(path: Path) -> np.ndarray:
    """Read unit vectors in the order of ids, from lists of numbers or from float16 bytes."""
    column = pq.read_table(path).sort_by("id")["embedding"].combine_chunks()
    if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        values = np.frombuffer(b"".join(column.to_pylist()), np.float16)
    else:
        values = column.flatten().to_numpy(zero_copy_only=False)
    vectors = values.reshape(len(column), -1).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def judged(labels: np.ndarray, identity: np.ndarray) -> dict[str, Any]:
    cluster = np.unique(labels, return_inverse=True)[1]
    cluster[labels < 0] = cluster.max() + 1 + np.arange((labels < 0).sum())
    found = scores(sums_of(cluster, identity))
    figures = {metric: round(found[metric] or 0.0, 4) for metric in ("pairwise_f", "bcubed_f")}
    return figures | {"clusters": len(np.unique(cluster))}


def show(table: dict[str, dict[str, Any]], shown: Callable[[dict[str, Any] | None], str]) -> None:
    """Print ways by sets."""
    ways = list(dict.fromkeys(way for rows in table.values() for way in rows))
    print("| |", " | ".join(table), "|")
    print("|---" * (len(table) + 1) + "|")
    for way in ways:
        print(f"| {way} |", " | ".join(shown(rows.get(way)) for rows in table.values()), "|")


def scores_and_seconds(row: dict[str, Any] | None) -> str:
    """Pairwise / BCubed F, seconds."""
    if row is None or "failed" in row:
        return "" if row is None else row["failed"]
    pairwise, bcubed = (f"{row[metric]:.3f}".removeprefix("0") for metric in ("pairwise_f", "bcubed_f"))
    return f"{pairwise} / {bcubed}, {row['seconds']:.0f} s"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="evaluation sets; without it, glyphs alone")
    parser.add_argument("--sets", nargs="+", choices=list(SETS))
    parser.add_argument("--mediators", nargs="+", default=["shipped"], help="folders, or `shipped`")
    parser.add_argument("--single", action="store_true", help="each model alone, too")
    parser.add_argument("--rivals", nargs="*", choices=list(RIVALS), default=list(RIVALS))
    parser.add_argument("--memory", type=int, default=20, help="GiB that one may take")
    parser.add_argument("--limit", type=int, default=1_800, help="seconds that one may take")
    parser.add_argument("--cost", action="store_true", help="CPU of the command, over that of a vote")
    parser.add_argument("--engine", choices=["sail", "spark"], default="sail", help="with --cost")
    parser.add_argument("--rounds", type=int, default=2, help="with --cost; the first does not count")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    options.sets = options.sets or (list(SETS) if options.data else ["glyphs"])
    return options


if __name__ == "__main__":
    main()
