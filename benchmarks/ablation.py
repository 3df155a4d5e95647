"""What each group of a mediator's features is worth: trained on a labelled part, clusters of another part scored.

    python benchmarks/ablation.py --labelled DATA/omniglot/labelled --unlabelled DATA/omniglot_longtail/unlabelled \
        --base resnet --committee dense sep wide plain --output runs/ablation

Everything is default: the mediator's threshold is the one its training chose, moved as the data ask. Labels of the
unlabelled part may be absent: then only the figures of held-out identities are left. The last line is one line of JSON.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from cdp_spark.commands.cluster import cluster
from cdp_spark.config.loading import load_config, load_config_of
from cdp_spark.config.whole import TrainConfig
from cdp_spark.scoring.mediator_folder import write_mediator
from cdp_spark.spark.progress import Progress
from cdp_spark.spark.session import local_session
from cdp_spark.training.flow import train

ABLATION = {
    "relationship": ("code", ["relationship"]),
    "relationship + affinity": ("code", ["relationship", "affinity"]),
    "code set: + structure": ("code", ["relationship", "affinity", "structure"]),
    "paper set: + structure": ("paper", ["relationship", "affinity", "structure"]),
}


def main() -> None:
    options = arguments()
    spark = local_session(options.master, {})
    rows = {}
    for name in options.only or ABLATION:
        for seed in range(options.seeds):
            feature_set, features = ABLATION[name]
            wanted = {"feature_set": feature_set, "features": features, "candidates": options.candidates, "seed": seed}
            # All in one folder, so that the KNN graphs are made once.
            whole = {**common(options, options.labelled), "output": str(options.output / "train"), "mediator": wanted}
            mediator = train(load_config_of(TrainConfig, whole), spark=spark, progress=Progress.on_stderr())
            place = options.output / "mediators" / f"{name.replace(' ', '')}-{seed}"
            write_mediator(str(place), mediator)
            chosen = {"strategy": "mediator", "mediator": str(place)}
            run = {**common(options, options.unlabelled), "output": str(options.output / "run"), "consensus": chosen}
            record = cluster(load_config(run), spark=spark, progress=Progress.on_stderr()).record
            rows[f"{name}, seed {seed}"] = figures(mediator.card, record)
            print(name, seed, json.dumps(rows[f"{name}, seed {seed}"]), flush=True)
    print(json.dumps(rows))


def common(options: argparse.Namespace, folder: Path) -> dict:
    base, *committee = (
        {"path": f"{folder}/{model}.parquet", "encoding": options.encoding}
        for model in (options.base, *options.committee)
    )
    labels = folder / "labels.parquet"
    given = {"base": base, "committee": committee, "labels": str(labels) if labels.exists() else None}
    return {"input": given, "knn": {"k": options.k}}


def figures(card: dict, record: dict) -> dict:
    found = {
        "features": len(card["features"]),
        "held_out": [round(card["held_out"][name], 4) for name in ("pairwise_f", "bcubed_f")],
        "calibration_error": round(card["held_out"]["calibration_error"], 4),
        "trained_threshold": card["threshold"],
        "threshold": record["threshold"],
        "estimated_positive_share": record["mediator"]["positive_share"],
    }
    if record["metrics"]:
        kept = record["metrics"]["kept"]
        found["unlabelled"] = [round(kept[name], 4) for name in ("pairwise_f", "bcubed_f")]
    return found


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--labelled", type=Path, required=True)
    parser.add_argument("--unlabelled", type=Path, required=True)
    parser.add_argument("--base", required=True)
    parser.add_argument("--committee", nargs="+", required=True)
    parser.add_argument("--encoding", help="of embeddings that are bytes: float16 or float32")
    parser.add_argument("--only", nargs="+", choices=list(ABLATION))
    parser.add_argument("--candidates", choices=("base", "all"), default="base")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--k", type=int, default=14, help="neighbours without the item itself")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--master")
    return parser.parse_args()


if __name__ == "__main__":
    main()
