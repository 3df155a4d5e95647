"""The shift that a run without labels chooses beside the best one, on sets of kinds that chose nothing.

    python benchmarks/other_kinds.py --output runs/other-kinds

Sets: see ``families.py``, made here from data that packages ship; all models together, and each model alone.
Pairwise / BCubed F with its interval of 95 %, by drawing identities anew; beside it the best of all shifts, which only
the labels know, before and after self-training. The last line is one line of JSON.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from families import FAMILIES

from cdp_spark.evaluation.kernels.metrics import f_scores, sums_of
from cdp_spark.unlabelled.kernels.mediator import UnlabelledMediator
from cdp_spark.unlabelled.kernels.reference import Scored, cluster_without_labels
from cdp_spark.unlabelled.kernels.sets import Model
from cdp_spark.unlabelled.kernels.shift import SHIFTS
from cdp_spark.unlabelled.shipped import SHIPPED, load_unlabelled

DRAWS = 200


def main() -> None:
    options = arguments()
    options.output.mkdir(parents=True, exist_ok=True)
    mediator, _ = load_unlabelled(SHIPPED if options.mediator == "shipped" else options.mediator)
    table: dict[str, Any] = {}
    for name in options.sets:
        models, identity = FAMILIES[name]()
        runs = {name: models}
        if options.single:
            runs |= {f"{name}, model {number}": [each] for number, each in enumerate(models)}
        for key, each in runs.items():
            table[key] = compared(each, identity, mediator)
            print(key, json.dumps(table[key]), flush=True)
            (options.output / "other_kinds.json").write_text(json.dumps(table, indent=1))
    print(json.dumps(table))


def compared(models: list[np.ndarray], identity: np.ndarray, mediator: UnlabelledMediator) -> dict[str, Any]:
    """Cluster a set, and compare with its best shift."""
    labels, facts = cluster_without_labels(models, mediator)
    scored = Scored.of([Model.of(each) for each in models], mediator)
    by_shift = [pair(scored.clusters(float(shift), mediator), identity) for shift in SHIFTS]
    best = int(np.mean(by_shift, axis=1).argmax())
    at = int(np.flatnonzero(facts.shift == SHIFTS)[0])
    return {
        "items": len(identity), "identities": len(np.unique(identity)),
        "shift": facts.shift, "halves": facts.halves, "agreement": round(facts.agreement, 3),
        "recall": round(facts.recall or 0, 3), "warnings": facts.warnings,
        "f": pair(labels, identity), "interval": interval(labels, identity),
        "f_before": by_shift[at], "best_shift": float(SHIFTS[best]), "f_at_best": by_shift[best],
        "clusters": facts.clusters,
    }  # fmt: skip


def pair(labels: np.ndarray, identity: np.ndarray) -> list[float]:
    return [round(each or 0.0, 4) for each in f_scores(sums_of(labels, identity))]


def interval(labels: np.ndarray, identity: np.ndarray) -> list[list[float]]:
    """Return the interval of 95 % of both F: identities are drawn with replacement; copies never meet each other."""
    cells, count = np.unique(np.stack([identity, labels]), axis=1, return_counts=True)
    who, where = (np.unique(each, return_inverse=True)[1] for each in cells)
    size = np.bincount(who, count)
    rng, drawn = np.random.default_rng(0), []
    for _ in range(DRAWS):
        times = np.bincount(rng.integers(0, len(size), len(size)), minlength=len(size))[who]
        whole = np.bincount(where, times * count)
        apart = (whole**2).sum() - ((times * count) ** 2).sum()
        together = (times * count * (count - 1)).sum()
        true = (times * count * (size[who] - 1)).sum()
        items = (times * count).sum()
        precision = (times * count * count / (whole[where] - times * count + count)).sum() / items
        recall = (times * count * count / size[who]).sum() / items
        drawn.append((2 * together / (true + together + apart), 2 * precision * recall / (precision + recall)))
    return np.quantile(drawn, (0.025, 0.975), axis=0).T.round(3).tolist()


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="+", choices=list(FAMILIES), default=list(FAMILIES))
    parser.add_argument("--single", action="store_true", help="each model alone, too")
    parser.add_argument("--mediator", default="shipped")
    parser.add_argument("--output", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
