"""The KNN graph of one model: twins, cells, shards, search and audit; each stage is durable."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import DataFrame

from cdp_spark.base import schemas
from cdp_spark.config.sections import KnnConfig, fingerprint
from cdp_spark.intake.flow import Vectors
from cdp_spark.knn import choose_search, search_shards
from cdp_spark.knn import shards as shard_stage
from cdp_spark.knn.kernels.cells import COPIES, Cells, cell_count, row_bytes
from cdp_spark.knn.kernels.choose_probing import Probing
from cdp_spark.knn.kernels.train_cells import MOST_SAMPLED, SAMPLE_PER_CELL, train_cells
from cdp_spark.runs import register
from cdp_spark.runs.stage_store import StageResult, StageStore
from cdp_spark.spark.hashed_sample import hashed_sample
from cdp_spark.spark.keyed_table import KeyedTable
from cdp_spark.spark.session import cores

_ROUNDS = 3
_SHARD_BYTES = 1.75e9
"""Bytes of a shard in a task that expands its lists; determines the number of shards."""


@dataclass(frozen=True)
class Graph(KeyedTable):
    """A model's KNN graph (``schemas.KNN``) and its recall."""

    shards: DataFrame
    recall: dict[str, object]
    cells: Cells
    vectors: Vectors


def knn_graph(store: StageStore, vectors: Vectors, config: KnnConfig) -> Graph:
    """Make or load the KNN graph of one model; an approximate graph gets its recall measured."""
    key = fingerprint(register.KNN.version, config, vectors.fingerprint)
    twins = store.stage(
        register.TWINS.of(vectors.model), key, lambda: shard_stage.twins(vectors.table), schema=_TWINS_SCHEMA
    )
    if vectors.rows - twins.rows <= max(config.exact_below, 1):
        return _exact(store, vectors, twins, config, key)
    return _approximate(store, vectors, twins, config, key)


@dataclass(frozen=True)
class _Search:
    """The vectors to search, and the way of searching."""

    vectors: Vectors
    twins: KeyedTable
    cells: Cells
    probing: Probing
    k: int


_TWINS_SCHEMA = schemas.table_of(schemas.SHARDS, "item", "twin_of")


def _exact(store: StageStore, vectors: Vectors, twins: KeyedTable, config: KnnConfig, key: str) -> Graph:
    one_cell = Cells(np.zeros((1, vectors.dimension), np.float16), np.zeros(1, np.int64))
    search = _Search(vectors, twins, one_cell, Probing(0.0, 1), config.k)
    shards = _placed(store, search, key)
    graph = _searched(store, search, shards, key)
    measured = {"method": "exact", "recall": 1.0, "low": 1.0, "high": 1.0, "queries": vectors.rows}
    return Graph(graph.table, graph.rows, fingerprint(key, "exact"), shards.table, measured, one_cell, vectors)


def _approximate(store: StageStore, vectors: Vectors, twins: KeyedTable, config: KnnConfig, key: str) -> Graph:
    k, target = config.k, config.recall_target
    build = partial(choose_search.true_neighbors, vectors, k)
    truth = store.stage(register.TRUTH.of(vectors.model), key, build, schema=schemas.KNN).table
    cells = _cells(store, vectors, twins, config, key)
    known = choose_search.Known(vectors, twins.table, truth, cells, k, target, key)
    alone = choose_search.alone(store, known)
    search = _Search(vectors, twins, cells, alone, k)
    placed = _placed(store, search, key)
    search = replace(search, probing=choose_search.piloted(store, known, placed.table, alone))
    for number in range(_ROUNDS):
        if number:
            search = replace(search, probing=choose_search.following(search.probing, alone, cells))
            placed = _placed(store, search, key)
        round_key = fingerprint(key, asdict(search.probing))
        graph = _searched(store, search, placed, round_key)
        figures = store.facts(
            register.RECALL.of(vectors.model), round_key, partial(choose_search.audited, vectors, graph.table, truth)
        )
        if figures["low"] >= target or figures["recall"] == 1.0:
            break  # all were found: only more queries could raise the lower end
    measured = {
        "method": "ivf", **figures, "target": target, "met": figures["low"] >= target, "rounds": number + 1,
        "shards": cells.shards, "cells": len(cells.centroids), **asdict(search.probing),
    }  # fmt: skip
    return Graph(graph.table, graph.rows, round_key, placed.table, measured, cells, vectors)


def _placed(store: StageStore, asked: _Search, key: str) -> StageResult:
    """Write the shards for one spill."""
    return store.stage(
        register.SHARDS.of(asked.vectors.model),
        fingerprint(key, asked.probing.spill),
        lambda: shard_stage.shards(
            asked.vectors.table, asked.twins, asked.cells, probing=asked.probing, k=asked.k
        ),
        schema=schemas.SHARDS,
        partition_by=("shard",),
    )  # fmt: skip


def _searched(store: StageStore, asked: _Search, placed: StageResult, key: str) -> StageResult:
    """Write the graph for one probing; first write the lists of each shard if they are read twice."""
    vectors, twins, cells, k = asked.vectors, asked.twins, asked.cells, asked.k

    def graph(of_shards: DataFrame) -> DataFrame:
        return search_shards.knn_graph(of_shards, placed.table, k=k, shards=cells.shards, twin_count=twins.rows)

    lists = partial(_lists, store, asked, placed.table)
    if twins.rows == 0 and cells.shards == 1:
        return store.stage(register.KNN.of(vectors.model), key, lambda: graph(lists()), schema=schemas.KNN)
    stored = store.stage(register.BY_SHARD.of(vectors.model), key, lists, schema=schemas.LISTS, partition_by=("shard",))
    return store.stage(register.KNN.of(vectors.model), key, lambda: graph(stored.table), schema=schemas.KNN)


def _lists(store: StageStore, asked: _Search, shard_table: DataFrame) -> DataFrame:
    """Return the lists of each shard: search a single cell completely, or the nearest of many."""
    cells, k, at_once = asked.cells, asked.k, cores(store.spark) or 1
    sizes = cell_sizes(shard_table, cells)
    if len(cells.centroids) == 1:
        rows = int(sizes[0].sum())
        return search_shards.exact_lists(shard_table, rows=rows, dimension=asked.vectors.dimension, k=k, cores=at_once)
    search = search_shards.Search(asked.probing.nprobe, k, at_once)
    return search_shards.expanded_lists(shard_table, cells, sizes, search)


def shard_rows(config: KnnConfig, dimension: int) -> int:
    """Return the approximate largest number of rows, copies included, in the task of a shard."""
    if config.shard_items:
        return round(COPIES * config.shard_items)
    return int(_SHARD_BYTES / row_bytes(dimension, config.k))


def shard_count(config: KnnConfig, dimension: int, items: int) -> int:
    """Return the number of shards for a number of distinct vectors."""
    if config.shard_items:
        return -(-items // config.shard_items)
    rows = shard_rows(config, dimension)
    return 1 if items <= rows else math.ceil(COPIES * items / rows)


def cell_sizes(shard_table: DataFrame, cells: Cells) -> Mapping[int, NDArray[np.int64]]:
    """Collect the number of distinct vectors in each cell of each shard."""
    sizes = {shard: np.zeros(len(cells.in_shard(shard).cells), np.int64) for shard in range(cells.shards)}
    for row in shard_stage.cell_sizes(shard_table).collect():
        sizes[row["shard"]][cells.in_shard(row["shard"]).number[row["cell"]]] = row["rows"]
    return {shard: rows for shard, rows in sizes.items() if rows.sum()} or {0: np.zeros(1, np.int64)}


def _cells(store: StageStore, vectors: Vectors, twins: KeyedTable, config: KnnConfig, key: str) -> Cells:
    def trained() -> DataFrame:
        distinct = vectors.rows - twins.rows
        wanted = cell_count(distinct)
        share = min(1.0, min(wanted * SAMPLE_PER_CELL, MOST_SAMPLED) / distinct)
        sample = hashed_sample(
            shard_stage.distinct_vectors(vectors.table, twins.table, twin_count=twins.rows),
            "item",
            salt="cells",
            below=share,
        )
        _, points = choose_search.collected(sample, vectors.dimension)
        shards = shard_count(config, vectors.dimension, distinct)
        cells = train_cells(points.astype(np.float32), wanted, shards)
        rows = [(int(s), i, c.tobytes()) for i, (s, c) in enumerate(zip(cells.shard, cells.centroids, strict=True))]
        return vectors.table.sparkSession.createDataFrame(rows, schemas.CELLS)

    stored = store.stage(register.CELLS.of(vectors.model), key, trained, schema=schemas.CELLS).table
    rows = stored.orderBy("cell").collect()
    centroids = np.frombuffer(b"".join(row["centroid"] for row in rows), np.float16).reshape(len(rows), -1)
    return Cells(centroids, np.array([row["shard"] for row in rows], np.int64))
