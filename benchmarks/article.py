"""The article's table: KNN seconds, clustering seconds and F by number of images, for vote and mediator.

    python benchmarks/article.py --items 200000 600000 1400000 --output runs/article

The images are made (``synthetic.committee_points``), five models of 256 dimensions, ``k: 14``; labelled people train
the mediators and choose the thresholds of the vote, other people are clustered. Each size's KNN graphs are made once;
every way is then timed by the clock as a run of its own on stored graphs, to clusters, merges and report. The article's
figures are those of 48 cores and 8 GPUs, on photographs. The last line is one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession
from synthetic import Difficulty, committee_points, identities, write_vectors

from cdp_spark.commands.cluster import Run, cluster
from cdp_spark.commands.sweep import sweep
from cdp_spark.config.input_sections import LabelsConfig
from cdp_spark.config.loading import load_config, load_config_of
from cdp_spark.config.whole import TrainConfig
from cdp_spark.evaluation.kernels.metrics import scores, sums_of
from cdp_spark.scoring.mediator_folder import write_mediator
from cdp_spark.spark.progress import Progress
from cdp_spark.spark.session import local_session
from cdp_spark.training.flow import train

DIMENSION, K = 256, 14
MODELS = [f"model{number}" for number in range(5)]
LABELLED, UNLABELLED = 1, 2
"""Worlds of people."""
KNN_STAGES = ("twins", "truth", "cells", "probing", "shards", "pilot", "by_shard", "knn", "recall")
GRID = np.round(np.arange(0.2, 0.9, 0.01), 2).tolist()
FEATURES = {
    "mediator, relationship + affinity": ["relationship", "affinity"],
    "mediator, + structure": ["relationship", "affinity", "structure"],
}
PUBLISHED = {
    "vote, 1 model": {200: (0.8916, 14.8, 7.7), 600: (0.8674, 60.8, 24.0), 1400: (0.8517, 187.5, 47.7)},
    "vote, 5 models": {200: (0.9313, 78.7, 6.0), 600: (0.9005, 309.0, 18.0), 1400: (0.8895, 967.0, 44.0)},
    "mediator, relationship + affinity": {
        200: (0.9325, 78.7, 77.7), 600: (0.8978, 309.0, 184.0), 1400: (0.8881, 967.0, 407.0)},
    "mediator, + structure": {
        200: (0.9579, 78.7, 100.2), 600: (0.9421, 309.0, 246.0), 1400: (0.9308, 967.0, 585.0)},
}  # fmt: skip
"""By thousands of images: pairwise F, seconds of KNN, seconds of clustering."""


@dataclass(frozen=True)
class Way:
    """One row of the table: how many models, and how they decide."""

    models: int
    consensus: dict[str, Any]


def main() -> None:
    options = arguments()
    spark = local_session(options.master, {})
    ways = ways_of(spark, options)
    rows: dict[str, dict[int, dict]] = {name: {} for name in ways}
    for items in options.items:
        folder = made(options.output, UNLABELLED, items, options.difficulty)
        for name, way in ways.items():
            rows[name][items] = figures(timed(spark, folder, way), folder)
            print(json.dumps({"way": name, "items": items, **rows[name][items]}), flush=True)
    print(json.dumps({"difficulty": vars(options.difficulty), "ways": rows, "published": PUBLISHED, **ratios(rows)}))


def made(output: Path, world: int, items: int, difficulty: Difficulty) -> Path:
    """Make a world's images, in blocks, where they are not made yet."""
    marks = "-".join(f"{value:g}" for value in vars(difficulty).values())
    folder = output / f"world{world}-{items}-{marks}"
    label = identities(items, world)
    for number, model in enumerate(MODELS):
        if not (path := folder / f"{model}.parquet").exists():
            write_vectors(path, committee_points(label, number, DIMENSION, difficulty, world), DIMENSION)
    pq.write_table(pa.table({"id": np.arange(items), "label": label}), folder / "labels.parquet")
    return folder


def ways_of(spark: SparkSession, options: argparse.Namespace) -> dict[str, Way]:
    """Choose thresholds and train mediators on the labelled people."""
    folder = made(options.output, LABELLED, options.labelled, options.difficulty)
    ways = {"vote, 1 model": chosen(spark, folder, 1, [0]), "vote, 5 models": chosen(spark, folder, 5, [2, 3, 4])}
    for name, features in FEATURES.items():
        place = folder / f"mediator-{len(features)}"
        settings = {
            "input": {**models_of(folder, len(MODELS)), "labels": str(folder / "labels.parquet")},
            "output": str(folder / "run"), "knn": {"k": K}, "mediator": {"features": features},
        }  # fmt: skip
        if not (place / "card.json").exists():
            config = load_config_of(TrainConfig, settings)
            write_mediator(str(place), train(config, spark=spark, progress=Progress.on_stderr()))
        ways[name] = Way(len(MODELS), {"strategy": "mediator", "mediator": str(place)})
    print(json.dumps({name: way.consensus for name, way in ways.items()}), flush=True)
    return ways


def chosen(spark: SparkSession, folder: Path, models: int, accepts: list[int]) -> Way:
    """Take the vote whose clusters of the labelled people have the best pairwise F."""
    labels, found = LabelsConfig(path=str(folder / "labels.parquet")), []
    for accept in accepts:
        run = clustered(spark, folder, Way(models, {"accept": accept, "threshold": GRID[0]}))
        rows = sweep(run.output, GRID, spark=spark, labels=labels).rows
        found += [((row["pairwise_f"] or 0.0), accept, row["threshold"]) for row in rows]
    best, accept, threshold = max(found)
    print("chosen", models, "models:", accept, threshold, round(best, 4), flush=True)
    return Way(models, {"accept": accept, "threshold": threshold})


def models_of(folder: Path, count: int) -> dict[str, Any]:
    base, *committee = (str(folder / f"{model}.parquet") for model in MODELS[:count])
    return {"base": base, "committee": committee}


def clustered(spark: SparkSession, folder: Path, way: Way) -> Run:
    settings = {
        "input": models_of(folder, way.models), "output": str(folder / "run"), "knn": {"k": K},
        "consensus": way.consensus,
    }  # fmt: skip
    return cluster(load_config(settings), spark=spark, progress=Progress.on_stderr())


def timed(spark: SparkSession, folder: Path, way: Way) -> Run:
    """Run on stored graphs; where there were none, they are made first."""
    run = clustered(spark, folder, way)
    if any(not stage["reused"] for stage in run.record["stages"] if is_input(stage)):
        forget(run)
        run = clustered(spark, folder, way)
    forget(run)  # so that no way uses what another has made
    return run


def is_input(stage: dict[str, Any]) -> bool:
    return stage["name"].split("/")[0] in (*KNN_STAGES, "embeddings", "items", "quarantine")


def forget(run: Run) -> None:
    """Remove what follows the graphs, and the facts about it."""
    for stage in run.record["stages"]:
        if not is_input(stage):
            shutil.rmtree(Path(run.output, stage["path"]))
    for fact in Path(run.output, "stages").glob("*.json"):
        fact.unlink()


def figures(run: Run, folder: Path) -> dict[str, Any]:
    """Seconds of the graphs when they were made; of the rest by the clock, in this run."""
    record = run.record
    inputs = [stage for stage in record["stages"] if is_input(stage)]
    assert all(stage["reused"] for stage in inputs)
    assert not any(stage["reused"] for stage in record["stages"] if not is_input(stage))
    graphs = [part for part in (*inputs, *record["facts"]) if part["name"].split("/")[0] in KNN_STAGES]
    knn = sum(part["made_seconds"] for part in graphs)
    table = pq.read_table(Path(run.output, "clusters"), columns=["id", "cluster"]).sort_by("id")
    label = pq.read_table(folder / "labels.parquet").column("label").to_numpy()
    cluster = table.column("cluster").to_numpy().copy()
    cluster[cluster < 0] = np.arange((cluster < 0).sum()) + len(cluster)
    judged = scores(sums_of(cluster, label))
    return {
        "pairwise_f": round(judged["pairwise_f"], 4), "bcubed_f": round(judged["bcubed_f"], 4),
        "knn_seconds": round(knn, 1), "clustering_seconds": round(record["seconds"], 1),
        "threshold": record["threshold"], "pairs": record["counts"]["scored_pairs"],
        "recall": {model: round(found["recall"], 4) for model, found in record["recall"].items() if "recall" in found},
        "stages": {s["name"]: round(s["seconds"], 1) for s in record["stages"] if not is_input(s)},
        "peak_worker_mib": max(stage["peak_worker_bytes"] or 0 for stage in record["stages"]) >> 20,
        "driver_peak_mib": record["driver_peak_bytes"] >> 20,
    }  # fmt: skip


def ratios(rows: dict[str, dict[int, dict]]) -> dict[str, float]:
    """Seconds of the article over ours, and how ours grow from the smallest to the largest size."""
    found = {}
    for name, by_items in rows.items():
        for items, row in by_items.items():
            if (published := PUBLISHED[name].get(items // 1000)) is not None:
                found[f"{name}, {items}: published_ratio"] = round(published[2] / row["clustering_seconds"], 2)
        first, last = by_items[min(by_items)], by_items[max(by_items)]
        for kind in ("knn", "clustering"):
            found[f"{name}: {kind}_growth_ratio"] = round(last[f"{kind}_seconds"] / first[f"{kind}_seconds"], 2)
    return found


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, nargs="+", default=[200_000, 600_000, 1_400_000])
    parser.add_argument("--labelled", type=int, default=200_000, help="images of the labelled people")
    parser.add_argument(
        "--difficulty", type=lambda text: Difficulty(*map(float, text.split(","))), default=Difficulty(),
        help="strengths of identity, image and model, deviation of an image's badness",
    )  # fmt: skip
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--master")
    return parser.parse_args()


if __name__ == "__main__":
    main()
