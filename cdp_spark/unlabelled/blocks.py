"""Rows about items -> blocks of near items, each with the rows of its own items and of its halo.

In: any tables about items, and the members of the blocks. Out: in a worker, one block at a time. Blocks decide speed
and memory, never results.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from cdp_spark.base import schemas
from cdp_spark.base.numeric.unit_vectors import decode
from cdp_spark.knn.kernels.neighbor_lists import flat
from cdp_spark.pairs.block_join import ordered_lists
from cdp_spark.pairs.kernels.neighborhoods import Neighborhoods
from cdp_spark.spark.placement import placement_keys

Longs = NDArray[np.int64]
Doubles = NDArray[np.float64]

_BROADCAST_ITEMS = 2_000_000
_NUMBERS = 1 << 16
"""A kind's rows may be numbered up to this, by model or subset."""


@dataclass(frozen=True)
class Blocks:
    """Which items meet in a task.

    Attributes
    ----------
    members : DataFrame (block: int, item: long, own: boolean)
        Own items of each block, and its halo. Stored.
    count, item_count : int
        Blocks, and items of the whole set.
    """

    members: DataFrame
    count: int
    item_count: int


@dataclass(frozen=True)
class Sent:
    """A table that is sent to blocks.

    Attributes
    ----------
    table : DataFrame
        item, and any of: number (of a model or subset), neighbors, similarities, payload.
    own_only : bool
        Whether a block gets the rows of its own items alone.
    """

    table: DataFrame
    own_only: bool = False


def arrivals(blocks: Blocks, sent: Sequence[Sent]) -> DataFrame:
    """Send each block the rows of its items.

    Parameters
    ----------
    blocks : Blocks
    sent : sequence of Sent
        A table's index in it is its *kind* in :class:`Arrived`.

    Returns
    -------
    DataFrame (placement: int, block: int, own: boolean, kind: int, item: long, neighbors, similarities, payload)
        On Spark each block has its own partition; on Sail, which hashes otherwise, blocks may share one. Lazy.
    """
    targets = blocks.members.groupBy("item").agg(F.collect_list(F.struct("block", "own")).alias("targets"))
    if blocks.item_count <= _BROADCAST_ITEMS:
        targets = F.broadcast(targets)
    rows = reduce(DataFrame.unionAll, [_uniform(each, kind) for kind, each in enumerate(sent)])
    reached = rows.join(targets, "item", "inner").select("*", F.explode("targets").alias("target"))
    wanted = reached.where(F.col("target.own") | ~F.col("own_only"))
    key = F.element_at(F.lit(placement_keys(blocks.count)), F.col("target.block") + 1).alias("placement")
    columns = ("kind", "item", "neighbors", "similarities", "payload")
    return wanted.select(key, "target.block", "target.own", *columns).repartition(blocks.count, "placement")


def _uniform(sent: Sent, kind: int) -> DataFrame:
    """Give a table the columns of all."""
    # Empty and not null: see map_batches.
    absent: dict[str, Column] = {
        "number": F.lit(0), "neighbors": F.array().cast(schemas.LONGS),
        "similarities": F.array().cast(schemas.FLOATS), "payload": F.lit(bytearray()),
    }  # fmt: skip
    given = {name: F.col(name) if name in sent.table.columns else column for name, column in absent.items()}
    number = (F.lit(kind * _NUMBERS) + given.pop("number")).cast("int")
    columns = [column.alias(name) for name, column in given.items()]
    return sent.table.select("item", number.alias("kind"), F.lit(sent.own_only).alias("own_only"), *columns)


def by_block(batches: Iterator[pa.RecordBatch]) -> Iterator[Arrived]:
    """Gather the rows of a partition, and yield one block at a time."""
    blocks: dict[int, Arrived] = {}
    for batch in batches:
        for number, rows in _split(batch, "block"):
            blocks.setdefault(number, Arrived(number)).add(rows)
    while blocks:
        yield blocks.pop(min(blocks))


def _split(batch: pa.RecordBatch, column: str) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Divide rows by a column of numbers."""
    values = batch.column(column).to_numpy()
    numbers = np.unique(values).tolist()
    for number in numbers:
        # Most batches have rows of one kind; a filter would copy them all.
        yield number, batch if len(numbers) == 1 else batch.filter(pa.array(values == number))


class Arrived:
    """The rows of one block, by kind and number."""

    def __init__(self, block: int) -> None:
        self.block = block
        self._rows: dict[tuple[int, int], list[pa.RecordBatch]] = {}

    def add(self, rows: pa.RecordBatch) -> None:
        """Take rows that have arrived."""
        for kind, same_kind in _split(rows, "kind"):
            self._rows.setdefault(divmod(kind, _NUMBERS), []).append(same_kind)

    def has(self, kind: int, number: int = 0) -> bool:
        """Tell whether any row of a kind has come."""
        return (kind, number) in self._rows

    def numbers(self, kind: int) -> list[int]:
        """Return the numbers of which rows of a kind have come, rising."""
        return sorted(number for known, number in self._rows if known == kind)

    def table(self, kind: int, number: int = 0) -> pa.Table:
        """Return the rows of a kind, of which there are some, in the order of the items."""
        table = pa.Table.from_batches(self._rows[kind, number]).combine_chunks()
        order = np.argsort(table.column("item").to_numpy())
        return table if (np.diff(order) == 1).all() else table.take(pa.array(order)).combine_chunks()

    def items(self, kind: int, number: int = 0) -> tuple[Longs, NDArray[np.bool_]]:
        """Return the items that have a row of a kind, rising, and which are the block's own."""
        batches = self._rows.get((kind, number), [])
        none: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
        items = np.concatenate(none + [batch.column("item").to_numpy() for batch in batches])
        own = np.concatenate(
            [np.empty(0, bool)] + [batch.column("own").to_numpy(zero_copy_only=False) for batch in batches]
        )
        order = np.argsort(items)
        return items[order], own[order].astype(bool)

    def lists(self, kind: int, number: int, items: Longs) -> Neighborhoods:
        """Return the lists of items; empty where an item has no row."""
        if not self.has(kind, number):
            return Neighborhoods(np.zeros(len(items) + 1, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))
        table = pa.Table.from_batches(self._rows[kind, number]).combine_chunks()
        known = table.column("item").to_numpy()
        order = np.argsort(known)
        lists = ordered_lists(table, order)
        lengths = np.zeros(len(items), np.int64)
        lengths[np.searchsorted(items, known[order])] = np.diff(lists.offsets)
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        return Neighborhoods(offsets, lists.neighbors, lists.similarities)

    def vectors(self, kind: int, number: int, dimension: int) -> NDArray[np.float16]:
        """Return the vectors of the items that have one, in their order; the rows are not kept."""
        rows = self._rows.pop((kind, number))
        table = pa.Table.from_batches(rows).combine_chunks()
        order = np.argsort(table.column("item").to_numpy())
        return decode(table.column("payload").chunk(0), dimension)[order]

    def longs(self, kind: int, number: int, items: Longs, width: int) -> Longs:
        """Return lists of one length as rows; 0 where an item has none."""
        rows = np.zeros((len(items), width), np.int64)
        if self.has(kind, number):
            table = self.table(kind, number)
            values = table.column("neighbors").chunk(0).flatten().to_numpy()
            rows[np.searchsorted(items, table.column("item").to_numpy())] = values.reshape(-1, width)
        return rows

    def doubles(self, kind: int, number: int, items: Longs, width: int) -> Doubles:
        """Return rows of float64; 0 where an item has none."""
        rows = np.zeros((len(items), width), np.float64)
        if self.has(kind, number):
            table = self.table(kind, number)
            known = table.column("item").to_numpy()
            rows[np.searchsorted(items, known)] = values_of(table.column("payload"), np.float64).reshape(-1, width)
        return rows


def flat_lists(rows: pa.RecordBatch) -> Neighborhoods:
    """Return the columns neighbors and similarities of some rows."""
    offsets, neighbors = flat(rows.column("neighbors"))
    similarities = rows.column("similarities").flatten().to_numpy()
    return Neighborhoods(offsets, neighbors.to_numpy(), similarities)


def values_of(column: pa.ChunkedArray | pa.Array, kind: type) -> NDArray[Any]:
    """Return all values of a binary column, one after the other."""
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    pieces: list[NDArray[Any]] = [np.empty(0, kind)]
    for chunk in chunks:
        wide = pa.types.is_large_binary(chunk.type)
        _, ends, data = chunk.buffers()
        offsets = np.frombuffer(ends, np.int64 if wide else np.int32)
        first, last = offsets[chunk.offset], offsets[chunk.offset + len(chunk)]
        pieces.append(np.frombuffer(data or b"", np.uint8)[first:last].view(kind))
    return np.concatenate(pieces)


def binary(values: NDArray[Any], lengths: Longs) -> pa.BinaryArray:
    """Return rows, shape (n, d), as a binary column whose row ``i`` has the next ``lengths[i]`` of them."""
    width = values.shape[1] * values.itemsize
    offsets = np.concatenate([[0], np.cumsum(lengths)]) * width
    data = pa.py_buffer(np.ascontiguousarray(values).tobytes())
    ends = pa.array(offsets.astype(np.int32))
    return pa.BinaryArray.from_buffers(pa.binary(), len(lengths), [None, ends.buffers()[1], data])
