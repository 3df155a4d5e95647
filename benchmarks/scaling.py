"""Scaling beyond one machine, as far as two cores show it: one core, two, and two workers of their own.

    python benchmarks/scaling.py --items 200000 --output runs/scaling

Each master runs the main job in a process of its own: three models of 256 dimensions, vote. ``local[1]`` is held to one
core; otherwise the JVM would read and write on the other one while Python computes. Told per stage: seconds, efficiency
(seconds with one core over twice those with two), bytes shuffled and written per item, and skew, the largest task over
the median task, of those that read anything. ``--skewed`` puts half of all vectors into one clump.
The last line is one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import events
import numpy as np
from synthetic import Difficulty, committee_points, identities, write_vectors

DIMENSION, MODELS = 256, 3


def main() -> None:
    options = arguments()
    folder = options.output / f"data-{options.items}{'-skewed' if options.skewed else ''}"
    models = [folder / f"model{number}.parquet" for number in range(MODELS)]
    label = identities(options.items)
    for number, path in enumerate(models):
        if not path.exists():
            blocks = committee_points(label, number, DIMENSION, Difficulty(), 1)
            write_vectors(path, clumped(blocks) if options.skewed else blocks, DIMENSION)
    runs = {master: measured(master, models, options) for master in options.masters}
    rows = {stage: {master: run[stage] for master, run in runs.items()} for stage in runs[options.masters[0]]}
    for stage, row in rows.items():
        print(stage, json.dumps(row), flush=True)
    print(json.dumps({"items": options.items, "stages": rows, **ratios(runs)}))


def clumped(blocks: Iterator[tuple[int, np.ndarray]]) -> Iterator[tuple[int, np.ndarray]]:
    """Move every other vector into one clump around the first direction."""
    for start, rows in blocks:
        rows[::2] *= 0.3
        rows[::2, 0] += 3
        yield start, rows


def measured(master: str, models: list[Path], options: argparse.Namespace) -> dict[str, dict]:
    """Run the job; return figures by stage, those of the models together."""
    output = options.output / f"{models[0].parent.name}-{master.translate(str.maketrans('[],', '-__'))}"
    log = output.with_name(f"{output.name}-log")
    subprocess.run(["rm", "-rf", output, log], check=True)
    conf = [f"--conf={key}={value}" for key, value in events.settings(log).items()]
    shards = [] if options.shard_items is None else [f"--set=knn.shard_items={options.shard_items}"]
    base, *committee = map(str, models)
    subprocess.run(
        [sys.executable, "-m", "cdp_spark", "cluster", "--base", base, "--committee", *committee, "--output", output,
         "--master", master, "--set=knn.k=14", "--set=consensus.accept=1", "--json", *shards, *conf],
        check=True, stdout=subprocess.DEVNULL, stderr=(output.with_name(f"{output.name}.err")).open("w"),
        preexec_fn=one_core if master == "local[1]" else None,
    )  # fmt: skip
    record, told = json.loads((output / "run.json").read_text()), events.told(log)
    found: dict[str, dict] = {}
    for stage in record["stages"]:
        row = found.setdefault(stage["name"].split("/")[0], {"seconds": 0.0, "shuffled": 0, "written": 0, "skew": 0.0})
        row["seconds"] = round(row["seconds"] + stage["made_seconds"], 2)
        row["written"] += stage["written_bytes"]
        if (of := told.get(stage["name"])) is not None:
            row["shuffled"] += of.shuffled
            row["skew"] = round(max(row["skew"], of.skew or 0.0), 2)
    for row in found.values():
        row["shuffled_per_item"] = round(row.pop("shuffled") / options.items, 1)
        row["written_per_item"] = round(row.pop("written") / options.items, 1)
    found["all"] = {"seconds": round(record["seconds"], 1)}
    return found


def one_core() -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def ratios(runs: dict[str, dict[str, dict]]) -> dict[str, float]:
    """Return efficiencies of two cores by stage, and workers of their own over threads of one."""
    found = {}
    one, two = (
        next((run for master, run in runs.items() if master == name), None) for name in ("local[1]", "local[2]")
    )
    apart = next((run for master, run in runs.items() if master.startswith("local-cluster")), None)
    if one and two:
        for stage in two:
            found[f"{stage}: efficiency_ratio"] = round(one[stage]["seconds"] / 2 / two[stage]["seconds"], 2)
    if two and apart:
        found["cluster_ratio"] = round(apart["all"]["seconds"] / two["all"]["seconds"], 2)
    return found


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=200_000)
    parser.add_argument("--masters", nargs="+", default=["local[1]", "local[2]", "local-cluster[2,1,2048]"])
    parser.add_argument("--skewed", action="store_true")
    parser.add_argument("--shard-items", type=int, help="knn.shard_items: small, and there are tasks to compare")
    parser.add_argument("--output", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
