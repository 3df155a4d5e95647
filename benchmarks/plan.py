"""Measure what ``cdp-spark plan`` goes by, and check it against other runs.

    python benchmarks/plan.py --output runs/plan --engine sail --ways "without labels" mediator
    python benchmarks/plan.py --output runs/plan --merged-lists
    python benchmarks/plan.py --output runs/plan --check RUN ...

The first measures images of the made set of ``benchmarks/article.py``: 20,000 and 50,000 with the exact search, 50,000
and 200,000 with cells. It takes the named ways (``vote``: five models and 14 neighbours; ``mediator``: three models, 14
neighbours, a mediator trained from nothing on 10,000 other images, and the learned rule; ``without labels``: three
models), and puts them into ``cdp_spark/plan/plan-ENGINE.json`` beside the other ways. Each figure is the least of some
rounds, in CPU seconds of all processes, as if one core did everything: so other work on the machine counts little.
``--merged-lists`` adds what it takes to merge the lists of several shards, which so few images do not have otherwise.
``--check`` compares the plans of finished runs with what they took, in CPU seconds where ``cpu_seconds.py`` noted them.
The last line is one line of JSON, planned over measured.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import events
from article import LABELLED, MODELS, UNLABELLED, made
from cpu_seconds import FILE, record_of, speed_of
from synthetic import Difficulty

from cdp_spark.config.loading import load_config
from cdp_spark.plan import flow as task
from cdp_spark.plan.cost_model import Measured, as_json
from cdp_spark.plan.laws import LAWS
from cdp_spark.plan.measured import machine_speed, measured_run
from cdp_spark.spark.session import local_session

SIZES = ((20_000, 60_000), (50_000, 60_000), (50_000, 20_000), (200_000, 20_000))
"""Items, and ``exact_below``."""
LABELLED_ITEMS = 10_000
SHARDS = 10
"""Shards whose lists are merged."""
WAYS = ("vote", "mediator", "without labels")


def main() -> None:
    options = arguments()
    if options.check:
        print(json.dumps(checked(options.check, options.engine)))
        return
    if options.merged_lists:
        add_merged_lists(options)
    for way in options.ways:
        runs = [least_of_rounds(way, items, exact_below, options) for items, exact_below in wanted(options)]
        others = [run for run in stored(options.engine) if run.get("way", "vote") != way]
        write(options.engine, [*others, *runs])
    print(json.dumps({"runs": len(stored(options.engine))}))


def wanted(options: argparse.Namespace) -> list[tuple[int, int]]:
    """Return the sizes to measure."""
    return [(items, exact_below) for items, exact_below in SIZES if items <= exact_below or not options.exact]


def figures(engine: str) -> Path:
    """Return the file that holds what the plan goes by on an engine."""
    return Path(task.__file__).with_name(f"plan-{engine}.json")


def stored(engine: str) -> list[dict]:
    return json.loads(path.read_text())["runs"] if (path := figures(engine)).exists() else []


def write(engine: str, runs: list[dict]) -> None:
    """Write the runs, way by way, without stages of ways that have runs of their own."""
    for run in runs:
        run["way"], run["in_memory"] = run.get("way", "vote"), engine == "sail"
    known = {run["way"] for run in runs}
    # Other work slows the measurement of the speed more than the stages: of one machine, the highest is right.
    measured_here = [*runs, *stored("sail"), *stored("spark")]
    fastest = max((run["speed"] for run in measured_here if run["cores"] == 1), default=0.0)
    for run in runs:
        run["speed"] = fastest if run["cores"] == 1 else run["speed"]
        of_others = set().union(*(task.OF_WAYS[way] for way in known - {run["way"]}))
        kept = {kind: of for kind, of in run["stages"].items() if kind not in of_others}
        run["stages"] = {kind: kept[kind] for kind in LAWS if kind in kept}
    runs.sort(key=lambda run: (WAYS.index(run["way"]), run["size"]["items"], run["size"]["probed"]))
    figures(engine).write_text(json.dumps({"runs": runs}, indent=1) + "\n")


def add_merged_lists(options: argparse.Namespace) -> None:
    """Measure these in several shards, and put them into the runs by vote that search by cells."""
    runs = stored(options.engine)
    for run in runs:
        if run["way"] == "vote" and run["size"]["probed"] > 1:
            items = run["size"]["items"]
            shards = {"shard_items": items // SHARDS}
            in_shards = measured("vote", items, {"exact_below": 0, **shards}, options, mark="-shards")
            run["stages"]["merged lists"] = rounded(dict(in_shards.stages["merged lists"]))
    write(options.engine, runs)


def least_of_rounds(way: str, items: int, exact_below: int, options: argparse.Namespace) -> dict:
    rounds = [measured(way, items, {"exact_below": exact_below}, options) for _ in range(options.rounds)]
    first = rounds[0]
    stages = {
        kind: rounded({name: min(each.stages[kind][name] for each in rounds) for name in of})
        for kind, of in first.stages.items()
    }
    return as_json(replace(first, speed=max(each.speed for each in rounds), stages=stages))


def measured(way: str, items: int, knn: dict[str, int], options: argparse.Namespace, *, mark: str = "") -> Measured:
    """Run the job in a process of its own."""
    name = f"{options.engine}-{way.replace(' ', '-')}-{items}-{knn['exact_below']}{mark}"
    output, log = options.output / f"run-{name}", options.output / f"log-{name}"
    if not (options.kept and (output / FILE).exists()):
        shutil.rmtree(output, ignore_errors=True)
        shutil.rmtree(log, ignore_errors=True)
        path = output.with_suffix(".yaml")
        path.write_text(json.dumps(settings_of(way, items, options) | {"output": str(output), "knn": {"k": 14, **knn}}))
        conf = [f"--conf={key}={value}" for key, value in events.settings(log).items()]
        on_engine = ["--engine", options.engine, *(conf if options.engine == "spark" else [])]
        script = Path(__file__).with_name("cpu_seconds.py")
        subprocess.run([sys.executable, script, "--config", path, *on_engine], check=True)
    # Sail writes no log of events: rows go from task to task in memory.
    shuffled = {stage: float(of.shuffled) for stage, of in events.told(log).items()}
    return replace(measured_run(record_of(output), shuffled), speed=speed_of(output))


def settings_of(way: str, items: int, options: argparse.Namespace) -> dict[str, dict]:
    folder = made(options.output, UNLABELLED, items, Difficulty())
    base, *committee = (str(folder / f"{model}.parquet") for model in MODELS[: 5 if way == "vote" else 3])
    consensus = {"vote": {"accept": 2}, "without labels": {}}
    return {
        "input": {"base": base, "committee": committee},
        "consensus": consensus[way] if way in consensus else {"mediator": str(trained(options))},
    }


def trained(options: argparse.Namespace) -> Path:
    """Train a mediator on other people, unless it is there."""
    folder, output = made(options.output, LABELLED, LABELLED_ITEMS, Difficulty()), options.output / "mediator"
    if not (output / "card.json").exists():
        base, *committee = (str(folder / f"{model}.parquet") for model in MODELS[:3])
        subprocess.run(
            [sys.executable, "-m", "cdp_spark", "train", "--base", base, "--committee", *committee, "--output", output,
             "--labels", str(folder / "labels.parquet"), "--set=knn.k=14", "--set=mediator.start=none",
             "--engine", options.engine],
            check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
    return output


def planned_speed(engine: str) -> float:
    """Return the speed of the machine whose CPU seconds the plan goes by."""
    return max(run["speed"] for run in stored(engine) if run["cores"] == 1)


def rounded(figures: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 2) for name, value in figures.items()}


def checked(runs: list[Path], engine: str) -> dict[str, float]:
    """Compare plans with records, stage by stage."""
    spark = local_session(engine=engine)
    found = {}
    for path in runs:
        record = record_of(path)
        config = load_config(record.config)
        (planned,) = task.plan(config, spark=spark, items=[record.counts.items], workers=record.cores)
        taken = measured_run(record).stages
        # CPU seconds were measured on the machine that the plan goes by.
        faster = machine_speed() / planned_speed(engine) if (path / FILE).exists() else 1.0
        each = len(planned.models)
        times = {kind: each if LAWS[kind].each_model else 1 for kind in LAWS}
        print(f"{path}: stage, planned and measured: seconds, MiB of a worker, MB written")
        for kind in [kind for kind in LAWS if kind in planned.stages or kind in taken]:
            cost, of = planned.stages.get(kind), taken.get(kind, {})
            seconds = [cost.seconds * faster if cost else 0, of.get("seconds", 0) * times[kind]]
            peaks = [(cost.peak_bytes if cost else 0) / 2**20, of.get("peak_bytes", 0) / 2**20]
            written = [(cost.written_bytes if cost else 0) / 1e6, of.get("written_bytes", 0) * times[kind] / 1e6]
            print(f"  {kind:<28}", *(f"{a:9.1f} {b:9.1f}" for a, b in (seconds, peaks, written)))
        costs = planned.stages.values()
        mark = f"{planned.items}, {each} models, {measured_run(record).way}"
        totals = {
            "seconds": (planned.seconds * faster, sum(of["seconds"] * times[kind] for kind, of in taken.items())),
            "memory": (max(cost.peak_bytes for cost in costs), max(of["peak_bytes"] for of in taken.values())),
            "disk": (
                sum(cost.written_bytes for cost in costs),
                sum(of["written_bytes"] * times[kind] for kind, of in taken.items()),
            ),
        }
        found |= {f"{mark}: {name}_ratio": round(one / other, 3) for name, (one, other) in totals.items()}
    return found


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--engine", choices=["sail", "spark"], default="sail")
    parser.add_argument(
        "--ways", choices=WAYS, nargs="+", default=[], help="measure these, beside the others there are"
    )
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--kept", action="store_true", help="take the runs that are there instead of new ones")
    parser.add_argument("--exact", action="store_true", help="leave out the sizes that are searched by cells")
    parser.add_argument("--merged-lists", action="store_true", help="measure these, beside the figures there are")
    parser.add_argument("--check", type=Path, nargs="+", help="outputs of finished runs")
    options = parser.parse_args()
    if not (options.ways or options.merged_lists or options.check):
        parser.error("one of --ways, --merged-lists and --check is needed")
    return options


if __name__ == "__main__":
    main()
