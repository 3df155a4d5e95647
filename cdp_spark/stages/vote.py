"""knn -> scored_pairs by vote: a base edge is believed when enough committee members have it too.

The paper's "consensus by voting": edge i -> j of the base graph is agreed when j is among the neighbours of i in at
least ``accept`` committee graphs; an unordered pair passes when either direction does. The score is the base
similarity; no threshold is applied here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, FloatType, LongType, StructField, StructType

from cdp_spark.base import schemas
from cdp_spark.kernels import vote as kernel
from cdp_spark.kernels.lists import flat
from cdp_spark.stages.arrow import map_batches

_BLOCK_ITEMS = 65_536
"""Pairs travel packed, one row per batch and block of ``src``: a row per pair would cost ten times as much."""

_PACKED = StructType(
    [
        StructField("block", LongType()),
        StructField("src", ArrayType(LongType())),
        StructField("dst", ArrayType(LongType())),
        StructField("score", ArrayType(FloatType())),
    ]
)


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
        Number of items; decides the number of tasks, not what comes out.

    Returns
    -------
    DataFrame (``schemas.SCORED_PAIRS``)
        One row per agreed pair, at most N * k, sorted within partitions. Lazy.
    """
    blocks = max(1, -(-item_count // _BLOCK_ITEMS))
    packed = map_batches(_joined(base, committee if accept else ()), _agreed(accept), _PACKED)
    return map_batches(packed.repartition(blocks, "block"), _unique_pairs, schemas.SCORED_PAIRS)


def _joined(base: DataFrame, committee: Sequence[DataFrame]) -> DataFrame:
    joined = base.select("item", "neighbors", "similarities")
    for number, member in enumerate(committee):
        lists = member.select("item", F.col("neighbors").alias(f"member_{number}"))
        joined = joined.join(lists, "item", "left")
    return joined


def _agreed(accept: int):  # type: ignore[no-untyped-def]
    def agree(batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        for batch in batches:
            offsets, neighbors = flat(batch.column("neighbors"))
            similarities = batch.column("similarities").flatten().to_numpy()
            members = [flat(batch.column(i)) for i in range(3, batch.num_columns)]
            votes = kernel.votes(
                (offsets, neighbors.to_numpy()), [(start, values.to_numpy()) for start, values in members]
            )
            kept = votes >= accept
            item = np.repeat(batch.column("item").to_numpy(), np.diff(offsets))[kept]
            other = neighbors.to_numpy()[kept]
            src, dst = np.minimum(item, other), np.maximum(item, other)
            yield from _packed(src, dst, similarities[kept])

    return agree


def _packed(src: np.ndarray, dst: np.ndarray, score: np.ndarray) -> Iterator[pa.RecordBatch]:
    order = np.argsort(src // _BLOCK_ITEMS, kind="stable")
    block = src[order] // _BLOCK_ITEMS
    starts = np.flatnonzero(np.diff(block, prepend=-1))
    offsets = pa.array(np.append(starts, len(block)).astype(np.int32))
    columns = [pa.ListArray.from_arrays(offsets, pa.array(column[order])) for column in (src, dst, score)]
    yield pa.RecordBatch.from_arrays([pa.array(block[starts]), *columns], names=_PACKED.names)


def _unique_pairs(batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
    """Keep one of the two directions of a pair; both meet here, in the block of the smaller item."""
    parts: dict[int, list[tuple[np.ndarray, ...]]] = {}
    for batch in batches:
        for row, block in enumerate(batch.column("block").to_pylist()):
            columns = (batch.column(name)[row].values.to_numpy() for name in ("src", "dst", "score"))
            parts.setdefault(block, []).append(tuple(columns))
    for block in sorted(parts):
        src, dst, score = (np.concatenate(column) for column in zip(*parts.pop(block), strict=True))
        first = kernel.first_of_each_pair(src, dst)
        yield pa.RecordBatch.from_arrays(
            [pa.array(src[first]), pa.array(dst[first]), pa.array(score[first])], names=schemas.SCORED_PAIRS.names
        )
