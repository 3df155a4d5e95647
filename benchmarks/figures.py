"""`evaluate` and the report of a run of a million items: seconds on either engine.

    python benchmarks/figures.py --items 1000000 --engines sail spark --output runs/figures

The run's tables are made, not computed: pairs of ``synthetic.write_pairs``, their forest, clusters and merges by the
kernels, and KNN graphs of two models that agree in part. They are made once, and every engine reads them in a process
of its own. What a report keeps beside the run is removed before every round. The first round is cold; the medians are
those of the others. CPU seconds are those of the process and of Spark's JVM and workers below it. ``same`` says whether
the engines gave the same figures, which lie beside the run as JSON. The last line is one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from synthetic import pair_identities, write_pairs

from cdp_spark.base import schemas
from cdp_spark.base.numeric.dense_numbers import numbered
from cdp_spark.base.statuses import STATUSES
from cdp_spark.clusters.kernels.dendrogram import Dendrogram
from cdp_spark.clusters.kernels.pruning import Limits, cut_by_code
from cdp_spark.clusters.kernels.spanning_forest import maximum_spanning_forest
from cdp_spark.config.loading import load_config
from cdp_spark.evaluation.flow import evaluate
from cdp_spark.report.flow import _figures, write_report
from cdp_spark.report.given_labels import NamedLabels
from cdp_spark.runs.finished_run import FinishedRun
from cdp_spark.spark.session import local_session

FILES = 8
MODELS = ("model0", "model1")
K, PAIRS, THRESHOLD = 14, 9, 0.5
LIMITS = Limits(max_cluster_size=600, threshold_step=0.05, max_iter=100)
TIMED = ("evaluate", "tables", "report")
"""The report's tables alone, and the whole report: tables, charts and page."""


def main() -> None:
    options = arguments()
    run = made_run(options.output / f"run-{options.items}", options.items)
    if options.engine is not None:
        print(json.dumps(measured(options.engine, run, options.rounds)))
        return
    results = {engine: in_own_process(engine, options) for engine in options.engines}
    found: dict[str, Any] = {"items": options.items}
    for engine, result in results.items():
        for name in TIMED:
            first, *others = result["seconds"][name]
            found[f"{engine}_{name}_first_seconds"] = first
            found[f"{engine}_{name}_seconds"] = round(statistics.median(others or [first]), 2)
            found[f"{engine}_{name}_cpu_seconds"] = round(
                statistics.median(result["cpu_seconds"][name][-len(others) :]), 2
            )
    if {"sail", "spark"} <= set(results):
        for name in TIMED:
            ratio = found[f"spark_{name}_seconds"] / found[f"sail_{name}_seconds"]
            found[f"spark_to_sail_{name}_ratio"] = round(ratio, 2)
    found["same"] = len({json.dumps(result["figures"]) for result in results.values()}) == 1
    print(json.dumps(found))


def in_own_process(engine: str, options: argparse.Namespace) -> dict[str, Any]:
    command = [
        sys.executable, __file__, "--engine", engine, "--items", str(options.items), "--rounds", str(options.rounds),
        "--output", str(options.output),
    ]  # fmt: skip
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    result: dict[str, Any] = json.loads(printed.splitlines()[-1])
    print(json.dumps({"engine": engine, "seconds": result["seconds"], "cpu": result["cpu_seconds"]}), flush=True)
    (options.output / f"figures-{options.items}-{engine}.json").write_text(json.dumps(result["figures"], indent=1))
    return result


def measured(engine: str, folder: Path, rounds: int) -> dict[str, Any]:
    run = FinishedRun.of(local_session(engine=engine), str(folder))
    given = run.config.input.labels
    assert given is not None

    def tables() -> Any:
        return _figures(run, None, NamedLabels.of(run, given))

    def scored() -> Any:
        return evaluate(run.table("clusters"), run.spark.read.parquet(str(given.path)))

    works: dict[str, Callable[[], Any]] = {
        "evaluate": scored, "tables": tables, "report": lambda: write_report(run),
    }  # fmt: skip
    seconds: dict[str, list[float]] = {name: [] for name in works}
    cpu: dict[str, list[float]] = {name: [] for name in works}
    answers = {}
    for _ in range(rounds + 1):
        for name, work in works.items():
            shutil.rmtree(folder / "stages" / "report", ignore_errors=True)
            started, used = time.time(), cpu_seconds()
            answers[name] = work()
            seconds[name].append(round(time.time() - started, 2))
            cpu[name].append(round(cpu_seconds() - used, 2))
    figures = {**asdict(answers["tables"]), "record": None, "other_labels": sorted(answers["tables"].other_labels)}
    return {"seconds": seconds, "cpu_seconds": cpu, "figures": {"metrics": answers["evaluate"], **figures}}


def cpu_seconds() -> float:
    """Return what this process and those below it, such as Spark's JVM, have used."""
    own = psutil.Process()
    times = [process.cpu_times() for process in (own, *own.children(recursive=True))]
    return sum(each.user + each.system for each in times)


_servers: list[Any] = []
"""A server ends when nobody holds it any more."""


def made_run(folder: Path, items: int) -> Path:
    """Make the tables and the record of a finished run, where they are not made yet."""
    if (folder / "latest.json").exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    write_pairs(folder / "stages", items, PAIRS)
    (folder / "stages" / "pairs").rename(folder / "stages" / "scored_pairs")
    identity = pair_identities(items)
    pq.write_table(pa.table({"id": np.arange(items), "label": identity}), folder / "labels.parquet")
    table = pq.read_table(folder / "stages" / "scored_pairs")
    src, dst, score = (table.column(name).to_numpy() for name in schemas.SCORED_PAIRS.names)
    kept = maximum_spanning_forest(src, dst, score)
    tree = Dendrogram.of_forest(src[kept], dst[kept], score[kept])
    start = float(score[score.astype(np.float64) > THRESHOLD].min())
    tables = {
        "items": pa.table({"id": np.arange(items), "item": np.arange(items)}),
        "forest": pa.table([src[kept], dst[kept], score[kept]], names=schemas.FOREST.names),
        "clusters": clusters(tree, start, items),
        "merges": pa.table([tree.score, tree.src, tree.dst, *tree.joined()], names=schemas.MERGED_ITEMS.names),
        **{f"knn/{model}": knn(identity, seed) for seed, model in enumerate(MODELS)},
    }
    (folder / "stages" / "items.parquet").unlink()
    for name, each in tables.items():
        write_files(folder / "stages" / name, each)
    rows = {name: each.num_rows for name, each in tables.items()} | {"scored_pairs": len(src)}
    (folder / "run.json").write_text(json.dumps(record(folder, rows, tables["clusters"])))
    (folder / "latest.json").write_text("{}")
    return folder


def write_files(folder: Path, table: pa.Table) -> None:
    folder.mkdir(parents=True)
    step = -(-table.num_rows // FILES)
    for part in range(FILES):
        pq.write_table(table.slice(part * step, step), folder / f"part-{part:03d}.parquet", compression="zstd")


def clusters(tree: Dendrogram, start: float, items: int) -> pa.Table:
    found = cut_by_code(tree, THRESHOLD, start=start, limits=LIMITS)
    number = numbered(found.root)[1]
    best = np.full(items, -np.inf, np.float32)
    for ends in (tree.src, tree.dst):
        np.maximum.at(best, ends, tree.score)
    whole = {"cluster": np.full(items, -1), "size": np.zeros(items, np.int64), "level": np.full(items, np.nan)}
    status = np.full(items, "discarded", object)
    status[found.items] = np.array(STATUSES, object)[found.status]
    whole["cluster"][found.items] = number
    whole["size"][found.items] = np.bincount(number)[number]
    whole["level"][found.items] = found.level
    return pa.table({
        "id": np.arange(items), "cluster": whole["cluster"], "status": pa.array(status), "size": whole["size"],
        "best_score": best, "level": pa.array(whole["level"], mask=whole["cluster"] < 0),
    })  # fmt: skip


def knn(identity: np.ndarray, seed: int) -> pa.Table:
    """Make lists of neighbours: most of the item's identity, some of others, more the later the model."""
    random = np.random.default_rng([6, seed])
    items = len(identity)
    order = np.argsort(identity, kind="stable")
    place = np.empty(items, np.int64)
    place[order] = np.arange(items)
    steps = np.concatenate([np.arange(-K // 2, 0), np.arange(1, K // 2 + 1)])
    near = order[np.clip(place[:, None] + steps, 0, items - 1)]
    other = (identity[near] != identity[:, None]) | (random.random(near.shape, np.float32) < 0.1 * (1 + seed))
    near[other] = random.integers(0, items, int(other.sum()))
    offsets = pa.array(np.arange(items + 1, dtype=np.int32) * K)
    similar = pa.array(np.full(items * K, 0.5, np.float32))
    lists = (pa.ListArray.from_arrays(offsets, values) for values in (pa.array(near.ravel()), similar))
    return pa.table([pa.array(np.arange(items)), *lists], names=schemas.KNN.names)


def record(folder: Path, rows: dict[str, int], clusters: pa.Table) -> dict[str, Any]:
    """Say what the report reads of ``run.json``."""
    config = load_config({
        "input": {
            "base": f"{MODELS[0]}.parquet", "committee": [f"{model}.parquet" for model in MODELS[1:]],
            "labels": str(folder / "labels.parquet"),
        },
        "output": str(folder), "knn": {"k": K}, "consensus": {"threshold": THRESHOLD},
    })  # fmt: skip
    stages = [
        {"name": name, "fingerprint": f"{name} of {count}", "path": f"stages/{name}", "rows": count, "seconds": 1.0,
         "made_seconds": 1.0, "reused": False, "peak_worker_bytes": None, "written_bytes": None}
        for name, count in rows.items()
    ]  # fmt: skip
    status = clusters.column("status").value_counts().to_pylist()
    return {
        "config": config.model_dump(mode="json"), "versions": {}, "cores": None, "finished": 0.0, "seconds": 1.0,
        "threshold": THRESHOLD, "dimensions": dict.fromkeys(MODELS), "stages": stages, "warnings": [], "metrics": None,
        "engine": {"components": "single", "why": "made"}, "forest_complete": True,
        "recall": {model: {"method": "exact", "recall": 1.0} for model in MODELS},
        "counts": {
            "items": rows["items"], "rows": dict.fromkeys(MODELS, rows["items"]), "quarantined": {},
            "clusters": len(clusters.column("cluster").unique()) - 1,
            "largest": int(clusters.column("size").to_numpy().max()), "scored_pairs": rows["scored_pairs"],
            "forest_edges": rows["forest"], "statuses": {row["values"]: row["counts"] for row in status},
        },
    }  # fmt: skip


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3, help="rounds after the cold one")
    parser.add_argument("--engines", nargs="+", choices=("sail", "spark"), default=["sail", "spark"])
    parser.add_argument("--engine", choices=("sail", "spark"), help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
