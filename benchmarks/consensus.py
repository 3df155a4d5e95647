"""Clusters without a threshold beside those with one: pairwise and BCubed F.

    python benchmarks/consensus.py --data DATA --output runs/consensus

All that learns or chooses does so on labelled data whose identities are not those that are scored (faces, whose other
labels are kept apart: each half of the labelled people for the other half, figures averaged). *oracle* chooses its
threshold on the truth, for each of the two figures apart, which nobody can. ``--seeds`` trains several mediators.
*approximate* searches cells where the others search exactly; *in the crowd* trains amid the images to cluster,
``mediator.crowd``; *trained on* takes a mediator of another set's labelled part, both with a base and three members,
whatever their models. Infomap (where it is installed) reads the same probabilities as the rules, its Markov time chosen
on the labelled part. The last line is one line of JSON.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from baselines import Part, judged_by, parts_of, vectors_of
from peers import SIMILARITIES, average_linkage

from cdp_spark.commands.cluster import Run, cluster
from cdp_spark.config.loading import load_config, load_config_of
from cdp_spark.config.whole import TrainConfig
from cdp_spark.datasets import glyphs
from cdp_spark.scoring.mediator_folder import write_mediator
from cdp_spark.spark.progress import Progress
from cdp_spark.spark.session import local_session
from cdp_spark.training.flow import train

Figures = dict[str, float]
MOST_LINKED = 60_000
"""Items whose distances fit into memory: 8 N^2 / 2 bytes."""
MARKOV_TIMES = (0.3, 0.5, 0.75, 1.0, 1.5, 2.0)
FEWEST_MODELS = 4
"""Of the sets: base and three members."""
EXACT_TO, NEVER_EXACT = 60_000, 1_000
"""``knn.exact_below``: above all sets; below them."""
TRAINED: dict[str, dict[str, Any]] = {
    "code": {"feature_set": "code"},
    "rich": {"feature_set": "rich"},
    "vectors": {"feature_set": "rich", "with_embeddings": True},
    "crowd": {"feature_set": "rich", "crowd": True},
}
"""Kinds of mediators, and ``mediator`` of the config."""
RULES = {
    "mediator (code), pruning": ("code", "code"),
    "mediator (rich), pruning": ("rich", "code"),
    "contraction, mediator (code)": ("code", "contraction"),
    "contraction, mediator (rich)": ("rich", "contraction"),
    "learned": ("rich", "learned"),
    "learned, with vectors": ("vectors", "learned"),
    "learned, in the crowd": ("crowd", "learned"),
    "contraction, in the crowd": ("crowd", "contraction"),
}
"""Kind of mediator, and ``clusters.rule``."""


def main() -> None:
    options = arguments()
    table: dict[str, Any] = {}
    for name in options.sets:
        scored, rows = parts(name, options), {}
        for way in options.ways:
            found = [WAYS[way](part, options) for part in scored]
            if all(found):
                rows[way] = averaged(found)
                print(name, way, json.dumps(rows[way]), flush=True)
        table[name] = rows
    print(json.dumps(table))


def averaged(rows: list[list[Figures]]) -> dict[str, Any]:
    """Average over parts; of several seeds give the mean and the range."""
    found: dict[str, Any] = {}
    for metric in rows[0][0]:
        seeds = np.mean([[row[metric] for row in part] for part in rows], axis=0)
        found[metric] = round(float(seeds.mean()), 4)
        if len(seeds) > 1:
            found[f"{metric}_range"] = [round(float(seeds.min()), 4), round(float(seeds.max()), 4)]
    return found


def parts(name: str, options: argparse.Namespace) -> list[Part]:
    """Return where to train and where to score."""
    if name != "glyphs":
        return parts_of(name, options)
    folder = glyphs.FOLDER
    return [Part(folder / "labelled", folder / "unlabelled", [glyphs.BASE, *glyphs.COMMITTEE])]


def by_rule(way: str) -> Callable[[Part, argparse.Namespace], list[Figures]]:
    kind, rule = RULES[way]

    def run(part: Part, options: argparse.Namespace) -> list[Figures]:
        learned_on = in_crowd(part, options) if kind == "crowd" else part
        return [
            judged(part, clustered(part, part.scored, trained(learned_on, kind, seed, options), rule, options))
            for seed in range(options.seeds)
        ]

    return run


def in_crowd(part: Part, options: argparse.Namespace) -> Part:
    """Write the labelled part amid the images to cluster, whose labels are left out."""
    folder = options.output / "crowd" / "-".join([*part.labelled.parts[-2:], *part.scored.parts[-2:]])
    folder.mkdir(parents=True, exist_ok=True)
    for model in part.models:
        both = (renamed(each / f"{model}.parquet", kind) for each, kind in ((part.labelled, "a"), (part.scored, "b")))
        pq.write_table(pa.concat_tables(both), folder / f"{model}.parquet")
    pq.write_table(renamed(part.labelled / "labels.parquet", "a"), folder / "labels.parquet")
    return replace(part, labelled=folder)


def renamed(path: Path, kind: str) -> pa.Table:
    """Read a table whose ids another part may have as well."""
    table = pq.read_table(path)
    ids = pa.array([f"{kind} {each}" for each in table.column("id").to_pylist()])
    return table.set_column(table.column_names.index("id"), "id", ids)


def approximate(part: Part, options: argparse.Namespace) -> list[Figures]:
    """Score the learned rule on graphs that a search of cells has made."""
    mediator = trained(part, "rich", 0, options)
    return [judged(part, clustered(part, part.scored, mediator, "learned", options, exact_below=NEVER_EXACT))]


def trained_on(other: str) -> Callable[[Part, argparse.Namespace], list[Figures]]:
    """Score the learned rule with a mediator of another set."""

    def run(part: Part, options: argparse.Namespace) -> list[Figures]:
        source, here = (replace(each, models=each.models[:FEWEST_MODELS]) for each in (parts(other, options)[0], part))
        if source.models == here.models:
            return []
        mediator = trained(source, "rich", 0, options)
        return [judged(here, clustered(here, here.scored, mediator, "learned", options))]

    return run


def trained(part: Part, kind: str, seed: int, options: argparse.Namespace) -> Path:
    """Train a mediator on the labelled part, once."""
    data = "-".join([*part.labelled.parts[-2:], str(len(part.models))])
    place = options.output / "mediators" / f"{data}-{kind}-{seed}"
    if not (place / "card.json").exists():
        settings = {
            "input": given(part.labelled, part, options) | {"labels": str(part.labelled / "labels.parquet")},
            "output": str(options.output / "mediators" / f"{data}-train"),  # of all kinds: what they share is made once
            "mediator": {**TRAINED[kind], "seed": seed},
        }
        config = load_config_of(TrainConfig, settings)
        write_mediator(str(place), train(config, spark=local_session(options.master), progress=Progress.on_stderr()))
    return place


def given(folder: Path, part: Part, options: argparse.Namespace) -> dict[str, Any]:
    """Number the models, so that a mediator serves any set."""
    base, *committee = (
        {"path": str(folder / f"{model}.parquet"), "name": f"model{number}"} for number, model in enumerate(part.models)
    )
    return {"base": base, "committee": committee, "encoding": options.encoding}


def clustered(
    part: Part, folder: Path, mediator: Path, rule: str, options: argparse.Namespace, *, exact_below: int = EXACT_TO
) -> Run:
    place = "-".join([*folder.parts[-2:], str(exact_below)])  # of all ways: graphs are made once
    settings = {
        "input": given(folder, part, options),
        "output": str(options.output / "runs" / place),
        "knn": {"exact_below": exact_below},
        "consensus": {"strategy": "mediator", "mediator": str(mediator)},
        "clusters": {"rule": rule},
    }
    return cluster(load_config(settings), spark=local_session(options.master), progress=Progress.on_stderr())


def judged(part: Part, run: Run) -> Figures:
    table = pq.read_table(Path(run.output, "clusters")).sort_by("id")
    columns = (table.column(name).to_numpy() for name in ("id", "cluster"))
    figures = judged_by(part.scored, *columns)
    if "confidence" not in table.column_names:
        return figures
    return figures | covered(part, table)


def covered(part: Part, table: Any) -> Figures:
    """Pairwise F of the surest 70 and 50 % of the items."""
    confidence = table.column("confidence").fill_null(0).to_numpy()
    found = {}
    for share in (70, 50):
        kept = confidence >= np.quantile(confidence, 1 - share / 100)
        columns = (table.column(name).to_numpy()[kept] for name in ("id", "cluster"))
        found[f"pairwise_f_at_{share}"] = judged_by(part.scored, *columns)["pairwise_f"]
    return found


def linked(all_models: bool, oracle: bool) -> Callable[[Part, argparse.Namespace], list[Figures]]:
    """Average linkage on the base's vectors, or on those of all models side by side."""

    def run(part: Part, options: argparse.Namespace) -> list[Figures]:
        models = part.models if all_models else part.models[:1]
        rows = pq.read_metadata(part.scored / f"{models[0]}.parquet").num_rows
        chosen_from = part.scored if oracle else part.labelled
        if max(rows, pq.read_metadata(chosen_from / f"{models[0]}.parquet").num_rows) > MOST_LINKED:
            return []
        figures = all_thresholds(chosen_from, models)
        if oracle:
            return [{name: max(each[name] for each in figures.values()) for name in ("pairwise_f", "bcubed_f")}]
        best = max(figures, key=lambda threshold: figures[threshold]["pairwise_f"])
        return [all_thresholds(part.scored, models, (best,))[best]]

    return run


def all_thresholds(folder: Path, models: list[str], thresholds: tuple[float, ...] = SIMILARITIES) -> dict:
    ids, vectors = side_by_side(folder, models)
    found = average_linkage(vectors, thresholds, 0)
    return {threshold: judged_by(folder, ids, labels) for threshold, labels in found.items()}


def side_by_side(folder: Path, models: list[str]) -> tuple[np.ndarray, np.ndarray]:
    parts = []
    for model in models:
        ids, vectors = vectors_of(folder, model)
        order = np.argsort(ids)
        parts.append(vectors[order])
    return ids[order], np.concatenate(parts, axis=1) / len(models) ** 0.5


def infomap(part: Part, options: argparse.Namespace) -> list[Figures]:
    """Infomap on the probabilities of the rich mediator."""
    try:
        from infomap import Infomap
    except ImportError:
        return []
    mediator = trained(part, "rich", 0, options)

    def figures(folder: Path, times: tuple[float, ...]) -> dict[float, Figures]:
        run = clustered(part, folder, mediator, "contraction", options)
        paths = {stage["name"]: Path(run.output, stage["path"]) for stage in run.record["stages"]}
        pairs, items = (
            pq.read_table(paths["scored_pairs"], columns=["src", "dst", "score"]),
            pq.read_table(paths["items"]),
        )
        kept = pairs.filter(pairs.column("score").to_numpy() > 0.05).to_pydict()
        ids = items.sort_by("item").column("id").to_numpy()
        found = {}
        for time in times:
            graph = Infomap(f"--two-level --silent --seed 1 --markov-time {time}")
            graph.add_links(list(zip(kept["src"], kept["dst"], kept["score"], strict=True)))
            graph.run()
            cluster = np.arange(len(ids)) + len(ids)
            for node, module in graph.get_modules().items():
                cluster[node] = module
            found[time] = judged_by(folder, ids, cluster)
        return found

    chosen = figures(part.labelled, MARKOV_TIMES)
    best = max(chosen, key=lambda time: chosen[time]["pairwise_f"])
    return [figures(part.scored, (best,))[best]]


WAYS: dict[str, Callable[[Part, argparse.Namespace], list[Figures]]] = {
    "average linkage, base": linked(False, False),
    "average linkage, base, oracle": linked(False, True),
    "average linkage, all models": linked(True, False),
    "average linkage, all models, oracle": linked(True, True),
    **{way: by_rule(way) for way in RULES},
    "learned, approximate": approximate,
    **{f"learned, trained on {name}": trained_on(name) for name in ("omniglot", "glyphs", "lfw")},
    "Infomap": infomap,
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="evaluation sets; not needed for glyphs")
    parser.add_argument("--sets", nargs="+", default=["glyphs", "lfw", "omniglot_longtail", "omniglot"])
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--encoding", default="float16", help="of binary embeddings")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--master")
    return parser.parse_args()


if __name__ == "__main__":
    main()
