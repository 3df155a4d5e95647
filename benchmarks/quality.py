"""Quality on a data set: threshold chosen on its labelled part, clusters of the unlabelled part scored.

    python benchmarks/quality.py --data omniglot --unlabelled omniglot/unlabelled --base resnet \
        --committee dense sep wide --accept 3 --output runs/quality

Both parts are clustered by the real job. The threshold is the one of the grid (.30 to .90 by .025, .90 to .99 by .01)
whose clusters of the labelled part have the best pairwise F, items without cluster kept as clusters of one. The last
line is one line of JSON. Labels of the unlabelled part may be absent: then only its clusters are left.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from cdp_spark.clusters.kernels.pruning import Limits
from cdp_spark.clusters.kernels.spanning_forest import Edges, maximum_spanning_forest
from cdp_spark.commands.cluster import Run, cluster
from cdp_spark.config.loading import load_config
from cdp_spark.spark.progress import Progress
from cdp_spark.spark.session import local_session
from cdp_spark.training.kernels.threshold_curve import threshold_curve

GRID = np.round(np.concatenate([np.arange(0.30, 0.90, 0.025), np.arange(0.90, 0.995, 0.01)]), 3)


def main() -> None:
    options = arguments()
    spark = local_session(options.master, {})
    models = [options.base, *options.committee]
    rows = max(pq.read_metadata(f"{folder}/{options.base}.parquet").num_rows for folder in folders(options))

    def run(part: str, folder: Path, threshold: float) -> Run:
        base, *committee = ({"path": f"{folder}/{model}.parquet", "encoding": options.encoding} for model in models)
        labels = folder / "labels.parquet"
        given = {"base": base, "committee": committee, "labels": str(labels) if labels.exists() else None}
        settings = {
            "input": given,
            "output": str(options.output / part),
            "knn": {"k": options.k, "exact_below": rows},
            "consensus": {"accept": options.accept, "threshold": threshold},
        }
        return cluster(load_config(settings), spark=spark, progress=Progress.on_stderr())

    labelled, unlabelled = folders(options)
    first = run("labelled", labelled, float(GRID[0]))
    curve = pairwise_f(first, labelled / "labels.parquet")
    threshold = max(curve, key=lambda each: (curve[each], -each))
    judged = run("labelled", labelled, threshold).record["metrics"]["kept"]
    found = run("unlabelled", unlabelled, threshold)
    figures = {"threshold": threshold, "labelled": short(judged), "grid": curve}
    if found.record["metrics"]:
        figures["unlabelled"] = short(found.record["metrics"]["kept"])
    figures["seconds"] = {stage["name"]: stage["made_seconds"] for stage in found.record["stages"]}
    print(json.dumps(figures))


def folders(options: argparse.Namespace) -> tuple[Path, Path]:
    return options.data / "labelled", options.unlabelled or options.data / "unlabelled"


def pairwise_f(run: Run, labels: Path) -> dict[float, float]:
    """Score every threshold of the grid on one forest, in memory."""
    stages = {stage["name"]: Path(run.output, stage["path"]) for stage in run.record["stages"]}
    items = pq.read_table(stages["items"]).sort_by("item").to_pandas()
    named = pq.read_table(labels).to_pandas().set_index("id")["label"]
    label = np.unique(named.loc[items["id"]].to_numpy(), return_inverse=True)[1]
    pairs = pq.read_table(stages["scored_pairs"])
    src, dst, score = (pairs.column(name).to_numpy() for name in ("src", "dst", "score"))
    tree = maximum_spanning_forest(src, dst, score)
    starts = {t: float(score[score > t].min()) for t in GRID.tolist() if (score > t).any()}
    limits = Limits(**{name: run.record["config"]["clusters"][name] for name in Limits.__dataclass_fields__})
    everyone = np.ones(len(label), bool)
    curve = threshold_curve(Edges(src[tree], dst[tree], score[tree]), starts, label, everyone, limits=limits)
    return {each.threshold: each.pairwise_f for each in curve}


def short(figures: dict[str, float]) -> dict[str, float]:
    names = ("pairwise_precision", "pairwise_recall", "pairwise_f", "bcubed_f", "clusters", "discarded_share")
    return {name: figures[name] for name in names}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with labelled/ and unlabelled/")
    parser.add_argument("--unlabelled", type=Path, help="another unlabelled part")
    parser.add_argument("--base", required=True)
    parser.add_argument("--committee", nargs="*", default=[])
    parser.add_argument("--accept", default="all", type=lambda text: text if text == "all" else int(text))
    parser.add_argument("--encoding", help="of embeddings that are bytes: float16 or float32")
    parser.add_argument("--k", type=int, default=14, help="neighbours without the item itself")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--master")
    return parser.parse_args()


if __name__ == "__main__":
    main()
