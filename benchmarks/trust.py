"""Runs without labels over held-out simulated sets: when they warn, and how good their clusters are.

    python benchmarks/trust.py --output runs/trust

A mediator learns from the simulated sets of seeds 0 to 399; these are others. A run is bad where the mean of pairwise
and BCubed F is less than .6. It is missed where it is bad and no warning says so; a false alarm is a warning of a run
that is not bad. Both are counted for the agreement of the halves, for the recall that is predicted, and for either,
at several bounds. A row per set goes to ``trust.jsonl``; sets that are there already are not run again.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from cdp_spark.evaluation.kernels.metrics import scores, sums_of
from cdp_spark.training.kernels.simulation import simulated_set
from cdp_spark.unlabelled.kernels.reference import cluster_without_labels
from cdp_spark.unlabelled.kernels.shift import LEAST_RECALL, TRUSTED
from cdp_spark.unlabelled.shipped import SHIPPED, load_unlabelled

BAD = 0.6
BOUNDS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8)
Row = dict[str, Any]


def main() -> None:
    options = arguments()
    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / "trust.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    known = {row["seed"] for row in rows}
    mediator, _ = load_unlabelled(SHIPPED if options.mediator == "shipped" else options.mediator)
    for seed in range(options.first, options.first + options.sets):
        if seed in known:
            continue
        drawn = simulated_set(seed, options.items)
        labels, facts = cluster_without_labels(drawn.models, mediator)
        f = scores(sums_of(labels, drawn.identity))
        rows.append(
            {
                "seed": seed, "models": len(drawn.models), "items": len(labels), "shift": facts.shift,
                "halves": facts.halves, "agreement": round(facts.agreement, 4),
                "recall": round(facts.recall or 0.0, 4), "warnings": facts.warnings,
                "pairwise_f": round(f["pairwise_f"] or 0.0, 4), "bcubed_f": round(f["bcubed_f"] or 0.0, 4),
            }
        )  # fmt: skip
        with path.open("a") as file:
            file.write(json.dumps(rows[-1]) + "\n")
    show(rows)


def show(rows: list[Row]) -> None:
    """Print misses and false alarms."""
    bad = np.array([(row["pairwise_f"] + row["bcubed_f"]) / 2 < BAD for row in rows])
    print(f"{len(rows)} sets, {bad.sum()} bad")
    print("| warned where | missed | false alarms |\n|---|---|---|")
    for name, warns in rules().items():
        warned = np.array([warns(row) for row in rows])
        print(f"| {name} | {(bad & ~warned).sum()} of {bad.sum()} | {(~bad & warned).sum()} of {(~bad).sum()} |")


def rules() -> dict[str, Callable[[Row], bool]]:
    below = {
        f"{figure} < {bound:g}": lambda row, figure=figure, bound=bound: row[figure] < bound
        for figure in ("agreement", "recall")
        for bound in BOUNDS
    }
    either = f"agreement < {TRUSTED:g} or recall < {LEAST_RECALL:g}"
    return below | {
        either: lambda row: row["agreement"] < TRUSTED or row["recall"] < LEAST_RECALL,
        "any warning": lambda row: bool(row["warnings"]),
    }


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", type=int, default=100)
    parser.add_argument("--first", type=int, default=1_000, help="seed of the first set")
    parser.add_argument("--items", type=int, default=1_500, help="of a set, about")
    parser.add_argument("--mediator", default="shipped")
    parser.add_argument("--output", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
