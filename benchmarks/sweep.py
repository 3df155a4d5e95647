"""A sweep of many thresholds beside as many runs that use the scored pairs again.

    python benchmarks/scale.py --items 1000000 --models 1 --output runs/scale
    python benchmarks/sweep.py --run runs/scale/run-1000000-1

The runs are timed at three thresholds, and their median is taken as many times as there are thresholds. The last line
is one line of JSON; the ratio is the runs' seconds over the sweep's.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import time
from pathlib import Path

import numpy as np

from cdp_spark.commands.cluster import cluster
from cdp_spark.commands.sweep import sweep
from cdp_spark.config.loading import load_config
from cdp_spark.spark.session import local_session


def main() -> None:
    options = arguments()
    spark = local_session(options.master, {})
    record = json.loads((options.run / "run.json").read_text())
    config = load_config(record["config"])
    labels = config.input.labels
    unlabelled = config.model_copy(update={"input": config.input.model_copy(update={"labels": None})})
    thresholds = np.round(np.linspace(0.3, 0.95, options.thresholds), 6).tolist()
    for made in (options.run / "stages").glob("sweep-*"):
        shutil.rmtree(made)  # what an earlier sweep has left would be found again
    cluster(unlabelled, spark=spark)  # without labels: a sweep takes those of the run
    seconds = {"sweep": took(lambda: sweep(str(options.run), thresholds, spark=spark))}
    if labels is not None:
        # Other thresholds by a hair, so that nothing is found that the first sweep has made.
        others = [threshold + 1e-7 for threshold in thresholds]
        seconds["sweep_with_metrics"] = took(lambda: sweep(str(options.run), others, spark=spark, labels=labels))
    runs = []
    for threshold in (0.41, 0.61, 0.81):
        consensus = unlabelled.consensus.model_copy(update={"threshold": threshold})
        again = unlabelled.model_copy(update={"consensus": consensus})
        runs.append(took(lambda again=again: cluster(again, spark=spark)))
    cluster(config, spark=spark)
    whole = statistics.median(runs) * len(thresholds)
    found = {"items": record["counts"]["items"], "thresholds": len(thresholds), "seconds": seconds, "runs": runs}
    print(json.dumps({**found, "runs_to_sweep_ratio": round(whole / seconds["sweep"], 1)}))


def took(work) -> float:
    started = time.time()
    work()
    return round(time.time() - started, 2)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, required=True, help="output of a finished run")
    parser.add_argument("--thresholds", type=int, default=100)
    parser.add_argument("--master")
    return parser.parse_args()


if __name__ == "__main__":
    main()
