"""Scored pairs -> clusters: ours, in process and with Spark, beside the published algorithm in plain Python.

    python benchmarks/clusters.py --run RUN --output runs/clusters
    python benchmarks/clusters.py --items 200000 --output runs/clusters

The pairs are those of a finished run, at its threshold, or made ones that two cuts divide (the easiest case for the
other side, whose work grows with the thresholds it has to go through).
The other side is the algorithm as its authors wrote it down: breadth-first search over sets of neighbours, what is too
large searched again at a higher threshold. In process both begin and end with arrays; with Spark ours is what a run
does after the vote (forest, components, pruning, numbering, the session running already, its code compiled by
``--warm`` runs that are printed and not counted), the other side reads and writes Parquet. All clusters are compared.
The last line is one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from synthetic import write_pairs

from cdp_spark.base import schemas
from cdp_spark.clusters.flow import consensus_clusters
from cdp_spark.clusters.kernels.dendrogram import Dendrogram
from cdp_spark.clusters.kernels.pruning import Limits, cut_by_code
from cdp_spark.config.loading import load_config
from cdp_spark.runs.stage_store import StageResult, StageStore
from cdp_spark.scoring.flow import Decision, Scored
from cdp_spark.spark.progress import Progress
from cdp_spark.spark.session import local_session

MADE_THRESHOLD = 0.5
LIMITS = Limits(max_cluster_size=600, threshold_step=0.05, max_iter=100)

Clusters = tuple[np.ndarray, np.ndarray]
"""Items that have a cluster, rising, and the smallest item of each one's cluster."""


def main() -> None:
    options = arguments()
    data = made(options) if options.run is None else of_run(options.run)
    pairs = read(data)
    options.output.mkdir(parents=True, exist_ok=True)
    out = options.output / "published.parquet"
    sides: dict[str, Callable[[], Clusters]] = {
        "published, in process": lambda: published(*pairs, data.threshold),
        "ours, in process": lambda: in_process(*pairs, data.threshold),
        "published, Parquet to Parquet": lambda: written(out, published(*read(data), data.threshold)),
        "ours, with Spark": with_spark(data, options),
    }
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    cold = [timed(sides["ours, with Spark"])[0] for _ in range(options.warm)]
    print("ours, with Spark, before all is compiled", cold, flush=True)
    answers = {}
    for _ in range(options.rounds):
        for name, side in sides.items():
            taken, answers[name] = timed(side)
            seconds[name].append(taken)
            print(name, seconds[name], flush=True)
    first = answers["published, in process"]
    same = {name: all(map(np.array_equal, first, found)) for name, found in answers.items()}
    middle = {name: statistics.median(values) for name, values in seconds.items()}
    found = {
        "items": data.items, "pairs": len(pairs[0]), "threshold": data.threshold,
        "clusters": len(np.unique(first[1])), "same_clusters": same,
        "seconds": middle, "not_counted": cold,
        "spark_ratio": round(middle["published, Parquet to Parquet"] / middle["ours, with Spark"], 1),
        "in_process_ratio": round(middle["published, in process"] / middle["ours, in process"], 1),
    }  # fmt: skip
    print(json.dumps(found))


def timed(side: Callable[[], Clusters]) -> tuple[float, Clusters]:
    started = time.time()
    answer = side()
    return round(time.time() - started, 3), answer


@dataclass(frozen=True)
class Pairs:
    """Tables of (id, item) and of scored pairs, and the threshold that makes the consensus graph."""

    items_path: Path
    pairs_path: Path
    items: int
    threshold: float


def made(options: argparse.Namespace) -> Pairs:
    data = options.output / f"data-{options.items}-{options.pairs}"
    if not data.exists():
        write_pairs(data, options.items, options.pairs)
    return Pairs(data / "items.parquet", data / "pairs", options.items, MADE_THRESHOLD)


def of_run(run: Path) -> Pairs:
    record = json.loads((run / "run.json").read_text())
    paths = {stage["name"]: run / stage["path"] for stage in record["stages"]}
    return Pairs(paths["items"], paths["scored_pairs"], record["counts"]["items"], record["threshold"])


def read(data: Pairs) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    table = pq.read_table(data.pairs_path)
    return tuple(table.column(name).to_numpy() for name in schemas.SCORED_PAIRS.names)


def written(path: Path, found: Clusters) -> Clusters:
    pq.write_table(pa.table({"item": found[0], "cluster": found[1]}), path)
    return found


def published(src: np.ndarray, dst: np.ndarray, score: np.ndarray, above: float) -> Clusters:
    """Follow the published algorithm: components by breadth-first search over sets, thresholds rising."""
    chosen = score.astype(np.float64) > above
    src, dst, score = src[chosen].tolist(), dst[chosen].tolist(), score[chosen].astype(np.float64).tolist()
    threshold = min(score)
    neighbours: dict[int, set[int]] = {}
    weight: dict[tuple[int, int], float] = {}
    for a, b, value in zip(src, dst, score, strict=True):
        neighbours.setdefault(a, set()).add(b)
        neighbours.setdefault(b, set()).add(a)
        weight[a, b] = weight[b, a] = value
    left, clusters = set(neighbours), []
    for number in range(LIMITS.max_iter + 1):
        final, left = components(left, neighbours, weight, threshold, number == LIMITS.max_iter)
        clusters += final
        if not left:
            break
        threshold += (1.0 - threshold) * LIMITS.threshold_step
    items = np.fromiter((item for members in clusters for item in members), np.int64)
    smallest = np.repeat([min(members) for members in clusters], [len(members) for members in clusters])
    order = np.argsort(items)
    return items[order], smallest[order]


def components(
    items: set[int],
    neighbours: dict[int, set[int]],
    weight: dict[tuple[int, int], float],
    threshold: float,
    last: bool,
) -> tuple[list[set[int]], set[int]]:
    """Return the components that are small enough, and the items of the others."""
    final, remaining, unseen = [], set(), set(items)
    while unseen:
        start = unseen.pop()
        group, queue = {start}, [start]
        while queue:
            item = queue.pop(0)
            found = {other for other in neighbours[item] & unseen if weight[item, other] >= threshold}
            unseen -= found
            group |= found
            queue.extend(found)
        if len(group) <= LIMITS.max_cluster_size or last:
            final.append(group)
        else:
            remaining |= group
    return final, remaining


def in_process(src: np.ndarray, dst: np.ndarray, score: np.ndarray, above: float) -> Clusters:
    """Use the kernels that Spark's tasks use."""
    tree = Dendrogram.of_edges(src, dst, score)
    start = float(score[score.astype(np.float64) > above].min())
    found = cut_by_code(tree, above, start=start, limits=LIMITS)
    return found.items, found.root


def with_spark(data: Pairs, options: argparse.Namespace) -> Callable[[], Clusters]:
    """Do what a run does with its scored pairs; what of it is reused between rounds is nothing."""
    spark = local_session(options.master, {})
    sources = {
        "items": spark.read.schema("id long, item long").parquet(str(data.items_path)),
        "scored_pairs": spark.read.schema(schemas.SCORED_PAIRS).parquet(str(data.pairs_path)),
    }
    rows = {"items": data.items, "scored_pairs": len(read(data)[0])}

    def run() -> Clusters:
        output = options.output / f"run-{time.time_ns()}"
        config = load_config({"input": {"base": "unused"}, "output": str(output)})
        stored = [
            StageResult(sources[name], rows[name], name, name, True, 0.0, 0.0, "", None)
            for name in ("items", "scored_pairs")
        ]
        store = StageStore(spark, str(output), Progress.on_stderr())
        table = consensus_clusters(store, stored[0], Scored(stored[1], Decision(data.threshold)), config).clusters.table
        found = table.where("cluster >= 0").select("id", "cluster").toArrow().sort_by("id")
        items, cluster = (found.column(name).to_numpy() for name in ("id", "cluster"))
        smallest = np.full(cluster.max() + 1, data.items)
        np.minimum.at(smallest, cluster, items)
        return items, smallest[cluster]

    return run


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, help="output of a finished run")
    parser.add_argument("--items", type=int, default=200_000)
    parser.add_argument("--pairs", type=int, default=9, help="pairs an item")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--warm", type=int, default=5, help="runs of ours with Spark before the first round")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--master")
    return parser.parse_args()


if __name__ == "__main__":
    main()
