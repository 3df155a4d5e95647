"""The block join, durable: blocks of near items, the members of each, and every candidate pair computed once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from pyspark.sql import functions as F
from pyspark.sql.types import IntegerType, LongType, StructField, StructType

from cdp_spark.config.sections import KnnConfig, fingerprint
from cdp_spark.knn.flow import Graph
from cdp_spark.knn.kernels.train_cells import pack
from cdp_spark.pairs import block_join as stage
from cdp_spark.pairs.block_join import Join
from cdp_spark.runs import register
from cdp_spark.runs.stage_store import StageResult, StageStore

_BLOCK_BYTES = 300 << 20
"""Bytes of a block's own vectors and lists; with its halo and its pairs, a task stays under 2 GB."""

_HOMES = StructType([StructField("item", LongType()), StructField("block", IntegerType())])


def joined_pairs(
    store: StageStore, name: register.Stage | str, graphs: Mapping[str, Graph], knn: KnnConfig, join: Join
) -> StageResult:
    """Apply a function to every candidate pair of the graphs (base first), and store the rows under ``name``."""
    chosen = list(graphs.values())
    base, rows = chosen[0], chosen[0].vectors.rows
    keys = [graph.fingerprint for graph in chosen]
    share = _item_bytes(chosen, knn.k)
    block_items = int(np.clip(_BLOCK_BYTES // share, 10_000, 1_000_000))
    block_key = fingerprint("blocks", register.BLOCKS.version, keys[0], block_items)
    homes = store.stage(
        register.BLOCKS, block_key,
        lambda: stage.homes(base.shards, _block_of_cell(base, -(-rows // block_items)), block_items=2 * block_items),
        schema=_HOMES,
    )  # fmt: skip
    counted = store.facts(
        register.BLOCK_COUNT, block_key, lambda: {"blocks": homes.table.agg(F.max("block")).collect()[0][0]}
    )
    blocks = int(counted["blocks"] or 0) + 1
    linked = chosen if join.candidates == "all" else chosen[:1]
    members = store.stage(
        register.MEMBERS,
        fingerprint(block_key, keys[: len(linked)]),
        lambda: stage.block_members(homes.table, [graph.table for graph in linked], blocks=blocks),
        schema=stage.MEMBERS,
    )
    models = [stage.ModelTables(graph.table, graph.vectors.table, graph.vectors.dimension) for graph in chosen]
    return store.stage(
        name,
        fingerprint("pairs", register.BLOCKS.version, keys, join.feature_set, join.candidates, join.fingerprint),
        lambda: stage.joined_pairs(members.table, models, join, stage.Extent(blocks, rows, knn.k)),
        schema=join.schema,
    )  # fmt: skip


def _item_bytes(graphs: Sequence[Graph], k: int) -> int:
    return sum(2 * graph.vectors.dimension + 12 * k for graph in graphs)


def _block_of_cell(base: Graph, blocks: int) -> list[int]:
    cells = len(base.cells.centroids)
    wanted = min(blocks, cells)
    # Cells have about equal weight; a block that still gets too many items is divided.
    packed = pack(base.cells.centroids.astype(np.float32), np.ones(cells, np.int64), wanted)
    return [int(block) for block in packed]
