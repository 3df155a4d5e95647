"""What a shift by agreement does for mediators trained with labels, on their own kind of data and on other data.

    python benchmarks/trained_shift.py --data DATA --output runs/trained-shift

A trained mediator reads all models at once, so no half of them can score a pair. Halves of the members keep the pairs
that any of theirs lists, with the log odds of all. Over a grid of shifts, ``rand`` takes the one at which the clusters
of halves have the largest adjusted Rand index, ``alike`` the one at which most items lie in clusters that both halves
give exactly alike, as a run does (``consensus.shift: auto``); ``best`` is chosen by the labels, which nobody has.
Pairwise / BCubed F. Each set has a base and three members here, whatever they are. The last line is one line of JSON.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from few_labels import SETS, read, write

from cdp_spark.agglomeration.kernels.agglomeration import Rule
from cdp_spark.clusters.kernels.alike import items_alike
from cdp_spark.commands.cluster import cluster
from cdp_spark.config.loading import load_config, load_config_of
from cdp_spark.config.whole import TrainConfig
from cdp_spark.evaluation.kernels.metrics import scores, sums_of
from cdp_spark.networks.kernels.mlp import log_odds
from cdp_spark.scoring.mediator_folder import load_mediator
from cdp_spark.spark.session import local_session
from cdp_spark.training.flow import train
from cdp_spark.unlabelled.kernels.agreement import Contingency
from cdp_spark.unlabelled.kernels.mediator import clusters_of
from cdp_spark.unlabelled.kernels.splits import distinct_halves, model_splits
from cdp_spark.unlabelled.trained_shift import SHIFTS
from cdp_spark.unlabelled.trained_shift import chosen as agreed

MODELS = [f"model{number}" for number in range(4)]


def main() -> None:
    options = arguments()
    spark = local_session(options.master, {}, engine="sail" if options.master is None else "auto")
    targets, mediators = {}, {}
    for name in SETS:
        source, targets[name] = parts_of(name, options)
        mediators[name] = str(options.output / name / "mediator")
        if not Path(mediators[name], "card.json").exists():
            settings = {"input": source, "output": mediators[name], "mediator": {"start": "none"}}
            train(load_config_of(TrainConfig, settings), spark=spark)
    found: dict[str, dict[str, Any]] = {}
    for target, data in targets.items():
        for source, mediator in mediators.items():
            settings = {
                "input": data,
                "output": str(options.output / target / "run"),
                "consensus": {"mediator": mediator, "shift": 0},
            }
            run = cluster(load_config(settings), spark=spark)
            row = found.setdefault(target, {})[source] = by_shift(run, mediator, data["labels"])
            print(f"{target}, trained on {source}:", json.dumps(row), flush=True)
    print(json.dumps(found))


def parts_of(name: str, options: argparse.Namespace) -> tuple[dict[str, Any], dict[str, Any]]:
    """Write the labelled identities of a set and what is clustered, with numbered models."""
    models, labelled, wanted = SETS[name]
    labelled, wanted = (options.data / each for each in (labelled, wanted))
    vectors, identity = read(labelled, models[: len(MODELS)])
    taught = np.ones(len(identity), bool)
    if labelled == wanted:
        taught = (np.random.default_rng(0).permutation(identity.max() + 1) % 2)[identity] == 1
        target = vectors, identity, ~taught
    else:
        target = *read(wanted, models[: len(MODELS)]), None
    people = np.random.default_rng(100).permutation(np.unique(identity[taught]))[: options.identities]
    source = write(options.output / name / "labelled", MODELS, vectors, identity, np.isin(identity, people))
    return source, write(options.output / name / "clustered", MODELS, *target)


def by_shift(run: Any, mediator: str, labels: str) -> dict[str, Any]:
    """Cluster at every shift, by all pairs and by those of halves."""
    stages = {stage["name"]: Path(run.output, stage["path"]) for stage in run.record["stages"]}
    item = pq.read_table(stages["items"]).sort_by("item")["id"].to_numpy()
    known = pq.read_table(labels)
    identity = known["label"].to_numpy()[np.argsort(known["id"].to_numpy())][np.argsort(np.argsort(item))]
    pairs = pq.read_table(stages["scored_pairs"])
    src, dst, z = pairs["src"].to_numpy(), pairs["dst"].to_numpy(), log_odds(pairs["score"].to_numpy())
    order = np.lexsort((dst, src))
    src, dst, z = src[order], dst[order], z[order]
    member = [listed(stages[f"knn/{name}"], src, dst, len(item)) for name in MODELS[1:]]
    rule = rule_of(run, mediator)

    def roots(kept: np.ndarray, shift: float) -> np.ndarray:
        return clusters_of(src[kept], dst[kept], z[kept] + np.float32(shift), rule, len(item))

    splits = model_splits(len(member))
    halves = {half: np.any([member[number] for number in half], axis=0) for half in distinct_halves(splits)}
    rows = []
    for shift in SHIFTS:
        each = {half: roots(kept, shift) for half, kept in halves.items()}
        figures = scores(sums_of(np.unique(roots(np.ones(len(z), bool), shift), return_inverse=True)[1], identity))
        rand = np.mean([Contingency.of(each[one], each[other]).adjusted_rand for one, other in splits])
        alike = np.mean([items_alike(each[one], each[other]) for one, other in splits])
        rows.append((shift, figures["pairwise_f"] or 0.0, figures["bcubed_f"], rand, alike))
    table = np.array(rows)
    chosen = {
        "none": SHIFTS.index(0.0),
        "rand": int(table[:, 3].argmax()),
        "alike": SHIFTS.index(agreed({f"{shift:g}": alike for shift, alike in zip(SHIFTS, table[:, 4], strict=True)})),
    }
    chosen["best"] = int(table[:, 1:3].sum(axis=1).argmax())
    told = {name: [round(float(value), 3) for value in table[row, :3]] for name, row in chosen.items()}
    unlike = [line for line in run.record["warnings"] if line.startswith("mediator: ")]
    return told | {"warned": bool(unlike)}


def listed(graph: Path, src: np.ndarray, dst: np.ndarray, count: int) -> np.ndarray:
    """Tell which pairs a model lists, either way."""
    table = pq.read_table(graph)
    lists = table["neighbors"].combine_chunks()
    one = np.repeat(table["item"].to_numpy(), np.diff(lists.offsets.to_numpy()))
    other = lists.flatten().to_numpy()
    return np.isin(src * count + dst, np.minimum(one, other) * count + np.maximum(one, other))


def rule_of(run: Any, folder: str) -> Rule:
    """Return the cluster mediator's rule, weighted for the worlds as the run found them."""
    mediator = load_mediator(folder, models=MODELS, k=15)
    worlds = run.record["mediator"].get("worlds")
    fits = mediator.fitted(worlds["shares"]) if worlds else mediator
    return Rule(fits.cluster_net.logits, 15, fits.trust)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="evaluation sets")
    parser.add_argument("--identities", type=int, default=100_000, help="labelled identities that teach, at most")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--master")
    return parser.parse_args()


if __name__ == "__main__":
    main()
