"""What a threshold chosen without labels costs beside the best one by the labels.

    python benchmarks/threshold.py --runs runs/lt/unlabelled runs/lfw/labelled

Each run is swept from .30 to .98 by .01; its labels only judge. Pairwise and BCubed F at the threshold that is best by
labels (pairwise F), at the one where halves of the committee give most items alike clusters, and at the one with the
most clusters of two items or more. The last line is one line of JSON.
"""

from __future__ import annotations

import argparse
import json

import numpy as np

from cdp_spark.commands.committee_halves import alike_by_halves
from cdp_spark.commands.sweep import best_threshold, sweep
from cdp_spark.runs.finished_run import FinishedRun
from cdp_spark.runs.stage_store import StageStore
from cdp_spark.spark.progress import Progress
from cdp_spark.spark.session import local_session

THRESHOLDS = np.round(np.arange(0.30, 0.985, 0.01), 2).tolist()


def main() -> None:
    options = arguments()
    spark = local_session(options.master, {})
    found = {}
    for run in options.runs:
        rows = {row["threshold"]: row for row in sweep(run, THRESHOLDS, spark=spark).rows}
        finished = FinishedRun.of(spark, run)
        alike = alike_by_halves(StageStore(spark, run, Progress()), finished, THRESHOLDS, finished.config.clusters)
        ways = {
            "by labels": best_threshold(list(rows.values()), "pairwise_f")[0],
            "by halves": best_threshold([row | {"alike": alike[t]} for t, row in rows.items()], None)[0]
            if alike
            else None,
            "most clusters": best_threshold(list(rows.values()), None)[0],
        }
        found[run] = {name: figures(rows[threshold]) for name, threshold in ways.items() if threshold is not None}
        print(run, json.dumps(found[run]), flush=True)
    print(json.dumps(found))


def figures(row: dict) -> dict:
    return {name: round(row[name], 3) for name in ("threshold", "pairwise_f", "bcubed_f")}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", nargs="+", required=True, help="outputs of finished runs that have labels")
    parser.add_argument("--master")
    return parser.parse_args()


if __name__ == "__main__":
    main()
