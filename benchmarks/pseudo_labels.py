"""Training without labels: how much of what true labels would give do pseudo-labels give?

    python benchmarks/pseudo_labels.py --seeds 0 1 2 3 4 5 6 7 --output runs/pseudo

Characters as in the project's data (``cdp_spark.datasets``), of three disjoint sets per seed: few labelled ones, many
without labels, and others for the test. Embedders learn from some of the labelled characters; the mediator, and the
threshold of the vote, from the rest of them. The unlabelled images are clustered and exported, and a fresh network is
trained with two heads, one for the labelled characters and one for clusters: on (a) the labelled images alone, and
beside them the unlabelled ones with (b) true labels, (c) clusters by vote, (d) by mediator, with a threshold and
without, (e) K-means with as many clusters as (d). It is judged on the third set by verification (share of same pairs
accepted when one in a thousand others is) and by how often the nearest other image is of the same character. ``gap``
is the share of the way from (a) to (b). With ``--shares`` the same for parts of the unlabelled images; with
``--second-round`` a student of (d), not shown the characters that the mediator learns from, joins the committee and
all is done again. The last line is one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.stats import t as student_t

from cdp_spark.datasets.glyph_characters import characters, faces_of
from cdp_spark.datasets.glyph_images import scanned

KINDS = ("residual", "plain", "wide", "half")
K = 14
FAR = 1e-3
HELD_OUT = 0.35
"""Share of the labelled characters that embedders do not see: mediator and threshold are chosen on these."""

MIN_SIZE = 2
DECIDING = ("labelled", "test", "steps", "epochs", "second_round")
"""Options that figures depend on."""

NO_THRESHOLD = "mediator, no threshold"

THRESHOLDS = np.round(np.arange(0.30, 0.96, 0.025), 3).tolist()


@dataclass(frozen=True)
class Images:
    """Pictures and their characters, numbered from 0."""

    pictures: np.ndarray
    labels: np.ndarray

    def take(self, rows: np.ndarray) -> Images:
        labels = np.unique(self.labels[rows], return_inverse=True)[1]
        return Images(self.pictures[rows], labels)


@dataclass(frozen=True)
class World:
    """What one seed has: ``shown`` tells which labelled images embedders may see."""

    labelled: Images
    shown: np.ndarray
    unlabelled: Images
    test: Images


def main() -> None:
    options = arguments()
    rows = []
    for seed in options.seeds:
        world = cache(partial(made, options, seed))  # drawn once for all shares, and only where one is missing
        embedders = cache(lambda world=world: trained_embedders(world(), options))
        for share in options.shares:
            rows += kept_figures(options, world, embedders, seed, share)
    found = summary(rows)
    if options.chart is not None:
        draw(found["by_share"], rows, options.chart)
    print(json.dumps({"rows": rows, **found}))


def kept_figures(
    options: argparse.Namespace,
    world: Callable[[], World],
    embedders: Callable[[], dict[str, Any]],
    seed: int,
    share: float,
) -> list[dict[str, Any]]:
    """Return the figures of an earlier call with the same options, or make them: a seed takes minutes."""
    kept = options.output / f"seed{seed}-{share:g}" / "figures.json"
    same = {name: str(value) for name, value in vars(options).items() if name in DECIDING}
    if kept.exists():
        found = json.loads(kept.read_text())
        if found["options"] == same:
            return list(found["rows"])
    rows = figures(options, part_of(world(), share, seed), embedders(), seed, share)
    kept.write_text(json.dumps({"options": same, "rows": rows}))
    return rows


def made(options: argparse.Namespace, seed: int) -> World:
    """Draw the characters of one seed; identities are shared out anew each time."""
    points = np.random.default_rng([7, seed]).permutation(characters()[0])
    labelled, test = points[: options.labelled], points[options.labelled : options.labelled + options.test]
    rest = points[options.labelled + options.test :]
    random = np.random.default_rng([8, seed])
    sizes = np.clip(np.round(np.exp(random.normal(np.log(9), 0.75, len(rest)))), 1, 32).astype(int)
    hidden = set(random.permutation(options.labelled)[: round(HELD_OUT * options.labelled)].tolist())
    known = drawn([(point, 2 * len(faces_of(point))) for point in labelled.tolist()], seed)
    return World(
        known,
        np.array([label not in hidden for label in known.labels]),
        drawn(list(zip(rest.tolist(), sizes.tolist(), strict=True)), seed),
        drawn([(point, len(faces_of(point))) for point in test.tolist()], seed),
    )


def drawn(wanted: list[tuple[int, int]], seed: int) -> Images:
    pictures, labels = [], []
    for label, (point, count) in enumerate(wanted):
        faces = faces_of(point)
        random = np.random.default_rng([9, seed, point])
        order = np.concatenate([random.permutation(faces) for _ in range(-(-count // len(faces)))])[:count]
        pictures += [scanned(point, int(face), 1_000_003 * seed + 100_000 * n + point) for n, face in enumerate(order)]
        labels += [label] * count
    return Images(np.stack(pictures), np.array(labels, np.int64))


def part_of(world: World, share: float, seed: int) -> World:
    """Keep a share of the unlabelled characters."""
    count = int(world.unlabelled.labels.max()) + 1
    kept = np.random.default_rng([10, seed]).permutation(count)[: round(share * count)]
    rows = np.flatnonzero(np.isin(world.unlabelled.labels, kept))
    return World(world.labelled, world.shown, world.unlabelled.take(rows), world.test)


def without_held_out(world: World) -> World:
    """Keep the labelled images that embedders may see."""
    shown = world.labelled.take(np.flatnonzero(world.shown))
    return World(shown, np.ones(len(shown.labels), bool), world.unlabelled, world.test)


def figures(
    options: argparse.Namespace, world: World, embedders: dict[str, Any], seed: int, share: float
) -> list[dict[str, Any]]:
    """Train all students on one set of data, and judge them."""
    folder = options.output / f"seed{seed}-{share:g}"
    clusters = clustered(folder, world, embedders, options.master)
    rows = []
    for number in (1, 2) if options.second_round else (1,):
        if number == 2:
            # What joins the committee must not have seen the characters on which the mediator learns.
            joining = all_trained(without_held_out(world), {NO_THRESHOLD: clusters[NO_THRESHOLD]}, options, seed)
            larger = {**embedders, "student": joining[NO_THRESHOLD]}
            clusters = clustered(folder / "second", world, larger, options.master)
        sets = {"labelled": None, "true labels": true_labels(world), **clusters}
        if number == 2:
            sets = {"second round": clusters[NO_THRESHOLD]}
        students = all_trained(world, sets, options, seed)
        for name, model in students.items():
            times = len(world.unlabelled.labels) / len(world.labelled.labels)
            row = {"seed": seed, "share": share, "times": times, "way": name, **judged(model, world.test)}
            rows.append(row | agreement(sets[name], world.unlabelled.labels))
            print(json.dumps(rows[-1]), flush=True)
    return rows


@dataclass(frozen=True)
class Pseudo:
    """Rows of the unlabelled images that are trained on, their labels from 0, and weights."""

    rows: np.ndarray
    labels: np.ndarray
    weights: np.ndarray


def true_labels(world: World) -> Pseudo:
    count = len(world.unlabelled.labels)
    return Pseudo(np.arange(count), world.unlabelled.labels, np.ones(count, np.float32))


def trained_embedders(world: World, options: argparse.Namespace) -> dict[str, Any]:
    from cdp_spark.datasets.glyph_embedders import trained

    shown = without_held_out(world).labelled
    with ProcessPoolExecutor(options.processes, mp_context=get_context("spawn")) as pool:
        jobs = {kind: pool.submit(trained, kind, shown.pictures, shown.labels, epochs=options.epochs) for kind in KINDS}
        return {kind: job.result() for kind, job in jobs.items()}


def clustered(folder: Path, world: World, models: dict[str, Any], master: str | None) -> dict[str, Pseudo]:
    """Cluster the unlabelled images by vote, by mediators and by K-means of the base's embeddings."""
    from cdp_spark.base.config import LabelsConfig, TrainConfig
    from cdp_spark.base.loading import load_config, load_config_of
    from cdp_spark.datasets.glyph_embedders import embedded
    from cdp_spark.runtime.mediators import write_mediator
    from cdp_spark.runtime.session import local_session
    from cdp_spark.tasks.cluster import cluster
    from cdp_spark.tasks.sweep import sweep
    from cdp_spark.tasks.train import train

    spark = local_session(master, {})
    hidden = world.labelled.take(np.flatnonzero(~world.shown))
    places = {"labelled": hidden, "unlabelled": world.unlabelled}
    rows = {name: write(folder / name, part, models, embedded) for name, part in places.items()}
    labels = {"labels": f"{folder}/labelled/labels.parquet"}
    settings = {"output": f"{folder}/train", "knn": {"k": K}, "input": {**inputs(folder, "labelled", models), **labels}}
    for feature_set in ("code", "rich"):
        asked = load_config_of(TrainConfig, {**settings, "mediator": {"feature_set": feature_set}})
        write_mediator(f"{folder}/mediator-{feature_set}", train(asked, spark=spark))
    known = cluster(load_config({**settings, "output": f"{folder}/known"}), spark=spark)
    best = sweep(known.output, THRESHOLDS, spark=spark, labels=LabelsConfig(path=labels["labels"])).best
    ways = {
        "vote": {"consensus": {"threshold": best}},
        "mediator": by_mediator(folder, "code"),
        NO_THRESHOLD: {**by_mediator(folder, "rich"), "clusters": {"rule": "learned"}},
    }
    found = {}
    for name, how in ways.items():
        own = {**settings, "input": inputs(folder, "unlabelled", models), "output": f"{folder}/run"}
        run = cluster(load_config({**own, **how}), spark=spark)
        found[name] = exported(run.output, f"{folder}/{name}", spark)
    number = len(np.unique(found[NO_THRESHOLD].labels))
    found["K-means"] = by_kmeans(rows["unlabelled"][KINDS[0]], number)
    return found


def by_mediator(folder: Path, feature_set: str) -> dict[str, Any]:
    return {"consensus": {"strategy": "mediator", "mediator": f"{folder}/mediator-{feature_set}"}}


def inputs(folder: Path, part: str, models: Sequence[str] | dict[str, Any]) -> dict[str, Any]:
    base, *committee = (f"{folder}/{part}/{name}.parquet" for name in models)
    return {"base": base, "committee": committee}


def write(folder: Path, part: Images, models: dict[str, Any], embedded: Any) -> dict[str, np.ndarray]:
    folder.mkdir(parents=True, exist_ok=True)
    ids = pa.array(np.arange(len(part.labels)))
    pq.write_table(pa.table({"id": ids, "label": part.labels}), folder / "labels.parquet")
    found = {}
    for name, model in models.items():
        found[name] = embedded(model, part.pictures).astype(np.float32)
        vectors = pa.array(list(found[name]), pa.list_(pa.float32()))
        pq.write_table(pa.table({"id": ids, "embedding": vectors}), folder / f"{name}.parquet")
    return found


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


def all_trained(world: World, sets: dict[str, Pseudo | None], options: argparse.Namespace, seed: int) -> dict[str, Any]:
    with ProcessPoolExecutor(options.processes, mp_context=get_context("spawn")) as pool:
        jobs = {name: pool.submit(student, world, pseudo, options.steps, seed) for name, pseudo in sets.items()}
        return {name: job.result() for name, job in jobs.items()}


def student(world: World, pseudo: Pseudo | None, steps: int, seed: int) -> Any:
    """Train a fresh network with a head for the labelled characters and one for the pseudo-labels.

    Every step sees as many labelled images as others, so that students differ in what the others are, not in how often
    they see the labelled ones.
    """
    import torch
    from torch.nn import functional

    from cdp_spark.datasets.glyph_embedders import DIMENSIONS, network, tensor_of

    torch.manual_seed(seed)
    torch.set_num_threads(1)
    random = np.random.default_rng([11, seed])
    model = network(KINDS[0])
    parts = [(world.labelled.pictures, world.labelled.labels, np.ones(len(world.labelled.labels), np.float32))]
    if pseudo is not None:
        parts.append((world.unlabelled.pictures[pseudo.rows], pseudo.labels, pseudo.weights))
    data = [(tensor_of(pictures), torch.from_numpy(labels), torch.from_numpy(w)) for pictures, labels, w in parts]
    model(data[0][0][:2])  # tells the last layer its size
    model = model.to(memory_format=torch.channels_last)
    dimension = DIMENSIONS[KINDS[0]]
    heads = [torch.nn.Parameter(torch.randn(int(labels.max()) + 1, dimension)) for _, labels, _ in data]
    optimiser = torch.optim.AdamW([*model.parameters(), *heads], lr=2e-3, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=steps)
    for _ in range(steps):
        chosen = [torch.from_numpy(random.integers(0, len(labels), BATCH)) for _, labels, _ in data]
        points = torch.cat([part[0][rows] for part, rows in zip(data, chosen, strict=True)])
        embedded = functional.normalize(model(points)).split(BATCH)
        loss = torch.zeros(())
        for rows, vectors, (_, labels, weights), head in zip(chosen, embedded, data, heads, strict=True):
            wanted = labels[rows]
            cosine = vectors @ functional.normalize(head).T - MARGIN * functional.one_hot(wanted, len(head))
            loss = loss + (functional.cross_entropy(SCALE * cosine, wanted, reduction="none") * weights[rows]).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return model.eval()


BATCH, SCALE, MARGIN = 96, 24.0, 0.15


def judged(model: Any, test: Images) -> dict[str, float]:
    """Return the verification rate at ``FAR`` and how often the nearest other image is right."""
    from cdp_spark.datasets.glyph_embedders import embedded

    rows = embedded(model, test.pictures).astype(np.float32)
    cosine = rows @ rows.T
    same = test.labels[:, None] == test.labels[None, :]
    above = np.triu(np.ones(cosine.shape, bool), 1)
    bound = np.quantile(cosine[above & ~same], 1 - FAR)
    rate = float((cosine[above & same] > bound).mean())
    np.fill_diagonal(cosine, -2)
    nearest = float((test.labels[cosine.argmax(axis=1)] == test.labels).mean())
    return {"tpr": round(rate, 4), "nearest": round(nearest, 4)}


def agreement(pseudo: Pseudo | None, true: np.ndarray) -> dict[str, float]:
    """Say how good the pseudo-labels are: images, labels, pairwise precision and recall among all images."""
    from cdp_spark.kernels.metrics import scores, sums_of

    if pseudo is None:
        return {}
    cluster = np.arange(len(true)) + len(true)
    cluster[pseudo.rows] = pseudo.labels
    found = scores(sums_of(cluster, true))
    kept = {name: round(found[name], 4) for name in ("pairwise_precision", "pairwise_recall", "pairwise_f")}
    return {"images": len(pseudo.rows), "clusters": len(np.unique(pseudo.labels)), **kept}


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean and 95 % interval over seeds of the rates, and of the shares of the gap, by way and share."""
    found: dict[str, Any] = {}
    for share in sorted({row["share"] for row in rows}):
        by_way: dict[str, dict[int, float]] = {}
        for row in rows:
            if row["share"] == share:
                by_way.setdefault(row["way"], {})[row["seed"]] = row["tpr"]
        low, high = by_way["labelled"], by_way["true labels"]
        gap = statistics.mean(high[seed] - low[seed] for seed in low)
        found[f"share {share:g}"] = {
            way: {
                "tpr": interval(list(rates.values())),
                "gap": round(statistics.mean(rates[seed] - low[seed] for seed in rates) / gap, 3) if gap else None,
            }
            for way, rates in by_way.items()
        }
    largest = found[f"share {max(row['share'] for row in rows):g}"]
    return {"by_share": found, "mediator_gap_ratio": largest[NO_THRESHOLD]["gap"]}


def draw(by_share: dict[str, Any], rows: list[dict[str, Any]], chart: Path) -> None:
    """Draw the rates over how many times as many unlabelled images there are as labelled ones."""
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(7, 3.4))
    shares = sorted({row["share"] for row in rows})
    times = [statistics.mean(row["times"] for row in rows if row["share"] == share) for share in shares]
    alone = by_share[f"share {shares[-1]:g}"]["labelled"]["tpr"]
    for way, colour in COLOURS.items():
        means, halves = zip(*(by_share[f"share {share:g}"][way]["tpr"] for share in shares), strict=True)
        axis.errorbar(
            [0, *times], [alone[0], *means], [alone[1], *halves], color=colour, label=way, capsize=3, marker="o"
        )
    axis.set(xlabel="unlabelled images for each labelled one", ylabel="verification (TPR at FAR 1e-3)")
    axis.legend(frameon=False)
    axis.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(chart)


COLOURS = {"true labels": "#c8553d", NO_THRESHOLD: "#6aa67c", "vote": "#4c7fb8", "K-means": "#999999"}


def interval(values: list[float]) -> list[float]:
    """Return the mean and the half width of its 95 % interval."""
    if len(values) < 2:
        return [round(values[0], 4), 0.0]
    half = student_t.ppf(0.975, len(values) - 1) * statistics.stdev(values) / len(values) ** 0.5
    return [round(statistics.mean(values), 4), round(float(half), 4)]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(8)))
    parser.add_argument("--labelled", type=int, default=80, help="characters with labels")
    parser.add_argument("--test", type=int, default=150, help="characters of the test")
    parser.add_argument("--shares", type=float, nargs="+", default=[1.0], help="of the unlabelled characters")
    parser.add_argument("--steps", type=int, default=700, help="of a student")
    parser.add_argument("--epochs", type=int, default=10, help="of an embedder")
    parser.add_argument("--second-round", action="store_true")
    parser.add_argument("--chart", type=Path, help="file of the curve over --shares, such as curve.svg")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--master")
    return parser.parse_args()


if __name__ == "__main__":
    main()
