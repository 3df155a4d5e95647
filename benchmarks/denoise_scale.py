"""Labels judged at size: seconds, CPU seconds and peak memory of `denoise` on a run whose clusters exist.

    python benchmarks/denoise_scale.py --items 1000000 --output runs/denoise-scale

The run is made here, without a search: the pairs of ``synthetic.write_pairs``, ten an item, and lists of neighbours of
no meaning, 15 an item, which only near duplicates read. Labels of 5 % of the items are exchanged. The last line is one
line of JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from forest import cpu_seconds
from synthetic import FILES, pair_identities, write_pairs

from cdp_spark.config.input_sections import LabelsConfig
from cdp_spark.config.loading import load_config
from cdp_spark.label_errors.flow import denoise
from cdp_spark.spark.progress import Progress
from cdp_spark.spark.session import local_session

K = 15
SHARE = 0.05


def main() -> None:
    options = arguments()
    run = options.output / f"run-{options.items}"
    if not (run / "latest.json").exists():
        write_run(run, options.items)
    true = pair_identities(options.items)
    given = exchanged(true)
    labels = options.output / f"labels-{options.items}.parquet"
    pq.write_table(pa.table({"id": np.arange(options.items), "label": given}), labels)
    spark = local_session(options.master, {})
    spark.range(1).collect()
    started, cpu = time.time(), cpu_seconds()
    output = str(options.output / f"denoised-{time.time_ns()}")
    found = denoise(
        str(run), LabelsConfig(path=str(labels)), output=output, spark=spark, progress=Progress.on_stderr()
    )  # fmt: skip
    seconds, cpu = time.time() - started, cpu_seconds() - cpu
    called = np.array([row["id"] for row in found.issues.where("issue = 'wrong_label'").select("id").collect()], int)
    wrong = given != true
    stages = found.record["stages"]
    figures = {
        "items": options.items, "seconds": round(seconds, 1), "cpu_seconds": round(cpu, 1),
        "peak_worker_mib": max(stage["peak_worker_bytes"] or 0 for stage in stages) >> 20,
        "stages": {stage["name"]: stage["seconds"] for stage in stages},
        "called": len(called), "precision": round(float(wrong[called].mean()), 4),
        "recall": round(float(wrong[called].sum() / wrong.sum()), 4), "wrong_share": found.record["wrong_share"],
    }  # fmt: skip
    print(json.dumps(figures))


def exchanged(true: np.ndarray) -> np.ndarray:
    random = np.random.default_rng(0)
    chosen = random.choice(len(true), round(SHARE * len(true)), replace=False)
    given = true.copy()
    given[chosen] = true[np.roll(chosen, 1)]
    return given


def write_run(run: Path, items: int) -> None:
    """Write what `denoise` reads of a finished run."""
    random = np.random.default_rng(1)
    write_pairs(run / "stages", items, 10)
    (run / "stages" / "knn").mkdir()
    (run / "stages" / "clusters").mkdir()
    for part, rows in enumerate(np.array_split(np.arange(items), FILES)):
        offsets = pa.array(np.arange(0, (len(rows) + 1) * K, K, dtype=np.int32))
        near = pa.array(random.integers(0, items, len(rows) * K))
        similar = np.sort(random.uniform(0.3, 0.9, (len(rows), K)).astype(np.float32))[:, ::-1].ravel()
        lists = [pa.ListArray.from_arrays(offsets, column) for column in (near, pa.array(similar))]
        table = pa.table([pa.array(rows), *lists], names=["item", "neighbors", "similarities"])
        pq.write_table(table, run / "stages" / "knn" / f"part-{part}.parquet")
    clusters = pa.table({"id": np.arange(items), "cluster": pair_identities(items)})
    pq.write_table(clusters, run / "stages" / "clusters" / "part-0.parquet")
    config = load_config({"input": {"base": "base"}, "output": str(run), "knn": {"k": K}})
    places = {"items": "items.parquet", "scored_pairs": "pairs", "clusters": "clusters", "knn/base": "knn"}
    record = {
        "config": config.model_dump(mode="json"), "threshold": 0.5, "counts": {"items": items},
        "stages": [
            {"name": name, "fingerprint": f"{name}-{items}", "path": f"stages/{place}", "rows": items}
            for name, place in places.items()
        ],
    }  # fmt: skip
    (run / "run.json").write_text(json.dumps(record))
    (run / "latest.json").write_text("{}")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--master")
    return parser.parse_args()


if __name__ == "__main__":
    main()
