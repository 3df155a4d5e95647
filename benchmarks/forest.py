"""Scored pairs -> clusters at size: forest, components, pruning or agglomeration; how seconds and memory grow.

    python benchmarks/forest.py --items 1000000 3000000 10000000 --engines single graphframes --output runs/forest
    python benchmarks/forest.py --items 200000 1400000 --pairs 14 --rule learned --mediator M --output runs/f

Ten pairs an item (``synthetic.write_pairs``), or as many as are asked for. ``growth_ratio`` is time per item at the
largest size over that at the smallest: 1 is linear. The last line is one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import psutil
from pyspark.sql import SparkSession
from synthetic import write_pairs

from cdp_spark.agglomeration.flow import ClusterMediator
from cdp_spark.base import schemas
from cdp_spark.clusters.flow import consensus_clusters
from cdp_spark.clusters.forest.components import COORDINATES
from cdp_spark.config.loading import load_config
from cdp_spark.runs.stage_store import StageResult, StageStore
from cdp_spark.scoring.flow import Decision, Scored
from cdp_spark.scoring.mediator_folder import load_mediator, require_cluster_net
from cdp_spark.spark.progress import Progress
from cdp_spark.spark.session import local_session

THRESHOLD = 0.5


def main() -> None:
    options = arguments()
    conf = {"spark.jars.packages": COORDINATES} if "graphframes" in options.engines else {}
    spark = local_session(options.master, conf)
    found: dict[str, dict] = {}
    for engine in options.engines:
        for items in options.items:
            data = options.output / f"data-{items}-{options.pairs}"
            if not data.exists():
                write_pairs(data, items, options.pairs)
            found[f"{engine}-{items}"] = timed(spark, data, items, engine, options)
            print(engine, items, found[f"{engine}-{items}"], flush=True)
    ratios = {f"{engine}_growth_ratio": growth(found, engine, options.items) for engine in options.engines}
    print(json.dumps({**found, **ratios}))


def growth(found: dict[str, dict], engine: str, items: list[int]) -> float:
    first, last = min(items), max(items)
    return (found[f"{engine}-{last}"]["seconds"] / last) / (found[f"{engine}-{first}"]["seconds"] / first)


def timed(spark: SparkSession, data: Path, items: int, engine: str, options: argparse.Namespace) -> dict:
    output = options.output / f"run-{engine}-{items}-{time.time_ns()}"
    settings = {
        "input": {"base": "unused"}, "output": str(output),
        "clusters": {"components": engine, "rule": options.rule},
    }  # fmt: skip
    if options.rule in ("contraction", "learned"):
        settings["consensus"] = {"strategy": "mediator", "mediator": "unused"}
    if options.task_edges:
        settings["forest"] = {"task_edges": options.task_edges}
    store = StageStore(spark, str(output), Progress.on_stderr())
    tables = [
        spark.read.schema("id long, item long").parquet(str(data / "items.parquet")),
        spark.read.schema(schemas.SCORED_PAIRS).parquet(str(data / "pairs")),
    ]
    stored = [
        StageResult(table, rows, f"{name}-{items}", name, True, 0.0, 0.0, "", None)
        for name, table, rows in zip(("items", "scored_pairs"), tables, (items, items * options.pairs), strict=True)
    ]
    started, cpu = time.time(), cpu_seconds()
    result = consensus_clusters(
        store, stored[0], Scored(stored[1], Decision(THRESHOLD, mediator(options))), load_config(settings)
    )
    return {
        "seconds": round(time.time() - started, 1),
        "cpu_seconds": round(cpu_seconds() - cpu, 1),
        "peak_worker_mib": max(stage.peak_worker_bytes or 0 for stage in store.results) >> 20,
        "stages": {stage.name: round(stage.seconds, 1) for stage in store.results},
        "engine": result.facts["engine"]["components"],
        "clusters": result.clusters.table.agg({"cluster": "max"}).collect()[0][0] + 1,
        "largest_component": result.facts["largest_component"],
        **result.facts.get("pieces", {}),
    }


def mediator(options: argparse.Namespace) -> ClusterMediator | None:
    """Return the cluster mediator, which the rule ``learned`` asks."""
    if options.mediator is None:
        return None
    card = json.loads((options.mediator / "card.json").read_text())
    found = load_mediator(str(options.mediator), models=card["models"], k=card["k"])
    return ClusterMediator(require_cluster_net(found, str(options.mediator)), found.trust)


def cpu_seconds() -> float:
    """Return the CPU time of this process, the JVM and its Python workers, all of which are still there."""
    me = psutil.Process()
    total = 0.0
    for process in (me, *me.children(recursive=True)):
        times = process.cpu_times()
        # Workers that have ended count as their parent's children.
        total += times.user + times.system + times.children_user + times.children_system
    return total


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, nargs="+", default=[1_000_000, 3_000_000, 10_000_000])
    parser.add_argument("--engines", nargs="+", default=["single"], choices=["single", "graphframes", "auto"])
    parser.add_argument("--pairs", type=int, default=10, help="of an item")
    parser.add_argument("--rule", default="code", help="clusters.rule")
    parser.add_argument("--mediator", type=Path, help="folder of the mediator, for --rule learned")
    parser.add_argument("--task-edges", type=int, help="forest.task_edges, to take the way beyond the bound")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--master")
    return parser.parse_args()


if __name__ == "__main__":
    main()
