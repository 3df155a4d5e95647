"""Skewed data: how the seconds of the KNN stages grow when the items double.

    python benchmarks/skew.py --output runs/skew

Cases: *even* (identities of about equal size), *half* (half of all vectors in one tight clump), *equal* (all vectors
equal), *hub* (a few vectors near everything). All take the large scale's path. The last line is one line of JSON; a
ratio of 2 is linear.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cdp_spark.commands.cluster import cluster
from cdp_spark.config.loading import load_config
from cdp_spark.spark.session import local_session

CASES = ("even", "half", "equal", "hub")
DIMENSION = 64


def main() -> None:
    options = arguments()
    spark = local_session(options.master, {})
    found: dict[str, dict[str, float]] = {}
    for case in CASES:
        found[case] = {}
        for items in (options.items, 2 * options.items):
            path = options.output / "data" / f"{case}-{items}.parquet"
            write(path, points(case, items))
            settings = {
                "input": {"base": str(path)},
                "output": str(options.output / f"{case}-{items}"),
                "knn": {"k": 14, "exact_below": 0},
            }
            run = cluster(load_config(settings), spark=spark)
            stages = {stage["name"].split("/")[0]: stage["made_seconds"] for stage in run.record["stages"]}
            found[case][str(items)] = sum(stages.values())
            found[case]["recall"] = next(iter(run.record["recall"].values()))["recall"]
        found[case]["growth_ratio"] = found[case][str(2 * options.items)] / found[case][str(options.items)]
    print(json.dumps(found))


def points(case: str, items: int) -> np.ndarray:
    """Make the vectors of one case."""
    random = np.random.default_rng(7)
    centres = random.standard_normal((items // 20, DIMENSION), np.float32)
    rows = centres[random.integers(0, len(centres), items)]
    rows = rows + 0.6 * random.standard_normal((items, DIMENSION), np.float32)
    if case == "half":
        rows[: items // 2] = centres[0] + 0.05 * random.standard_normal((items // 2, DIMENSION), np.float32)
    elif case == "equal":
        rows[:] = rows[0]
    elif case == "hub":
        rows += 8  # one common direction: a few rows close to it become everybody's neighbours
        rows[:20] = 8 + 0.01 * random.standard_normal((20, DIMENSION), np.float32)
    return rows


def write(path: Path, rows: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lists = pa.ListArray.from_arrays(np.arange(len(rows) + 1, dtype=np.int32) * DIMENSION, rows.ravel())
    pq.write_table(pa.table({"id": np.arange(len(rows)), "embedding": lists}), path)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--master")
    return parser.parse_args()


if __name__ == "__main__":
    main()
