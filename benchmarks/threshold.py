"""What a threshold chosen without labels costs beside the best one by the labels.

    python benchmarks/threshold.py --runs runs/lt/unlabelled runs/lfw/labelled

Each run is swept from .30 to .98 by .01; its labels only judge. Pairwise and BCubed F at both thresholds; the last
line is one line of JSON.
"""

from __future__ import annotations

import argparse
import json

import numpy as np

from cdp_spark.commands.sweep import best_threshold, sweep
from cdp_spark.spark.session import local_session

THRESHOLDS = np.round(np.arange(0.30, 0.985, 0.01), 2).tolist()


def main() -> None:
    options = arguments()
    spark = local_session(options.master, {})
    found = {}
    for run in options.runs:
        rows = {row["threshold"]: row for row in sweep(run, THRESHOLDS, spark=spark).rows}
        chosen = {"by labels": "pairwise_f", "without labels": None}
        found[run] = {
            name: figures(rows[best_threshold(list(rows.values()), metric)[0]]) for name, metric in chosen.items()
        }
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
