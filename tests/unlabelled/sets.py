"""Small sets, and what the stages make of them, beside the reference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cdp_spark.clusters.flow import consensus_clusters
from cdp_spark.config.loading import load_config
from cdp_spark.intake.flow import taken_in
from cdp_spark.runs.stage_store import StageStore
from cdp_spark.spark.arrow import as_lists
from cdp_spark.training.kernels.simulation import simulated_set
from cdp_spark.unlabelled.flow import scored_without_labels


def simulated(items: int = 250, models: int = 3, seed: int = 3) -> list[np.ndarray]:
    """Vectors that are hard to tell apart, by as many models."""
    drawn = simulated_set(seed, items=4 * items)
    return [np.ascontiguousarray(vectors[:items], np.float32) for vectors in drawn.models[:models]]


def written(place: Path, vectors: list[np.ndarray]) -> list[str]:
    """Write each model's table, rows in no order."""
    place.mkdir(exist_ok=True)
    paths = []
    for number, rows in enumerate(vectors):
        order = np.random.default_rng(number).permutation(len(rows))
        table = pa.table({"id": order, "embedding": as_lists(np.asarray(rows, np.float32)[order])})
        paths.append(str(place / f"m{number}.parquet"))
        pq.write_table(table, paths[-1], row_group_size=50)
    return paths


def config_of(place: Path, vectors: list[np.ndarray]):
    base, *committee = written(place / "in", vectors)
    return load_config(
        {
            "input": {"base": base, "committee": committee},
            "output": str(place / "run"),
            "consensus": {"strategy": "vote"},
        }
    )


def taken(spark, place: Path, vectors: list[np.ndarray]):
    """Take the tables in: store, config and what came in."""
    config = config_of(place, vectors)
    store = StageStore(spark, config.output)
    return store, config, taken_in(store, config.input, {})


def clustered(spark, place: Path, vectors: list[np.ndarray], sizes=None):
    """Go the whole way: first row of each row's cluster, and what was found on the way."""
    store, config, intake = taken(spark, place, vectors)
    found = scored_without_labels(store, intake, config, sizes)
    learned = config.model_copy(update={"clusters": config.clusters.chosen(rule="learned")})
    table = consensus_clusters(store, intake.items, found, learned).clusters.table
    rows = table.toPandas().sort_values("id")
    label = rows["cluster"].to_numpy().copy()
    label[label < 0] = -1 - np.flatnonzero(label < 0)
    return first_rows(label), found, rows


def first_rows(label: np.ndarray) -> np.ndarray:
    """Name each row's cluster by its first row."""
    _, first, place = np.unique(label, return_index=True, return_inverse=True)
    return first[place]
