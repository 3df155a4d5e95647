"""knn, vectors -> pairs: the evidence of all models on each candidate pair, without moving vectors per pair.

The block join: items are cut into blocks of near items (by the base's cells). A block gets its own items and the
foreign ones that its candidate edges lead to (the halo), once each, with the lists and vectors of all models; each pair
is computed in the one block that owns it (``kernels.neighborhoods.owned_pairs``). Blocks affect speed and memory, never
the result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import BooleanType, IntegerType, LongType, StructField, StructType

from cdp_spark.base import schemas
from cdp_spark.base.numeric.unit_vectors import decode
from cdp_spark.knn.kernels.neighbor_lists import flat
from cdp_spark.pairs.kernels.features import FeatureSet, pair_features
from cdp_spark.pairs.kernels.neighborhoods import Neighborhoods, PairBlock, owned_pairs
from cdp_spark.spark.arrow import map_batches
from cdp_spark.spark.placement import placement_keys

Candidates = Literal["base", "all"]
PairFunction = Callable[[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]], pa.RecordBatch]
"""Turns src, dst and features, shape (n, f), of some pairs into rows."""

MEMBERS = StructType(
    [StructField("block", IntegerType()), StructField("item", LongType()), StructField("own", BooleanType())]
)
"""The items of each block, and whether they are its own."""

_BROADCAST_ITEMS = 2_000_000
_BATCH_PAIRS = 65_536


@dataclass(frozen=True)
class ModelTables:
    """Tables that the join reads for one model: its KNN graph, and one vector per item (item: long, vector: binary)."""

    knn: DataFrame
    vectors: DataFrame
    dimension: int


@dataclass(frozen=True)
class Join:
    """What to compute for which pairs.

    Attributes
    ----------
    feature_set : {"code", "paper", "rich"}
        See ``pairs.kernels.features``.
    candidates : {"base", "all"}
        Pairs of the base's graph, as published, or of all models' graphs.
    function : callable
        Called in the worker with pairs and their features; its batches have the columns of ``schema``.
    schema : StructType
    fingerprint : str
        Fingerprint of everything that the function depends on.
    """

    feature_set: FeatureSet
    candidates: Candidates
    function: PairFunction
    schema: StructType
    fingerprint: str


@dataclass(frozen=True)
class Extent:
    """Size of a join: its blocks, its items, and the neighbours in a full list."""

    blocks: int
    items: int
    k: int


def homes(base_shards: DataFrame, block_of_cell: Sequence[int], *, block_items: int) -> DataFrame:
    """Give every item its block.

    Parameters
    ----------
    base_shards : DataFrame (``schemas.SHARDS``)
    block_of_cell : sequence of int
        Block of each of the base's cells, so that near items share a block.
    block_items : int
        Largest number of items; a block with more, such as a cell of many equal vectors, is divided.

    Returns
    -------
    DataFrame (item: long, block: int)
        One row per item. Runs one small job to count.
    """
    group = F.element_at(F.lit(list(block_of_cell)), F.col("cell") + 1)
    grouped = base_shards.where("shard = home").select("item", group.alias("group"))
    counts = {row["group"]: row["count"] for row in grouped.groupBy("group").count().collect()}
    blocks_of_group = [max(1, -(-counts.get(number, 0) // block_items)) for number in range(max(block_of_cell) + 1)]
    first = np.concatenate([[0], np.cumsum(blocks_of_group)]).tolist()
    position = F.col("group") + 1
    offset = F.pmod(F.col("item"), F.element_at(F.lit(blocks_of_group), position))
    return grouped.select("item", (F.element_at(F.lit(first), position) + offset).cast("int").alias("block"))


def block_members(item_blocks: DataFrame, graphs: Sequence[DataFrame], *, blocks: int) -> DataFrame:
    """List the items that each block needs: its own items and the targets of their candidate edges.

    Parameters
    ----------
    item_blocks : DataFrame (item: long, block: int)
    graphs : sequence of DataFrame (``schemas.KNN``)
        Graphs whose edges are candidates.
    blocks : int

    Returns
    -------
    DataFrame (``MEMBERS``)
        One row per block and item in it. Lazy.
    """
    edges = [graph.select("item", "neighbors").join(item_blocks, "item", "inner") for graph in graphs]
    lists = reduce(DataFrame.unionByName, edges).repartition(blocks, "block")

    def gather(batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        own: dict[int, list[NDArray[np.int64]]] = {}
        reached: dict[int, list[NDArray[np.int64]]] = {}
        for batch in batches:
            block = batch.column("block").to_numpy()
            offsets, neighbors = flat(batch.column("neighbors"))
            block_of_edge = np.repeat(block, np.diff(offsets))
            for number in np.unique(block).tolist():
                own.setdefault(number, []).append(batch.column("item").to_numpy()[block == number])
                reached.setdefault(number, []).append(neighbors.to_numpy()[block_of_edge == number])
        for number, arrays in own.items():
            mine = np.unique(np.concatenate(arrays))
            halo = np.setdiff1d(np.concatenate(reached[number]), mine)
            items = np.concatenate([mine, halo])
            yield pa.RecordBatch.from_arrays(
                [
                    pa.array(np.full(len(items), number, np.int32)),
                    pa.array(items),
                    pa.array(np.arange(len(items)) < len(mine)),
                ],
                names=MEMBERS.names,
            )

    return map_batches(lists.select("block", "item", "neighbors"), gather, MEMBERS)


def joined_pairs(members: DataFrame, models: Sequence[ModelTables], join: Join, extent: Extent) -> DataFrame:
    """Compute the features of every candidate pair once, and apply a function to them.

    Parameters
    ----------
    members : DataFrame (``MEMBERS``)
        Stored, because it is read for every model.
    models : sequence of ModelTables
        Base first.
    join : Join
    extent : Extent

    Returns
    -------
    DataFrame (``join.schema``)
        At most N * k rows (times the models, for ``all``), src < dst. Lazy.
    """
    feature_set, candidates, function, k = join.feature_set, join.candidates, join.function, extent.k
    dimensions = [model.dimension for model in models]
    arrived = _arrivals(members, models, extent, candidates)

    def compute(batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        for arrived in _by_block(batches):
            block = arrived.block(dimensions, 1 if candidates == "base" else len(dimensions))
            features = pair_features(block, feature_set, k)
            ends = block.items[block.first], block.items[block.second]
            src, dst = np.minimum(*ends), np.maximum(*ends)
            for start in range(0, len(src), _BATCH_PAIRS):
                batch = slice(start, start + _BATCH_PAIRS)
                yield function(src[batch], dst[batch], features[batch])

    return map_batches(arrived, compute, join.schema)


def _arrivals(members: DataFrame, models: Sequence[ModelTables], extent: Extent, candidates: Candidates) -> DataFrame:
    """Send each block the lists and vectors of its items: a row per item, model and kind. ``place`` names the block.

    On Spark each block has its own partition; Sail hashes differently, and blocks may share one.
    """
    key = F.element_at(F.lit(placement_keys(extent.blocks)), F.col("block") + 1)
    targets = members.groupBy("item").agg(F.collect_list(F.struct(key.alias("place"), "own")).alias("targets"))
    if extent.items <= _BROADCAST_ITEMS:
        targets = F.broadcast(targets)

    def sent(table: DataFrame, kind: int, *columns: Column) -> DataFrame:
        reached = table.join(targets, "item", "inner").select("*", F.explode("targets").alias("target"))
        return reached.select(F.col("target.place"), F.col("target.own"), F.lit(kind).alias("kind"), "item", *columns)

    # Empty instead of null: see map_batches.
    no_bytes, no_list = F.lit(b""), F.array()
    tables = []
    for number, model in enumerate(models):
        lists = F.col("neighbors"), F.col("similarities"), no_bytes.alias("vector")
        tables.append(sent(model.knn, 2 * number, *lists))
        # The base's similarity of a base pair is that of its edge.
        if number or candidates == "all":
            nothing = no_list.cast(schemas.LONGS).alias("neighbors"), no_list.cast(schemas.FLOATS).alias("similarities")
            tables.append(sent(model.vectors, 2 * number + 1, *nothing, F.col("vector")))
    return reduce(DataFrame.unionAll, tables).repartition(extent.blocks, "place")


def ordered_lists(table: pa.Table, order: NDArray[np.int64]) -> Neighborhoods:
    """Take the lists of rows (neighbors, similarities; one chunk) in another order."""
    offsets, neighbors = flat(table.column("neighbors").chunk(0))
    similarities = table.column("similarities").chunk(0).flatten().to_numpy()
    return Neighborhoods.ordered(order, offsets, neighbors.to_numpy(), similarities)


def ordered_vectors(table: pa.Table, dimension: int) -> NDArray[np.float16]:
    """Take the vectors of rows (item, vector; one chunk) in the order of the items."""
    order = np.argsort(table.column("item").to_numpy())
    return decode(table.column("vector").chunk(0), dimension)[order]


def _by_block(batches: Iterator[pa.RecordBatch]) -> Iterator[_Arrived]:
    """Gather the rows of a partition, and yield each block after the one before it is used."""
    blocks: dict[int, _Arrived] = {}
    for batch in batches:
        for block, rows in _split(batch, "place"):
            blocks.setdefault(block, _Arrived()).add(rows)
    while blocks:
        yield blocks.pop(next(iter(blocks)))


def _split(batch: pa.RecordBatch, column: str) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Divide rows by a column of numbers."""
    for number in pa.compute.unique(batch.column(column)).to_pylist():
        yield number, batch.filter(pa.compute.equal(batch.column(column), number))


class _Arrived:
    """The rows of one block, by kind."""

    def __init__(self) -> None:
        self._rows: dict[int, list[pa.RecordBatch]] = {}

    def add(self, rows: pa.RecordBatch) -> None:
        """Take rows that have arrived."""
        for kind, of_kind in _split(rows, "kind"):
            self._rows.setdefault(kind, []).append(of_kind)

    def block(self, dimensions: Sequence[int], candidate_graphs: int) -> PairBlock:
        """Put the rows in order of the items."""
        graphs = []
        for model in range(len(dimensions)):
            table = pa.Table.from_batches(self._rows.pop(2 * model)).combine_chunks()
            order = np.argsort(table.column("item").to_numpy())
            if model == 0:
                known, own = (table.column(name).to_numpy()[order] for name in ("item", "own"))
            graphs.append(ordered_lists(table, order))
        first, second = owned_pairs(known, own, graphs[:candidate_graphs])

        def vectors(model: int) -> NDArray[np.float16] | None:
            rows = self._rows.pop(2 * model + 1, None)
            if rows is None:
                return None
            return ordered_vectors(pa.Table.from_batches(rows).combine_chunks(), dimensions[model])

        return PairBlock(known, graphs, vectors, first, second)
