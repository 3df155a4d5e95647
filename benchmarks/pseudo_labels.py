"""Training without labels: how much of what true labels would give do pseudo-labels give?

    python benchmarks/pseudo_labels.py --seeds 0 1 2 3 4 5 6 7 --output runs/pseudo

Characters as in the project's data (``cdp_spark.datasets``), of three disjoint sets per seed: few labelled ones, many
without labels, and others for the test. Embedders learn from half of the labelled characters; the mediators, and the
threshold of the vote, from the others in the crowd of the unlabelled images. These are clustered and exported, and a
fresh network is trained with two heads, one for the labelled characters and one for clusters: on (a) the labelled
images alone, and beside them the unlabelled ones with (b) true labels, (c) clusters by vote, (d) by mediator, with a
threshold and without, (e) K-means with as many clusters as (d). It is judged on the third set by verification (share of
same pairs accepted when one in a thousand others is) and by how often the nearest other image is of the same character.
``gap`` is the share of the way from (a) to (b). With ``--shares`` the same for parts of the unlabelled images; with
``--second-round`` a student of (d), not shown the characters that the mediator learns from, joins the committee and
all is done again. The last line is one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.stats import t as student_t
from students import KIND, Images, Pseudo, World, agreement, drawn_world, judged, students, true_labels

KINDS = (KIND, "plain", "wide", "half")
K = 14
MIN_SIZE = 2
DECIDING = ("labelled", "views", "median", "test", "steps", "epochs", "ways", "second_round")
"""Options that figures depend on."""

LABELLED, TRUE, VOTE, MEDIATOR, NO_THRESHOLD, NO_CROWD, KMEANS, SECOND = (
    "labelled", "true labels", "vote", "mediator", "mediator, no threshold", "no threshold, no crowd", "K-means",
    "second round",
)  # fmt: skip
WAYS = (VOTE, MEDIATOR, NO_THRESHOLD, KMEANS)
MEDIATORS: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    MEDIATOR: ({"feature_set": "code"}, {}),
    # Held-out characters have as many images as those to cluster: no thinner world is needed.
    NO_THRESHOLD: ({"feature_set": "rich", "crowd": True, "worlds": [0.0]}, {"rule": "learned"}),
    NO_CROWD: ({"feature_set": "rich"}, {"rule": "learned"}),
}
"""How they are trained, and how they are used."""

THRESHOLDS = np.round(np.arange(0.30, 0.96, 0.025), 3).tolist()
DRAWS = 2_000
"""Of seeds, for the interval of a share of the gap."""


def main() -> None:
    options = arguments()
    rows = []
    for seed in options.seeds:
        # Made once for all shares, and only where figures are missing.
        world = cache(partial(drawn_world, seed, options.labelled, options.test, options.views, options.median))
        models = cache(lambda world=world: embedders(world(), options))
        for share in options.shares:
            rows += kept_figures(options, world, models, seed, share)
    found = summary(rows)
    if options.chart is not None:
        draw(found["by_share"], rows, options.chart)
    print(json.dumps({"rows": rows, **found}))


def kept_figures(
    options: argparse.Namespace,
    world: Callable[[], World],
    models: Callable[[], dict[str, Any]],
    seed: int,
    share: float,
) -> list[dict[str, Any]]:
    """Return the figures of an earlier call with the same options, or make them: a seed takes minutes."""
    kept = options.output / f"seed{seed}" / f"share{share:g}" / "figures.json"
    same = {name: str(value) for name, value in vars(options).items() if name in DECIDING}
    if kept.exists():
        earlier = json.loads(kept.read_text())
        if earlier["options"] == same:
            return list(earlier["rows"])
    found = figures(options, world().part(share, seed), models(), kept.parent, seed)
    rows = [row | {"share": share} for row in found]
    kept.write_text(json.dumps({"options": same, "rows": rows}))
    return rows


def figures(
    options: argparse.Namespace, world: World, models: dict[str, Any], folder: Path, seed: int
) -> list[dict[str, Any]]:
    """Train all students on one set of data, and judge them."""
    trained = partial(students, steps=options.steps, seed=seed, processes=options.processes)
    sets: dict[str, Pseudo | None] = {LABELLED: None, TRUE: true_labels(world)}
    sets |= clustered(folder, world, models, options.ways, options.master)
    if options.second_round:
        # What joins the committee must not have seen the characters on which the mediator learns.
        joining = trained(world.without_held_out(), {"student": sets[NO_THRESHOLD]})
        larger = {**models, **joining}
        sets[SECOND] = clustered(folder / "second", world, larger, [NO_THRESHOLD], options.master)[NO_THRESHOLD]
    rows = []
    for name, model in trained(world, sets).items():
        times = len(world.unlabelled.labels) / len(world.labelled.labels)
        row = {"seed": seed, "times": round(times, 2), "way": name, **judged(model, world.test)}
        rows.append(row | agreement(sets[name], world.unlabelled.labels))
        print(json.dumps(rows[-1]), flush=True)
    return rows


def embedders(world: World, options: argparse.Namespace) -> dict[str, Any]:
    """Train the models of a seed, on the labelled characters that are not held out."""
    from cdp_spark.datasets.glyph_embedders import trained

    shown = world.without_held_out().labelled
    with ProcessPoolExecutor(options.processes, mp_context=get_context("spawn")) as pool:
        jobs = {kind: pool.submit(trained, kind, shown.pictures, shown.labels, epochs=options.epochs) for kind in KINDS}
        return {kind: job.result() for kind, job in jobs.items()}


def clustered(
    folder: Path, world: World, models: dict[str, Any], ways: Sequence[str], master: str | None
) -> dict[str, Pseudo]:
    """Cluster the unlabelled images by vote, by mediators and by K-means of the base's embeddings."""
    from cdp_spark.base.loading import load_config
    from cdp_spark.runtime.session import local_session
    from cdp_spark.tasks.cluster import cluster

    spark = local_session(master, {})
    held_out = world.labelled.take(np.flatnonzero(~world.shown))
    base = write(folder / "unlabelled", world.unlabelled, models)
    write(folder / "held_out", held_out, models, first=len(world.unlabelled.labels))
    settings = {"knn": {"k": K}, "input": inputs(folder / "unlabelled", models), "output": f"{folder}/run"}
    found = {}
    for way, how in taught(folder, list(models), spark, ways).items():
        run = cluster(load_config({**settings, **how}), spark=spark)
        found[way] = exported(run.output, f"{folder}/{way}", spark)
    if KMEANS in ways:
        found[KMEANS] = by_kmeans(base, len(np.unique(found[NO_THRESHOLD].labels)))
    return found


def taught(folder: Path, models: list[str], spark: Any, ways: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Train mediators, and choose the threshold of the vote, on held-out characters in the crowd of the unlabelled."""
    from cdp_spark.base.config import LabelsConfig, TrainConfig
    from cdp_spark.base.errors import InputError
    from cdp_spark.base.loading import load_config, load_config_of
    from cdp_spark.runtime.mediators import write_mediator
    from cdp_spark.tasks.cluster import cluster
    from cdp_spark.tasks.sweep import sweep
    from cdp_spark.tasks.train import train

    for model in models:
        (folder / "both" / f"{model}.parquet").mkdir(parents=True, exist_ok=True)
        for part in ("unlabelled", "held_out"):
            shutil.copy(folder / part / f"{model}.parquet", folder / "both" / f"{model}.parquet" / f"{part}.parquet")
    labels = f"{folder}/held_out/labels.parquet"
    settings = {"knn": {"k": K}, "input": {**inputs(folder / "both", models), "labels": labels}}
    found: dict[str, dict[str, Any]] = {}
    for way, (training, clusters) in MEDIATORS.items():
        if way in ways:
            asked = {**settings, "output": f"{folder}/train", "mediator": training}
            mediator = f"{folder}/mediator-{way}"
            try:
                write_mediator(mediator, train(load_config_of(TrainConfig, asked), spark=spark))
            except InputError as refused:  # of few characters hardly a held-out pair is of two
                print(json.dumps({"way": way, "left out": str(refused)}), flush=True)
                continue
            found[way] = {"consensus": {"strategy": "mediator", "mediator": mediator}, "clusters": clusters}
    if VOTE in ways:
        known = cluster(load_config({**settings, "output": f"{folder}/known"}), spark=spark)
        best = sweep(known.output, THRESHOLDS, spark=spark, labels=LabelsConfig(path=labels)).best
        found[VOTE] = {"consensus": {"threshold": best}}
    return found


def inputs(folder: Path, models: Iterable[str]) -> dict[str, Any]:
    base, *committee = (f"{folder}/{name}.parquet" for name in models)
    return {"base": base, "committee": committee}


def write(folder: Path, part: Images, models: dict[str, Any], *, first: int = 0) -> np.ndarray:
    """Write the embeddings of all models, with ids from ``first``; return those of the base."""
    from cdp_spark.datasets.glyph_embedders import embedded

    folder.mkdir(parents=True, exist_ok=True)
    ids = pa.array(np.arange(first, first + len(part.labels)))
    pq.write_table(pa.table({"id": ids, "label": part.labels}), folder / "labels.parquet")
    rows = {name: embedded(model, part.pictures).astype(np.float32) for name, model in models.items()}
    for name, each in rows.items():
        vectors = pa.array(list(each), pa.list_(pa.float32()))
        pq.write_table(pa.table({"id": ids, "embedding": vectors}), folder / f"{name}.parquet")
    return rows[KIND]


def exported(run: str, output: str, spark: Any) -> Pseudo:
    import cdp_spark as cdp

    items = cdp.export(run, output=output, spark=spark, min_size=MIN_SIZE).items.toPandas().sort_values("id")
    labels = np.unique(items["label"], return_inverse=True)[1]
    return Pseudo(items["id"].to_numpy(), labels, items["weight"].to_numpy(np.float32))


def by_kmeans(rows: np.ndarray, number: int) -> Pseudo:
    from sklearn.cluster import KMeans

    labels = KMeans(number, n_init=1, random_state=0).fit_predict(rows)
    several = np.flatnonzero(np.bincount(labels)[labels] >= MIN_SIZE)
    return Pseudo(several, np.unique(labels[several], return_inverse=True)[1], np.ones(len(several), np.float32))


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean and 95 % interval over seeds of the rates, and of the shares of the gap, by way and share."""
    found: dict[str, Any] = {}
    for share in sorted({row["share"] for row in rows}):
        by_way: dict[str, dict[int, dict[str, float]]] = {}
        for row in rows:
            if row["share"] == share:
                by_way.setdefault(row["way"], {})[row["seed"]] = row
        found[f"share {share:g}"] = {way: of_way(way, by_way) for way in by_way}
    largest = found[f"share {max(row['share'] for row in rows):g}"]
    return {"by_share": found, "mediator_gap_ratio": largest[NO_THRESHOLD]["gap"][0]}


def of_way(way: str, by_way: dict[str, dict[int, dict[str, float]]]) -> dict[str, Any]:
    seeds = sorted(by_way[way])
    rates = {name: np.array([by_way[name][seed]["tpr"] for seed in seeds]) for name in (LABELLED, TRUE, way)}
    found: dict[str, Any] = {"tpr": interval(rates[way].tolist()), "gap": gap_of(rates, way)}
    for name in ("nearest", "pairwise_f"):
        if name in by_way[way][seeds[0]]:
            found[name] = round(statistics.mean(by_way[way][seed][name] for seed in seeds), 4)
    return found


def gap_of(rates: dict[str, np.ndarray], way: str) -> list[float]:
    """Return the share of the way from labelled to true labels, of means, and its 95 % interval by drawing seeds."""
    won, all_there_is = rates[way] - rates[LABELLED], rates[TRUE] - rates[LABELLED]
    drawn = np.random.default_rng(0).integers(0, len(won), (DRAWS, len(won)))
    shares = won[drawn].mean(axis=1) / all_there_is[drawn].mean(axis=1)
    bounds = np.quantile(shares, [0.025, 0.975])
    return np.round([won.mean() / all_there_is.mean(), *bounds], 3).tolist()


def draw(by_share: dict[str, Any], rows: list[dict[str, Any]], chart: Path) -> None:
    """Draw the rates over how many times as many unlabelled images there are as labelled ones."""
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(7, 3.4))
    shares = sorted({row["share"] for row in rows})
    times = [statistics.mean(row["times"] for row in rows if row["share"] == share) for share in shares]
    alone = by_share[f"share {shares[-1]:g}"][LABELLED]["tpr"]
    for way, colour in COLOURS.items():
        if way not in by_share[f"share {shares[-1]:g}"]:
            continue
        means, halves = zip(*(by_share[f"share {share:g}"][way]["tpr"] for share in shares), strict=True)
        axis.errorbar(
            [0, *times], [alone[0], *means], [alone[1], *halves], color=colour, label=way, capsize=3, marker="o"
        )
    axis.set(xlabel="unlabelled images for each labelled one", ylabel="verification (TPR at FAR 1e-3)")
    axis.legend(frameon=False)
    axis.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(chart)


COLOURS = {TRUE: "#c8553d", NO_THRESHOLD: "#6aa67c", VOTE: "#4c7fb8", KMEANS: "#999999"}


def interval(values: list[float]) -> list[float]:
    """Return the mean and the half width of its 95 % interval."""
    if len(values) < 2:
        return [round(values[0], 4), 0.0]
    half = student_t.ppf(0.975, len(values) - 1) * statistics.stdev(values) / len(values) ** 0.5
    return [round(statistics.mean(values), 4), round(float(half), 4)]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(8)))
    parser.add_argument("--labelled", type=int, default=200, help="characters with labels")
    parser.add_argument(
        "--views", type=int, default=2, help="images of a character that embedders see, in each typeface"
    )
    parser.add_argument("--median", type=float, default=9, help="images of other characters")
    parser.add_argument("--test", type=int, default=150, help="characters of the test")
    parser.add_argument("--shares", type=float, nargs="+", default=[1.0], help="of the unlabelled characters")
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=[*WAYS, NO_CROWD])
    parser.add_argument("--steps", type=int, default=500, help="of a student")
    parser.add_argument("--epochs", type=int, default=20, help="of an embedder")
    parser.add_argument("--second-round", action="store_true")
    parser.add_argument("--chart", type=Path, help="file of the curve over --shares, such as curve.svg")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--master")
    return parser.parse_args()


if __name__ == "__main__":
    main()
