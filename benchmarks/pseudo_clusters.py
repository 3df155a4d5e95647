"""Clusters of unlabelled characters by what is learned from a few labelled ones: vote, mediators, K-means."""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from students import STUDENT, Images, Part, Pseudo, Recipe, World, every_one, trained, united

import cdp_spark as cdp
from cdp_spark.base.errors import InputError
from cdp_spark.commands.cluster import cluster
from cdp_spark.commands.sweep import sweep
from cdp_spark.config.input_sections import LabelsConfig
from cdp_spark.config.loading import load_config, load_config_of
from cdp_spark.config.whole import TrainConfig
from cdp_spark.datasets.glyph_embedders import embedded
from cdp_spark.scoring.mediator_folder import write_mediator
from cdp_spark.spark.session import local_session
from cdp_spark.training.flow import train

KINDS = {"residual": 900, "plain": 1_300, "wide": 500, "half": 1_300}
"""Networks of the committee, the base first, and the steps for which they are trained."""

EMBEDDER_DISTORTION = 2.0
K = 14
MIN_SIZE = 2

VOTE, MEDIATOR, NO_THRESHOLD, NO_CROWD, KMEANS = (
    "vote", "mediator", "mediator, no threshold", "no threshold, no crowd", "K-means",
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


def student_recipe(options: argparse.Namespace) -> Recipe:
    return Recipe(options.steps, options.distortion, options.precision == "bfloat16")


def embedders(folder: Path, world: World, options: argparse.Namespace) -> dict[str, Any]:
    """Train the models of a seed on the labelled characters that are not held out, or read what is kept of them."""
    import torch

    kept = folder / "embedders.pt"
    if not kept.exists():
        shown, recipe = [every_one(world.seen())], replace(student_recipe(options), distortion=EMBEDDER_DISTORTION)
        wanted = {
            kind: (kind, shown, replace(recipe, steps=steps), number)
            for number, (kind, steps) in enumerate(KINDS.items())
        }
        torch.save(dict(trained(wanted, options.processes)), kept)
    found: dict[str, Any] = torch.load(kept, weights_only=False)
    return found


def joining(folder: Path, world: World, models: dict[str, Any], options: argparse.Namespace) -> Any:
    """Train the student that joins the committee: the images that its mediator learns from are to it as the unlabelled.

    So these are clustered together with the unlabelled ones, and named by their clusters: a student is surer of what it
    has seen, right or wrong, and a mediator has to see that on both.
    """
    spark, both = local_session(options.master, {}), folder / "both"
    settings = {"knn": {"k": K}, "input": inputs(both, models), "output": f"{folder}/run-both"}
    run = cluster(load_config({**settings, **used(folder, NO_THRESHOLD)}), spark=spark)
    images = united(world.unlabelled, world.held_out())
    parts = [every_one(world.seen()), Part.of(images, exported(run.output, f"{folder}/list-both", spark))]
    return dict(trained({"student": (STUDENT, parts, student_recipe(options), 0)}, 1))["student"]


def clustered(
    folder: Path, world: World, models: dict[str, Any], ways: Sequence[str], master: str | None
) -> dict[str, Pseudo]:
    """Cluster the unlabelled images by vote, by mediators and by K-means of the base's embeddings."""
    spark = local_session(master, {})
    base = write(folder / "unlabelled", world.unlabelled, models)
    write(folder / "held_out", world.held_out(), models, first=len(world.unlabelled.labels))
    settings = {"knn": {"k": K}, "input": inputs(folder / "unlabelled", models), "output": f"{folder}/run"}
    found = {}
    for way, how in taught(folder, list(models), spark, ways).items():
        run = cluster(load_config({**settings, **how}), spark=spark)
        found[way] = exported(run.output, f"{folder}/{way}", spark)
    if KMEANS in ways:
        found[KMEANS] = by_kmeans(base, clusters_of(folder))
    return found


def clusters_of(folder: Path) -> int:
    """Return how many clusters were found without a threshold."""
    return len(pq.read_table(f"{folder}/{NO_THRESHOLD}/items", columns=["label"]).column("label").unique())


def kmeans_of_others(folder: Path, models: dict[str, Any], number: int) -> list[Pseudo]:
    """Cluster the unlabelled images by K-means of each of the first so many models, but for the base."""
    names, clusters = list(models)[1:number], clusters_of(folder)
    files = (pq.read_table(folder / "unlabelled" / f"{name}.parquet", columns=["embedding"]) for name in names)
    return [by_kmeans(np.stack(each.column("embedding").to_numpy()), clusters) for each in files]


def by_other_bases(
    folder: Path, world: World, models: dict[str, Any], bases: int, master: str | None
) -> Iterator[Pseudo]:
    """Cluster without a threshold with each of the first so many models as the base, but for the first of all."""
    for name in list(models)[1:bases]:
        put_first = {name: models[name], **models}
        yield clustered(folder / f"base-{name}", world, put_first, [NO_THRESHOLD], master)[NO_THRESHOLD]


def taught(folder: Path, models: list[str], spark: Any, ways: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Train mediators, and choose the threshold of the vote, on held-out characters in the crowd of the unlabelled."""
    for model in models:
        (folder / "both" / f"{model}.parquet").mkdir(parents=True, exist_ok=True)
        for part in ("unlabelled", "held_out"):
            shutil.copy(folder / part / f"{model}.parquet", folder / "both" / f"{model}.parquet" / f"{part}.parquet")
    labels = f"{folder}/held_out/labels.parquet"
    settings = {"knn": {"k": K}, "input": {**inputs(folder / "both", models), "labels": labels}}
    found: dict[str, dict[str, Any]] = {}
    for way, (training, _) in MEDIATORS.items():
        if way in ways:
            asked = {**settings, "output": f"{folder}/train", "mediator": training}
            try:
                write_mediator(mediator_of(folder, way), train(load_config_of(TrainConfig, asked), spark=spark))
            except InputError as refused:  # of few characters hardly a held-out pair is of two
                print(json.dumps({"way": way, "left out": str(refused)}), flush=True)
                continue
            found[way] = used(folder, way)
    if VOTE in ways:
        known = cluster(load_config({**settings, "output": f"{folder}/known"}), spark=spark)
        best = sweep(known.output, THRESHOLDS, spark=spark, labels=LabelsConfig(path=labels)).best
        found[VOTE] = {"consensus": {"threshold": best}}
    return found


def used(folder: Path, way: str) -> dict[str, Any]:
    """Return the config of clustering by a mediator."""
    return {"consensus": {"strategy": "mediator", "mediator": mediator_of(folder, way)}, "clusters": MEDIATORS[way][1]}


def mediator_of(folder: Path, way: str) -> str:
    return f"{folder}/mediator-{way}"


def inputs(folder: Path, models: Iterable[str]) -> dict[str, Any]:
    base, *committee = (f"{folder}/{name}.parquet" for name in models)
    return {"base": base, "committee": committee}


def write(folder: Path, part: Images, models: dict[str, Any], *, first: int = 0) -> np.ndarray:
    """Write the embeddings of all models, with ids from ``first``; return those of the base."""
    folder.mkdir(parents=True, exist_ok=True)
    ids = pa.array(np.arange(first, first + len(part.labels)))
    pq.write_table(pa.table({"id": ids, "label": part.labels}), folder / "labels.parquet")
    rows = {name: embedded(model, part.pictures).astype(np.float32) for name, model in models.items()}
    for name, each in rows.items():
        vectors = pa.array(list(each), pa.list_(pa.float32()))
        pq.write_table(pa.table({"id": ids, "embedding": vectors}), folder / f"{name}.parquet")
    return next(iter(rows.values()))


def exported(run: str, output: str, spark: Any) -> Pseudo:
    """Export clusters as a training list; its weights are left aside: with them students were no better."""
    items = cdp.export(run, output=output, spark=spark, min_size=MIN_SIZE).items.toPandas().sort_values("id")
    labels = np.unique(items["label"], return_inverse=True)[1]
    return Pseudo(items["id"].to_numpy(), labels, np.ones(len(labels), np.float32))


def by_kmeans(rows: np.ndarray, number: int) -> Pseudo:
    from sklearn.cluster import KMeans

    labels = KMeans(number, n_init=1, random_state=0).fit_predict(rows)
    several = np.flatnonzero(np.bincount(labels)[labels] >= MIN_SIZE)
    return Pseudo(several, np.unique(labels[several], return_inverse=True)[1], np.ones(len(several), np.float32))
