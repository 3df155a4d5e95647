"""Both engines side by side, as a user starts them: whole processes, each in a fresh output folder.

    python benchmarks/engines.py --works demo lfw 200000 1000000 --lfw DATA/lfw/labelled --output runs/engines

``demo`` is the vote over the data that comes with the project; ``lfw`` the vote over three models of a folder of faces;
a number is that many made vectors of 256 numbers from two models. Needs an environment with PySpark and Sail (extra
``spark`` and ``pip install pysail``). Each command runs once before it counts, so that kernels are compiled. The last
line is one line of JSON: medians, and Sail's over Spark's.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from scale import write_labels
from synthetic import identities, points, write_vectors

from cdp_spark.datasets import demo

AFTER_KNN = ("scored_pairs", "forest", "components", "labelled", "clusters", "merges")
NOISE, DIMENSION, MODELS = 0.65, 256, 2
LFW = ("mobileface_v3", "mfn_casia", "mobileface_v2")


def main() -> None:
    options = arguments()
    found = {work: compared(work, options) for work in options.works}
    print(json.dumps(found))


def compared(work: str, options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Run one work on each engine in turn, and return medians and ratios by figure."""
    words, labels = command(work, options)
    rows: dict[str, list[dict[str, float]]] = {engine: [] for engine in options.engines}
    for number in range(options.rounds + 1):
        for engine in options.engines:
            measured = one(words, labels, engine, options.output / f"{work}-{engine}")
            print(work, engine, number or "warming up", json.dumps(measured), file=sys.stderr)
            if number:
                rows[engine].append(measured)
    medians = {
        engine: {name: statistics.median(row[name] for row in each) for name in each[0]}
        for engine, each in rows.items()
    }
    if len(medians) == 2:
        ours, theirs = medians["sail"], medians["spark"]
        medians["ratios"] = {f"{name}_ratio": round(ours[name] / theirs[name], 3) for name in ours if theirs[name]}
    return medians


def middle(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(row[name] for row in rows) for name in rows[0]}


def one(words: Sequence[str], labels: str, engine: str, output: Path) -> dict[str, float]:
    """Run and score once; return seconds and bytes."""
    shutil.rmtree(output, ignore_errors=True)
    whole = timed([*words, "--output", str(output), "--engine", engine])
    scored = timed(["evaluate", "--clusters", f"{output}/clusters", "--labels", labels, "--engine", engine])
    record = json.loads((output / "run.json").read_text())
    seconds = {stage["name"]: stage["made_seconds"] for stage in record["stages"]}
    facts = {fact["name"]: fact["made_seconds"] for fact in record["facts"]}
    of_models = [
        sum(s for name, s in (seconds | facts).items() if name.endswith(f"/{m}")) for m in record["dimensions"]
    ]
    return {
        "process_seconds": round(whole, 2),
        "run_seconds": round(record["seconds"], 2),
        "knn_seconds_a_model": round(statistics.mean(of_models), 2),
        "pairs_to_merges_seconds": round(sum(s for n, s in seconds.items() if n.split("/")[0] in AFTER_KNN), 2),
        "metrics_seconds": round(facts.get("metrics", 0.0), 2),
        "evaluate_process_seconds": round(scored, 2),
        "peak_worker_mib": max(stage["peak_worker_bytes"] or 0 for stage in record["stages"]) >> 20,
        "driver_peak_mib": record["driver_peak_bytes"] >> 20,
    }


def timed(words: Sequence[str]) -> float:
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "cdp_spark", *words], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={name: value for name, value in os.environ.items() if not name.startswith("CDP_")},
    )  # fmt: skip
    return time.perf_counter() - started


def command(work: str, options: argparse.Namespace) -> tuple[list[str], str]:
    """Return the words of a run but for its output and engine, and the labels to score it by."""
    if work == "demo":
        words = demo.command("unused", demo.WAYS["vote"][1])
        place = words.index("--output")
        return words[:place] + words[place + 2 :], words[words.index("--labels") + 1]
    if work == "lfw":
        folder, models, k, threshold = options.lfw, LFW, 14, 0.475
    else:
        folder, models, k, threshold = made(int(work), options.output), ("model0", "model1"), 14, 0.7
    base, *committee = (str(folder / f"{model}.parquet") for model in models)
    labels = str(folder / "labels.parquet")
    settings = ["--set", f"knn.k={k}", "--set", f"consensus.threshold={threshold}"]
    return ["cluster", "--base", base, "--committee", *committee, "--labels", labels, *settings], labels


def made(items: int, output: Path) -> Path:
    """Write the made vectors, unless they are there."""
    folder = output / f"data-{items}"
    label = identities(items)
    write_labels(folder / "labels.parquet", label)
    for number in range(MODELS):
        if not (path := folder / f"model{number}.parquet").exists():
            write_vectors(path, points(label, number, DIMENSION, NOISE), DIMENSION)
    return folder


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--works", nargs="+", default=["demo", "200000"], metavar="WORK")
    parser.add_argument("--engines", nargs="+", default=["sail", "spark"], choices=["sail", "spark"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--lfw", type=Path, help="folder of the faces' embeddings and labels")
    parser.add_argument("--output", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
