"""The article's table of baselines: quality and seconds of vote, mediator and what else one could use.

    python benchmarks/baselines.py --data DATA --synthetic runs/article --output runs/baselines

Every setting is chosen on labelled data whose identities are not those that are scored: Omniglot's labelled part for
Omniglot and the long tail, other people for the made set, and for faces (whose other labels are kept apart) each half
of the labelled people for the other half, figures averaged. * is told the true number of clusters, which nobody has.
The others see the base model alone, as the article's; each runs in a process of its own, with bounds on memory and time
for the choice and the run. Noise and items without cluster count as clusters of one. The last line is one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from peers import PEERS, SIMILARITIES, Peer
from pyspark.sql import SparkSession

from cdp_spark.commands.cluster import Run, cluster
from cdp_spark.commands.sweep import sweep
from cdp_spark.config.input_sections import LabelsConfig
from cdp_spark.config.loading import load_config, load_config_of
from cdp_spark.config.whole import TrainConfig
from cdp_spark.evaluation.kernels.metrics import scores, sums_of
from cdp_spark.scoring.mediator_folder import write_mediator
from cdp_spark.spark.session import local_session
from cdp_spark.training.flow import train

OMNIGLOT = ["resnet", "dense", "sep", "wide", "plain"]
FACES = ["mobileface_v3", "mfn_casia", "mobileface_v2", "mobileface_v1"]
MADE = [f"model{number}" for number in range(5)]
BY_MEDIATOR = {
    "mediator": ("code", "code"),
    "mediator, contraction": ("code", "contraction"),
    "mediator, learned": ("rich", "learned"),
}
"""Ways: ``mediator.feature_set`` and ``clusters.rule``; the last two have no threshold."""
OURS = ("vote, base alone", "vote", *BY_MEDIATOR)


@dataclass(frozen=True)
class Part:
    """Where to choose and where to score: folders with a file per model and ``labels.parquet``."""

    labelled: Path
    scored: Path
    models: list[str]


def main() -> None:
    options = arguments()
    sets = {name: parts_of(name, options) for name in options.sets}
    table: dict[str, dict[str, Any]] = {}
    for name, parts in sets.items():
        table[name] = {}
        for way in options.ways:
            run = ours if way in OURS else peer
            table[name][way] = averaged([run(way, part, options) for part in parts])
            print(name, way, json.dumps(table[name][way]), flush=True)
    print(json.dumps({**table, **compared(table)}))


def compared(table: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Return the better of ours over HAC, both F, by set."""
    found = {}
    for name, rows in table.items():
        best = [rows[way] for way in OURS if "pairwise_f" in rows.get(way, {})]
        for metric in ("pairwise_f", "bcubed_f"):
            if best and metric in rows.get("HAC", {}):
                found[f"{name}: {metric}_ratio"] = round(max(row[metric] for row in best) / rows["HAC"][metric], 3)
    return found


def averaged(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Average the figures of the parts of one set; a row that has none says why."""
    failed = [row for row in rows if "failed" in row]
    if failed:
        return failed[0]
    names = [name for name, value in rows[0].items() if isinstance(value, float)]
    return {name: round(float(np.mean([row[name] for row in rows])), 4) for name in names} | {
        "setting": [row["setting"] for row in rows]
    }


def parts_of(name: str, options: argparse.Namespace) -> list[Part]:
    if name == "lfw":
        one, two = halves(options.data / "lfw/labelled", FACES, options.output / "lfw")
        return [Part(one, two, FACES), Part(two, one, FACES)]
    if name == "synthetic":
        one, two = (next(options.synthetic.glob(f"world{world}-200000-*")) for world in (1, 2))
        return [Part(one, two, MADE)]
    return [Part(options.data / "omniglot/labelled", options.data / name / "unlabelled", OMNIGLOT)]


def halves(folder: Path, models: list[str], output: Path) -> tuple[Path, Path]:
    """Write the items of each half of the identities, chosen at random, as a set of its own."""
    labels = pq.read_table(folder / "labels.parquet")
    half = np.random.default_rng(0).random(int(np.max(labels["label"])) + 1) < 0.5
    places = output / "a", output / "b"
    for place, mine in zip(places, (half, ~half), strict=True):
        place.mkdir(parents=True, exist_ok=True)
        own = labels.filter(mine[labels["label"].to_numpy()])
        pq.write_table(own, place / "labels.parquet")
        for model in models:
            ids = own["id"].to_pylist()
            pq.write_table(
                pq.read_table(folder / f"{model}.parquet", filters=[("id", "in", ids)]), place / f"{model}.parquet"
            )
    return places


def ours(way: str, part: Part, options: argparse.Namespace) -> dict[str, Any]:
    """Run one of ours; the ways of a set share their graphs, and each is told the seconds in which these were made."""
    spark = local_session(options.master, {})
    models = part.models[:1] if way == "vote, base alone" else part.models
    output = options.output / "ours" / str(len(models))

    def run(folder: Path, how: dict[str, Any]) -> Run:
        settings = {"input": given(folder, models), "output": str(output / named(folder)), "knn": {"k": 14}}
        return cluster(load_config(settings | how), spark=spark)

    if way in BY_MEDIATOR:
        feature_set, rule = BY_MEDIATOR[way]
        consensus = {"strategy": "mediator", "mediator": trained(part, feature_set, output, spark)}
        how = {"consensus": consensus, "clusters": {"rule": rule}}
    else:
        consensus = voted(part, len(models), run, spark)
        how = {"consensus": consensus}
    scored = run(part.scored, how)
    table = pq.read_table(Path(scored.output, "clusters"), columns=["id", "cluster"])
    known = {name: value for name, value in consensus.items() if name in ("accept", "threshold")}
    seconds = sum(stage["made_seconds"] for stage in scored.record["stages"])
    judged = judged_by(part.scored, table["id"].to_numpy(), table["cluster"].to_numpy())
    return judged | {"seconds": float(seconds), "setting": known | {"threshold": scored.record.get("threshold")}}


def trained(part: Part, feature_set: str, output: Path, spark: SparkSession) -> str:
    """Train a mediator on the labelled part, once."""
    place = output / f"{named(part.labelled)}-mediator-{feature_set}"
    if not (place / "card.json").exists():
        labels = {"labels": str(part.labelled / "labels.parquet")}
        settings = {
            "input": given(part.labelled, part.models) | labels, "knn": {"k": 14},
            "mediator": {"feature_set": feature_set}, "output": str(output / f"{named(part.labelled)}-train"),
        }  # fmt: skip
        config = load_config_of(TrainConfig, settings)
        write_mediator(str(place), train(config, spark=spark))
    return str(place)


def voted(part: Part, models: int, run: Callable[..., Run], spark: SparkSession) -> dict[str, Any]:
    """Choose the vote whose clusters of the labelled part have the best pairwise F."""
    labels, found = LabelsConfig(path=str(part.labelled / "labels.parquet")), []
    for accept in range(models // 2, models) if models > 1 else [0]:
        first = run(part.labelled, {"consensus": {"accept": accept, "threshold": 0.2}})
        rows = sweep(first.output, SIMILARITIES, spark=spark, labels=labels).rows
        found += [(row["pairwise_f"] or 0.0, accept, row["threshold"]) for row in rows]
    _, accept, threshold = max(found)
    return {"accept": accept, "threshold": threshold}


def named(folder: Path) -> str:
    return "-".join(folder.parts[-2:])


def given(folder: Path, models: list[str]) -> dict[str, Any]:
    base, *committee = (str(folder / f"{model}.parquet") for model in models)
    return {"base": base, "committee": committee}


def judged_by(folder: Path, ids: np.ndarray, cluster: np.ndarray) -> dict[str, float]:
    labels = pq.read_table(folder / "labels.parquet").sort_by("id")
    place = np.searchsorted(labels["id"].to_numpy(), ids)
    cluster = cluster.astype(np.int64)
    cluster[cluster < 0] = np.arange((cluster < 0).sum()) + cluster.max() + 1
    judged = scores(sums_of(cluster, labels["label"].to_numpy()[place]))
    return {name: judged[name] or 0.0 for name in ("pairwise_f", "bcubed_f")}


CHOSEN: dict[tuple[str, Path], Any] = {}
"""Settings of the others, by way and the data they were chosen on: sets may share these."""


def peer(way: str, part: Part, options: argparse.Namespace) -> dict[str, Any]:
    """Run one of the others in a process of its own."""
    chosen = CHOSEN.get((way, part.labelled))
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=_peer, args=(way, part, chosen, options.memory, queue))
    process.start()
    deadline = time.time() + options.limit
    answer = None
    while answer is None and process.is_alive() and time.time() < deadline:
        try:
            answer = queue.get(timeout=1)
        except Exception:  # nothing yet
            continue
    timed_out = answer is None and process.is_alive()
    process.kill()
    process.join()
    if answer is None:
        answer = {"failed": f"more than {options.limit} s" if timed_out else f"more than {options.memory} GiB"}
    elif "setting" in answer:
        CHOSEN[way, part.labelled] = answer["setting"]
    return answer


def _peer(way: str, part: Part, chosen: Any, memory: int, queue: Any) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (memory << 30, memory << 30))
    way_of: Peer = PEERS[way]
    try:
        setting = way_of.settings[0] if len(way_of.settings) == 1 else chosen or _chosen(way_of, part)
        ids, vectors = vectors_of(part.scored, part.models[0])
        label = pq.read_table(part.scored / "labels.parquet")["label"]
        started, cpu = time.time(), time.process_time()
        found = way_of.run(vectors, [setting], len(label.unique()))[setting]
        seconds = {"seconds": time.time() - started, "cpu_seconds": time.process_time() - cpu}
        queue.put(judged_by(part.scored, ids, found) | seconds | {"setting": setting})
    except MemoryError:
        queue.put({"failed": f"more than {memory} GiB"})


def _chosen(way: Peer, part: Part) -> Any:
    ids, vectors = vectors_of(part.labelled, part.models[0])
    found = way.run(vectors, way.settings, 0)
    return max(way.settings, key=lambda setting: judged_by(part.labelled, ids, found[setting])["pairwise_f"])


def vectors_of(folder: Path, model: str) -> tuple[np.ndarray, np.ndarray]:
    """Read ids and unit vectors, from lists of numbers or from float16 bytes."""
    table = pq.read_table(folder / f"{model}.parquet")
    column = table["embedding"].combine_chunks()
    if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        values = np.frombuffer(b"".join(column.to_pylist()), np.float16)
    else:
        values = column.values.to_numpy(zero_copy_only=False)
    vectors = values.reshape(len(column), -1).astype(np.float32)
    return table["id"].to_numpy(), vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    every = [*OURS, *PEERS]
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--synthetic", type=Path, help="output of benchmarks/article.py")
    parser.add_argument("--sets", nargs="+", default=["lfw", "omniglot_longtail", "omniglot", "synthetic"])
    parser.add_argument("--ways", nargs="+", choices=every, default=every)
    parser.add_argument("--memory", type=int, default=20, help="GiB that one of the others may take")
    parser.add_argument("--limit", type=int, default=1_800, help="seconds it may take, choice of settings included")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--master")
    return parser.parse_args()


if __name__ == "__main__":
    main()
