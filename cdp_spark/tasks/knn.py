"""The KNN graph of one model: twins, cells, shards, search, audit, each of them durable."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cache, partial

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import DataFrame

from cdp_spark.base import schemas
from cdp_spark.base.config import KnnConfig, fingerprint
from cdp_spark.kernels import tuning
from cdp_spark.kernels.cells import COPIES, Cells, cell_count, row_bytes
from cdp_spark.kernels.training import MOST_SAMPLED, SAMPLE_PER_CELL, train_cells
from cdp_spark.kernels.tuning import Probing, Recall
from cdp_spark.kernels.vectors import decode
from cdp_spark.runtime.storage import StageResult, StageStore
from cdp_spark.stages import audit, expansion
from cdp_spark.stages import knn as knn_stage
from cdp_spark.stages import shards as shard_stage

VERSION = 6
_TUNING_QUERIES = 500
_AUDIT_QUERIES = 2_300
_ROUNDS = 3
_MISSED = 4.5
"""The search of cells may first miss so many times what the graph may: neighbours of neighbours bring most back."""
_FEWEST = 4
"""It first visits at least a share of one in so many of the cells that the search alone needs: lists from too few cells
know only each other."""
_SHARD_BYTES = 1.75e9
"""What a task that expands the lists of a shard holds of it: decides how many shards there are."""


@dataclass(frozen=True)
class Vectors:
    """The vectors of one model: (item: long, vector: binary), their number and length."""

    model: str
    table: DataFrame
    rows: int
    dimension: int
    fingerprint: str


@dataclass(frozen=True)
class Graph:
    """A model's KNN graph and how good it is."""

    table: DataFrame
    shards: DataFrame
    fingerprint: str
    recall: dict[str, object]
    cells: Cells
    vectors: Vectors


@dataclass(frozen=True)
class _Twins:
    table: DataFrame
    rows: int


def knn_graph(store: StageStore, vectors: Vectors, config: KnnConfig) -> Graph:
    """Make, or find in the store, the KNN graph of one model; its recall is measured every time it is approximate."""
    key = fingerprint(VERSION, config, vectors.fingerprint)
    found = store.stage(f"twins/{vectors.model}", key, lambda: shard_stage.twins(vectors.table), schema=_TWINS_SCHEMA)
    twins = _Twins(found.table, found.rows)
    if vectors.rows - twins.rows <= max(config.exact_below, 1):
        return _exact(store, vectors, twins, config, key)
    return _approximate(store, vectors, twins, config, key)


@dataclass(frozen=True)
class _Search:
    """What is searched, and how."""

    vectors: Vectors
    twins: _Twins
    cells: Cells
    probing: Probing
    k: int


_TWINS_SCHEMA = schemas.table_of(schemas.SHARDS, "item", "twin_of")


def _exact(store: StageStore, vectors: Vectors, twins: _Twins, config: KnnConfig, key: str) -> Graph:
    one_cell = Cells(np.zeros((1, vectors.dimension), np.float16), np.zeros(1, np.int64))
    shards, graph = _searched(store, _Search(vectors, twins, one_cell, Probing(0.0, 1), config.k), key)
    measured = {"method": "exact", "recall": 1.0, "low": 1.0, "high": 1.0, "queries": vectors.rows}
    return Graph(graph.table, shards.table, fingerprint(key, "exact"), measured, one_cell, vectors)


def _approximate(store: StageStore, vectors: Vectors, twins: _Twins, config: KnnConfig, key: str) -> Graph:
    truth = store.stage(f"truth/{vectors.model}", key, lambda: _truth(vectors, config.k), schema=schemas.KNN)
    cells = _cells(store, vectors, twins, config, key)
    probing = Probing(0.0, 0)
    for number in range(_ROUNDS):
        probing = _next_probing(store, _Known(vectors, truth.table, cells, key), config.recall_target, number, probing)
        round_key = fingerprint(key, asdict(probing))
        shards, graph = _searched(store, _Search(vectors, twins, cells, probing, config.k), round_key)
        figures = store.facts(
            f"recall/{vectors.model}", round_key, partial(_audited, vectors, graph.table, truth.table)
        )
        if figures["low"] >= config.recall_target or figures["recall"] == 1.0:
            break  # where all were found, only more queries could raise the lower end
    measured = {
        "method": "ivf", **figures, "target": config.recall_target, "met": figures["low"] >= config.recall_target,
        "rounds": number + 1, "shards": cells.shards, "cells": len(cells.centroids), **asdict(probing),
    }  # fmt: skip
    return Graph(graph.table, shards.table, round_key, measured, cells, vectors)


@dataclass(frozen=True)
class _Known:
    """What a probing is chosen by."""

    vectors: Vectors
    truth: DataFrame
    cells: Cells
    key: str


def _next_probing(store: StageStore, known: _Known, target: float, number: int, before: Probing) -> Probing:
    """Begin with what neighbours of neighbours should complete; then twice as many cells; then the search alone."""
    completed = max(0.0, 1.0 - _MISSED * (1.0 - target))
    found = store.facts(
        f"probing/{known.vectors.model}", fingerprint(known.key, target), lambda: _choose(known, target, completed)
    )
    first, alone = (Probing(float(found[name]["spill"]), int(found[name]["nprobe"])) for name in ("first", "alone"))
    if number == 0:
        return Probing(first.spill, max(first.nprobe, -(-alone.nprobe // _FEWEST)))
    if number == 1 and 2 * before.nprobe < alone.nprobe:
        return Probing(before.spill, 2 * before.nprobe)
    return alone if alone.nprobe > before.nprobe else tuning.wider(before, known.cells)


def _searched(store: StageStore, asked: _Search, key: str) -> tuple[StageResult, StageResult]:
    """Write shards, lists and graph for one probing."""
    vectors, twins, cells, k = asked.vectors, asked.twins, asked.cells, asked.k
    shards = store.stage(
        f"shards/{vectors.model}",
        fingerprint(key, asked.probing.spill),
        lambda: shard_stage.shards(
            vectors.table, twins.table, cells, probing=asked.probing, k=k, twin_count=twins.rows
        ),
        schema=schemas.SHARDS,
        partition_by=("shard",),
    )  # fmt: skip
    lists = _lists(store, asked, shards.table, key)

    def graph(of_shards: DataFrame) -> DataFrame:
        return knn_stage.knn_graph(of_shards, shards.table, k=k, shards=cells.shards, twin_count=twins.rows)

    if twins.rows == 0 and cells.shards == 1:
        return shards, store.stage(f"knn/{vectors.model}", key, lambda: graph(lists()), schema=schemas.KNN)
    stored = _by_shard(store, f"by_shard/{vectors.model}", key, lists)
    return shards, store.stage(f"knn/{vectors.model}", key, lambda: graph(stored.table), schema=schemas.KNN)


def _lists(store: StageStore, asked: _Search, shard_table: DataFrame, key: str) -> Callable[[], DataFrame]:
    """Return how the lists of each shard are made: one cell is searched whole, the lists of many are expanded."""
    sizes = cache(lambda: cell_sizes(shard_table, asked.cells))
    exact = len(asked.cells.centroids) == 1

    def searched() -> DataFrame:
        return knn_stage.partial_lists(
            shard_table, asked.cells, sizes(), nprobe=asked.probing.nprobe, k=asked.k, final=exact
        )  # fmt: skip

    if exact:
        return searched
    stored = _by_shard(store, f"lists/{asked.vectors.model}", key, searched)
    return lambda: expansion.expanded_lists(shard_table, stored.table, asked.cells, sizes(), k=asked.k)


def _by_shard(store: StageStore, name: str, key: str, build: Callable[[], DataFrame]) -> StageResult:
    return store.stage(name, key, build, schema=schemas.LISTS, partition_by=("shard",))


def shard_rows(config: KnnConfig, dimension: int) -> int:
    """Return how many rows, copies included, the task of a shard holds at most, about."""
    if config.shard_items:
        return round(COPIES * config.shard_items)
    return int(_SHARD_BYTES / row_bytes(dimension, config.k))


def shard_count(config: KnnConfig, dimension: int, items: int) -> int:
    """Return how many shards so many distinct vectors are divided into."""
    if config.shard_items:
        return -(-items // config.shard_items)
    rows = shard_rows(config, dimension)
    return 1 if items <= rows else math.ceil(COPIES * items / rows)


def cell_sizes(shard_table: DataFrame, cells: Cells) -> Mapping[int, NDArray[np.int64]]:
    """Collect how many distinct vectors each cell of each shard holds (as many numbers as there are cells)."""
    sizes = {shard: np.zeros(len(cells.in_shard(shard).cells), np.int64) for shard in range(cells.shards)}
    for row in shard_stage.cell_sizes(shard_table).collect():
        sizes[row["shard"]][cells.in_shard(row["shard"]).number[row["cell"]]] = row["rows"]
    return {shard: rows for shard, rows in sizes.items() if rows.sum()} or {0: np.zeros(1, np.int64)}


def _collected(table: DataFrame, dimension: int) -> tuple[NDArray[np.int64], NDArray[np.float16]]:
    """Bring a bounded sample to the driver, sorted by item."""
    rows = table.select("item", "vector").toArrow().combine_chunks().sort_by("item")
    vectors = rows.column("vector").combine_chunks()
    return rows.column("item").to_numpy(), decode(vectors, dimension) if len(rows) else np.empty((0, dimension), "f2")


def _query_shares(rows: int) -> tuple[float, float]:
    """Return which share of the items, by hash, is asked for tuning, and which with those of the audit."""
    asked = min(1.0, (_TUNING_QUERIES + _AUDIT_QUERIES) / rows)
    return asked * _TUNING_QUERIES / (_TUNING_QUERIES + _AUDIT_QUERIES), asked


def _queries(vectors: Vectors, share: float) -> DataFrame:
    return shard_stage.hashed_sample(vectors.table, "item", salt="queries", below=share)


def _truth(vectors: Vectors, k: int) -> DataFrame:
    items, queries = _collected(_queries(vectors, _query_shares(vectors.rows)[1]), vectors.dimension)
    return audit.exact_neighbors(vectors.table, items, queries, k=k)


def _cells(store: StageStore, vectors: Vectors, twins: _Twins, config: KnnConfig, key: str) -> Cells:
    def trained() -> DataFrame:
        distinct = vectors.rows - twins.rows
        wanted = cell_count(distinct)
        share = min(1.0, min(wanted * SAMPLE_PER_CELL, MOST_SAMPLED) / distinct)
        sample = shard_stage.hashed_sample(
            shard_stage.distinct_vectors(vectors.table, twins.table, twin_count=twins.rows),
            "item",
            salt="cells",
            below=share,
        )
        _, points = _collected(sample, vectors.dimension)
        shards = shard_count(config, vectors.dimension, distinct)
        cells = train_cells(points.astype(np.float32), wanted, shards)
        rows = [(int(s), i, c.tobytes()) for i, (s, c) in enumerate(zip(cells.shard, cells.centroids, strict=True))]
        return vectors.table.sparkSession.createDataFrame(rows, schemas.CELLS)

    stored = store.stage(f"cells/{vectors.model}", key, trained, schema=schemas.CELLS).table
    rows = stored.orderBy("cell").collect()
    centroids = np.frombuffer(b"".join(row["centroid"] for row in rows), np.float16).reshape(len(rows), -1)
    return Cells(centroids, np.array([row["shard"] for row in rows], np.int64))


def _choose(known: _Known, target: float, completed: float) -> dict[str, dict[str, float]]:
    vectors, truth = known.vectors, known.truth
    items, queries = _collected(_queries(vectors, _query_shares(vectors.rows)[0]), vectors.dimension)
    asked = vectors.table.sparkSession.createDataFrame([(int(item),) for item in items], "query long")
    lists = truth.join(asked, truth["item"] == asked["query"], "left_semi").select("item", "neighbors").toArrow()
    lists = lists.combine_chunks().sort_by("item")
    neighbors = lists.column("neighbors").combine_chunks()
    owner = np.repeat(np.searchsorted(items, lists.column("item").to_numpy()), np.diff(neighbors.offsets.to_numpy()))
    wanted = neighbors.flatten().to_numpy()
    needed = vectors.table.sparkSession.createDataFrame([(int(item),) for item in np.unique(wanted)], "item long")
    places, found = _collected(vectors.table.join(needed, "item", "left_semi"), vectors.dimension)
    near = found[np.searchsorted(places, wanted)].astype(np.float64)
    first, alone = tuning.choose(
        queries.astype(np.float64), near, owner, known.cells, needed=target, searched=(completed, target)
    )
    return {"first": asdict(first), "alone": asdict(alone)}


def _audited(vectors: Vectors, graph: DataFrame, truth: DataFrame) -> dict[str, float]:
    """Compare the graph with the exact answers that tuning has not seen."""
    unseen = shard_stage.hashed_sample(truth, "item", salt="queries", above=_query_shares(vectors.rows)[0], below=1.0)
    row = audit.recall_figures(graph, unseen).collect()[0]
    return asdict(Recall.of(float(row["mean"] or 0), float(row["deviation"] or 0), int(row["queries"])))
