"""Measure what ``cdp-spark plan`` goes by, and check it against larger runs.

    python benchmarks/plan.py --article runs/article --engine sail --output runs/plan
    python benchmarks/plan.py --output runs/plan --merged-lists
    python benchmarks/plan.py --output runs/plan --check RUN ...

The first measures 50,000 and 200,000 images of the made set of ``benchmarks/article.py`` (its mediator, too), and
20,000 and 50,000 with the exact search, and writes ``cdp_spark/plan/plan-ENGINE.json``. ``--merged-lists`` adds to the
figures that are there what it takes to merge the lists of several shards, which so few images do not have otherwise.
``--check`` compares the plan of finished runs, vote or mediator, with what they took. The last line is one line of
JSON, planned over measured.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

import events
from article import MODELS, UNLABELLED, made
from synthetic import Difficulty

from cdp_spark.config.loading import load_config
from cdp_spark.plan import flow as task
from cdp_spark.plan.cost_model import as_json
from cdp_spark.runs.run_json import ClusterRecord
from cdp_spark.spark.session import local_session

SIZES = ((20_000, 60_000), (50_000, 60_000), (50_000, 20_000), (200_000, 20_000))
"""Items, and ``exact_below``."""

SHARDS = 10
"""Shards whose lists are merged."""


def main() -> None:
    options = arguments()
    if options.check:
        print(json.dumps(checked(options.check, options.engine)))
        return
    runs = with_merged_lists(options) if options.merged_lists else all_runs(options)
    figures(options.engine).write_text(json.dumps({"runs": runs}, indent=1) + "\n")
    print(json.dumps({"written": len(runs)}))


def figures(engine: str) -> Path:
    """Return the file that holds what the plan goes by on an engine."""
    return Path(task.__file__).with_name(f"plan-{engine}.json")


def all_runs(options: argparse.Namespace) -> list[dict]:
    runs = []
    for items, exact_below in SIZES:
        folder = made(options.output, UNLABELLED, items, Difficulty())
        runs += [measured(folder, exact_below, consensus, options) for consensus in ways(options.article)]
    return merged(runs)


def with_merged_lists(options: argparse.Namespace) -> list[dict]:
    """Return the runs that are there, those by cells with what merging takes beside the rest."""
    runs = json.loads(figures(options.engine).read_text())["runs"]
    for run, (items, exact_below) in zip(runs, SIZES, strict=True):
        if items > exact_below:
            folder = made(options.output, UNLABELLED, items, Difficulty())
            found = measured(folder, exact_below, {"accept": "2"}, options, shard_items=items // SHARDS)
            run["stages"]["merged lists"] = rounded(found["stages"]["merged lists"])
    return runs


def ways(article: Path) -> list[dict[str, str]]:
    mediator = next(article.glob("world1-*/mediator-3"))
    return [{"accept": "2"}, {"strategy": "mediator", "mediator": str(mediator)}]


def measured(
    folder: Path,
    exact_below: int,
    consensus: dict[str, str],
    options: argparse.Namespace,
    *,
    shard_items: int | None = None,
) -> dict:
    """Run the job in a process of its own; the second way uses the first one's graphs again."""
    mark = f"{folder.name}-{exact_below}" + ("" if shard_items is None else f"-shards-{shard_items}")
    output, log = (
        options.output / f"run-{mark}",
        options.output / f"log-{mark}-{len(consensus)}-{'accept' in consensus}",
    )
    if "accept" in consensus:
        shutil.rmtree(output, ignore_errors=True)
    shutil.rmtree(log, ignore_errors=True)
    on_spark = options.engine == "spark"
    conf = [f"--conf={key}={value}" for key, value in events.settings(log).items()] if on_spark else []
    base, *committee = (str(folder / f"{model}.parquet") for model in MODELS)
    settings = [f"--set=consensus.{key}={value}" for key, value in consensus.items()]
    settings += [] if shard_items is None else [f"--set=knn.shard_items={shard_items}"]
    subprocess.run(
        [sys.executable, "-m", "cdp_spark", "cluster", "--base", base, "--committee", *committee, "--output", output,
         "--set=knn.k=14", f"--set=knn.exact_below={exact_below}", *settings, "--json", "--engine", options.engine,
         *conf],
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    record = ClusterRecord.model_validate_json((output / "run.json").read_text())
    # Sail writes no log of events: rows go from task to task in memory.
    shuffled = {name: float(of.shuffled) for name, of in events.told(log).items()} if on_spark else {}
    return as_json(task.measured_run(record, shuffled))


def merged(runs: list[dict]) -> list[dict]:
    """Put the two ways of a size into one: what the second used again was measured by the first."""
    found = []
    for first, second in zip(runs[::2], runs[1::2], strict=True):
        stages = {**second["stages"], **first["stages"]}
        found.append({**first, "stages": {kind: rounded(of) for kind, of in stages.items()}})
    return found


def rounded(figures: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 2) for name, value in figures.items()}


def checked(runs: list[Path], engine: str) -> dict[str, float]:
    """Compare plans with records, stage by stage."""
    spark = local_session(engine=engine)
    found = {}
    for path in runs:
        record = ClusterRecord.model_validate_json((path / "run.json").read_text())
        config = load_config(record.config)
        (planned,) = task.plan(config, spark=spark, workers=record.cores)
        taken = task.measured_run(record).stages
        each = len(planned.models)
        print(f"{path}: stage, planned and measured seconds, planned and measured MiB of a worker")
        for kind, cost in planned.stages.items():
            if kind in taken:
                times = each if task.LAWS[kind].each_model else 1
                seconds = taken[kind]["seconds"] * times
                peaks = [round(of / 2**20) for of in (cost.peak_bytes, taken[kind]["peak_bytes"])]
                print(f"  {kind:<24} {cost.seconds:8.1f} {seconds:8.1f} {peaks[0]:6} {peaks[1]:6}")
        whole = sum(of["seconds"] * (each if task.LAWS[kind].each_model else 1) for kind, of in taken.items())
        peak = max(of["peak_bytes"] for of in taken.values())
        found[f"{planned.items}, {config.consensus.strategy}: seconds_ratio"] = round(planned.seconds / whole, 3)
        highest = max(cost.peak_bytes for cost in planned.stages.values())
        found[f"{planned.items}, {config.consensus.strategy}: memory_ratio"] = round(highest / peak, 3)
    return found


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--article", type=Path, help="output of benchmarks/article.py, for its mediator")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--engine", choices=["sail", "spark"], default="sail")
    parser.add_argument("--merged-lists", action="store_true", help="measure these alone, beside the figures there are")
    parser.add_argument("--check", type=Path, nargs="+", help="outputs of finished runs")
    options = parser.parse_args()
    if options.article is None and not (options.merged_lists or options.check):
        parser.error("--article is needed")
    return options


if __name__ == "__main__":
    main()
