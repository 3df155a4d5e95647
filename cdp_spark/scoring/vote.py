"""knn -> scored_pairs by vote: a base edge passes when enough committee members also have it.

The paper's "consensus by voting": edge i -> j of the base graph passes when j is among the neighbours of i in at
least ``accept`` committee graphs; an unordered pair passes when either direction does. The score is the base
similarity; no threshold is applied here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, FloatType, IntegerType, LongType, StructField, StructType

from cdp_spark.base import schemas
from cdp_spark.base.numeric.pair_order import first_of_each_pair
from cdp_spark.knn.kernels.neighbor_lists import flat
from cdp_spark.scoring.kernels.count_votes import votes
from cdp_spark.spark.arrow import Kernel, gathered, map_batches
from cdp_spark.spark.placement import placement_keys

_BLOCK_ITEMS = 65_536
"""Pairs are packed, one row per batch and block of ``src``: one row per pair would cost ten times as much."""

_PACKED = StructType(
    [
        StructField("place", IntegerType()),
        StructField("src", ArrayType(LongType())),
        StructField("dst", ArrayType(LongType())),
        StructField("score", ArrayType(FloatType())),
    ]
)


@dataclass(frozen=True)
class _Blocks:
    """Items in blocks of equal work.

    Pairs belong to their smaller item, so later ranges of items have fewer pairs. A block therefore has one range from
    the front and one from the back.
    """

    count: int
    items_of_range: int

    @classmethod
    def of(cls, items: int) -> _Blocks:
        count = max(1, -(-items // _BLOCK_ITEMS))
        return cls(count, max(1, -(-items // (2 * count))))

    def block(self, item: NDArray[np.int64]) -> NDArray[np.unsignedinteger]:
        """Return the block of each item, 0 to count - 1, in the smallest integer type: it sorts fast."""
        number = item // self.items_of_range
        return np.minimum(number, 2 * self.count - 1 - number).astype(np.min_scalar_type(self.count))


def scored_pairs(base: DataFrame, committee: Sequence[DataFrame], *, accept: int, item_count: int) -> DataFrame:
    """Vote on every edge of the base graph.

    Parameters
    ----------
    base : DataFrame (``schemas.KNN``)
    committee : sequence of DataFrame (``schemas.KNN``)
        Members' graphs of the same items.
    accept : int
        Members that must have the edge; 0 accepts every base edge.
    item_count : int
        Number of items; affects the number of tasks, not the result.

    Returns
    -------
    DataFrame (``schemas.SCORED_PAIRS``)
        One row per agreed pair, at most N * k, sorted within partitions. Lazy.
    """
    blocks = _Blocks.of(item_count)
    packed = map_batches(_joined(base, committee if accept else ()), _agreed(accept, blocks), _PACKED)
    return map_batches(packed.repartition(blocks.count, "place"), _unique_pairs, schemas.SCORED_PAIRS)


def _joined(base: DataFrame, committee: Sequence[DataFrame]) -> DataFrame:
    joined = base.select("item", "neighbors", "similarities")
    for number, member in enumerate(committee):
        lists = member.select("item", F.col("neighbors").alias(f"member_{number}"))
        joined = joined.join(lists, "item", "left")
    return joined


def _agreed(accept: int, blocks: _Blocks) -> Kernel:
    keys = placement_keys(blocks.count)

    def agree(batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        for batch in batches:
            offsets, neighbors = flat(batch.column("neighbors"))
            similarities = batch.column("similarities").flatten().to_numpy()
            members = [flat(batch.column(i)) for i in range(3, batch.num_columns)]
            agreeing = votes((offsets, neighbors.to_numpy()), [(start, values.to_numpy()) for start, values in members])
            kept = agreeing >= accept
            item = np.repeat(batch.column("item").to_numpy(), np.diff(offsets))[kept]
            other = neighbors.to_numpy()[kept]
            src, dst = np.minimum(item, other), np.maximum(item, other)
            yield _packed(blocks.block(src), keys, (src, dst, similarities[kept]))

    return agree


def _packed(block: NDArray[np.unsignedinteger], keys: Sequence[int], pairs: tuple[NDArray[Any], ...]) -> pa.RecordBatch:
    """Put the pairs of each block into one row."""
    order = np.argsort(block, kind="stable")
    present, starts = np.unique(block[order], return_index=True)
    offsets = pa.array(np.append(starts, len(block)).astype(np.int32))
    columns = [pa.ListArray.from_arrays(offsets, pa.array(column[order])) for column in pairs]
    partition_keys = pa.array([keys[number] for number in present.tolist()], pa.int32())
    return pa.RecordBatch.from_arrays([partition_keys, *columns], names=_PACKED.names)


def _unique_pairs(batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
    """Keep one of the two directions of a pair; both are in the block of its smaller item."""
    names = schemas.SCORED_PAIRS.names
    unpacked = (
        pa.RecordBatch.from_arrays([batch.column(name).flatten() for name in names], names=names) for batch in batches
    )
    columns = gathered(unpacked, schemas.SCORED_PAIRS)
    first = first_of_each_pair(*columns[:2])
    yield pa.RecordBatch.from_arrays([pa.array(column[first]) for column in columns], names=names)
