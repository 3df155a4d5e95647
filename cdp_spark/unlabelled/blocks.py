"""Rows about items -> blocks of near items, each with the rows of its own items and of its halo.

In: any tables about items, and the members of the blocks. Out: in a worker, one block at a time. Blocks decide speed
and memory, never results.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from cdp_spark.base import schemas
from cdp_spark.base.compiled import read_only
from cdp_spark.base.numeric.dense_numbers import positions
from cdp_spark.knn.kernels.neighbor_lists import flat
from cdp_spark.pairs.kernels.neighborhoods import Neighborhoods
from cdp_spark.spark.differences import is_sail
from cdp_spark.spark.placement import placement_keys
from cdp_spark.unlabelled.kernels.copied_rows import copy_rows

Longs = NDArray[np.int64]
Doubles = NDArray[np.float64]

_BROADCAST_ITEMS = 2_000_000
HELD_BYTES = 2 << 30
"""Bytes that are sent at once on Sail, which holds about twice as many while it sends them."""
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
    rows : int
        Number of members; 0: few.
    """

    members: DataFrame
    count: int
    item_count: int
    rows: int = 0

    def inside(self, sample: DataFrame) -> Blocks:
        """Keep the members that are in a table (item: long)."""
        return replace(self, members=self.members.join(F.broadcast(sample.select("item")), "item", "left_semi"), rows=0)

    def rounds(self, member_bytes: int) -> list[Blocks]:
        """Divide the blocks where the engine would hold all rows that are sent to them at once.

        Parameters
        ----------
        member_bytes : int
            Bytes that are sent for each member.
        """
        if not is_sail(self.members.sparkSession):
            return [self]
        number = max(1, min(self.count, -(-self.rows * member_bytes // HELD_BYTES)))
        ends = [self.count * each // number for each in range(number + 1)]
        block = F.col("block")
        some = [self.members.where((block >= low) & (block < high)) for low, high in pairwise(ends)]
        return [replace(self, members=each) for each in some] if number > 1 else [self]


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
        block, kind = (batch.column(name).to_numpy().astype(np.int64) for name in ("block", "kind"))
        keys, first, counts = np.unique(block << 32 | kind, return_index=True, return_counts=True)
        order = np.argsort(block << 32 | kind, kind="stable") if len(keys) > 1 else np.arange(batch.num_rows)
        for number, rows in zip(first, np.split(order, np.cumsum(counts)[:-1]), strict=True):
            blocks.setdefault(int(block[number]), Arrived(int(block[number]))).add(int(kind[number]), batch, rows)
    while blocks:
        yield blocks.pop(min(blocks))


class Arrived:
    """The rows of one block, by kind and number: batches, and which rows of each; rows are copied once, when read."""

    def __init__(self, block: int) -> None:
        self.block = block
        self._rows: dict[tuple[int, int], list[tuple[pa.RecordBatch, Longs]]] = {}

    def add(self, kind: int, batch: pa.RecordBatch, rows: Longs) -> None:
        """Take some rows of a batch that has arrived."""
        self._rows.setdefault(divmod(kind, _NUMBERS), []).append((batch, rows))

    def numbers(self, kind: int) -> list[int]:
        """Return the numbers of which rows of a kind have come, rising."""
        return sorted(number for known, number in self._rows if known == kind)

    def items(self, kind: int, number: int = 0) -> tuple[Longs, NDArray[np.bool_]]:
        """Return the items that have a row of a kind, rising, and which are the block's own."""
        items, own = [np.empty(0, np.int64)], [np.empty(0, bool)]
        for batch, rows in self._rows.get((kind, number), []):
            items.append(batch.column("item").to_numpy()[rows])
            own.append(batch.column("own").to_numpy(zero_copy_only=False)[rows].astype(bool))
        order = np.argsort(np.concatenate(items))
        return np.concatenate(items)[order], np.concatenate(own)[order]

    def lists(self, kind: int, number: int, items: Longs) -> Neighborhoods:
        """Return the lists of items; empty where an item has no row."""
        offsets, neighbors = self._copied((kind, number), "neighbors", items, np.int64)
        _, similarities = self._copied((kind, number), "similarities", items, np.float32)
        return Neighborhoods(offsets, neighbors, similarities)

    def vectors(self, kind: int, number: int, dimension: int) -> NDArray[np.float16]:
        """Return the vectors of the items that have one, in their order; the rows are not kept."""
        values = self.values(kind, number, np.float16)
        del self._rows[kind, number]
        return values.reshape(-1, dimension)

    def values(self, kind: int, number: int, dtype: type) -> NDArray[Any]:
        """Return the payloads of the items that have one, in their order, one after the other."""
        _, data = self._copied((kind, number), "payload", self.items(kind, number)[0], np.uint8)
        return data.view(dtype)

    def longs(self, kind: int, number: int, items: Longs, width: int) -> Longs:
        """Return lists of one length as rows; 0 where an item has none."""
        offsets, values = self._copied((kind, number), "neighbors", items, np.int64)
        return _as_rows(offsets, values, width)

    def doubles(self, kind: int, number: int, items: Longs, width: int) -> Doubles:
        """Return rows of float64; 0 where an item has none."""
        offsets, data = self._copied((kind, number), "payload", items, np.uint8)
        return _as_rows(offsets, data.view(np.float64), width)

    def _copied(self, kind: tuple[int, int], column: str, items: Longs, dtype: type) -> tuple[Longs, NDArray[Any]]:
        """Copy a column of lists or bytes into the order of the items; an item without a row has none."""
        lengths, pieces = np.zeros(len(items), np.int64), []
        for batch, rows in self._rows.get(kind, []):
            offsets, values = _flat(batch.column(column))
            at = positions(items, batch.column("item").to_numpy()[rows])
            lengths[at] = offsets[rows + 1] - offsets[rows]
            pieces.append((offsets, values, rows, at))
        starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        out: NDArray[Any] = np.empty(int(starts[-1]), dtype)
        for offsets, values, rows, at in pieces:
            copy_rows(offsets, values, rows, starts[at], out)
        return starts, out


def _as_rows(offsets: Longs, values: NDArray[Any], width: int) -> NDArray[Any]:
    rows = np.zeros((len(offsets) - 1, width), values.dtype)
    rows[np.diff(offsets) > 0] = values.reshape(-1, width)
    return rows


def _flat(column: pa.Array) -> tuple[Longs, NDArray[Any]]:
    """Return offsets and values of a column of lists or bytes, without copying the values."""
    if not (pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type)):
        return column.offsets.to_numpy().astype(np.int64), read_only(column.values.to_numpy())
    _, ends, data = column.buffers()
    offsets = np.frombuffer(ends, np.int64 if pa.types.is_large_binary(column.type) else np.int32)
    chosen = offsets[column.offset : column.offset + len(column) + 1]
    return chosen.astype(np.int64), np.frombuffer(data or b"", np.uint8)


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
