"""The main job on a synthetic set of any size: seconds and peak memory by stage, recall, and what recall costs.

    python benchmarks/scale.py --items 1000000 --models 3 --dimension 256 --output runs/scale

``--without-labels`` takes the default way instead of a vote, in an output of its own. The set is that of
``synthetic.points``. The last line is one line of JSON.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from cpu_seconds import CpuProgress
from synthetic import identities, points, write_vectors

from cdp_spark.commands.cluster import cluster
from cdp_spark.config.loading import load_config
from cdp_spark.spark.session import local_session

RECALL_STAGES = ("truth", "probing", "pilot", "recall")


def main() -> None:
    options = arguments()
    data = options.output / f"data-{options.items}-{options.dimension}-{options.noise}"
    models = [f"model{number}" for number in range(options.models)]
    label = identities(options.items)
    write_labels(data / "labels.parquet", label)
    for number, model in enumerate(models):
        if not (path := data / f"{model}.parquet").exists():
            write_vectors(path, points(label, number, options.dimension, options.noise), options.dimension)
    way = "-without-labels" if options.without_labels else ""
    settings = {
        "input": {
            "base": str(data / f"{models[0]}.parquet"),
            "committee": [str(data / f"{model}.parquet") for model in models[1:]],
            "labels": str(data / "labels.parquet"),
        },
        "output": str(options.output / f"run-{options.items}-{options.models}{way}"),
        "knn": {"k": options.k},
        "consensus": {} if options.without_labels else {"threshold": options.threshold},
    }
    progress = CpuProgress.shown()
    run = cluster(load_config(settings), spark=local_session(options.master, engine=options.engine), progress=progress)
    progress.write(Path(run.output))
    print(json.dumps(figures(run.record, models)))


def figures(record: dict, models: list[str]) -> dict:
    seconds = {stage["name"]: stage["made_seconds"] for stage in record["stages"]}
    whole = sum(seconds.values())
    judged = record["metrics"]["kept"]
    return {
        "seconds": round(whole, 1),
        "knn_seconds": {m: round(sum(s for name, s in seconds.items() if name.endswith(f"/{m}")), 1) for m in models},
        "stages": seconds,
        "peak_worker_mib": max(stage["peak_worker_bytes"] or 0 for stage in record["stages"]) >> 20,
        "driver_peak_mib": record["driver_peak_bytes"] >> 20,
        "recall": record["recall"],
        "metrics": {name: judged[name] for name in ("pairwise_f", "bcubed_f", "clusters", "identities")},
        "truth_to_search_ratio": {
            m: seconds[f"truth/{m}"] / max(seconds.get(f"by_shard/{m}", 0), seconds.get(f"knn/{m}", 0))
            for m in models if f"truth/{m}" in seconds
        },
    }  # fmt: skip


def write_labels(path: Path, label: np.ndarray) -> None:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"id": np.arange(len(label)), "label": label}), path)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--models", type=int, default=3)
    parser.add_argument("--dimension", type=int, default=256)
    parser.add_argument("--noise", type=float, default=0.65, help="strength of the noise beside the centres'")
    parser.add_argument("--threshold", type=float, default=0.7)
    parser.add_argument("--k", type=int, default=14, help="neighbours that a vote searches; without labels it is 40")
    parser.add_argument("--without-labels", action="store_true")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--master")
    parser.add_argument("--engine", choices=["auto", "spark", "sail"])
    return parser.parse_args()


if __name__ == "__main__":
    main()
