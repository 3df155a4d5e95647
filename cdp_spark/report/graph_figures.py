"""Count in-degrees of KNN graphs, and the pairs that members confirm.

Both counts read all lists. Counting only a share of the items or pairs, chosen by hash, bounds shuffle and memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import reduce

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import IntegerType, LongType, StructField, StructType

from cdp_spark.base import schemas
from cdp_spark.base.numeric.dense_numbers import numbered
from cdp_spark.base.numeric.hashing import in_share
from cdp_spark.spark.arrow import Kernel, map_batches
from cdp_spark.spark.hashed_sample import hashed_sample

MOST_MEMBERS = 62
"""The members that confirm a pair are the bits of one long."""

_SALT = "figures"
_NONE = np.empty(0, np.int64)


IN_DEGREES = StructType(
    [StructField("graph", IntegerType()), StructField("in_degree", LongType()), StructField("items", LongType())]
)

_COUNTED = StructType(
    [StructField("graph", IntegerType()), StructField("items", schemas.LONGS), StructField("lists", schemas.LONGS)]
)
"""One row per partition: its items, and the number of its lists that contain each."""


def in_degrees(graphs: Sequence[DataFrame], *, share: float = 1.0) -> DataFrame:
    """Count the items of each graph by the number of lists that contain them.

    Parameters
    ----------
    graphs : sequence of DataFrame (``schemas.KNN``)
    share : float
        Share of the items that are counted, chosen by hash; the lists of all items are read. One task holds the
        chosen items.

    Returns
    -------
    DataFrame (``IN_DEGREES``)
        ``graph`` is the index in ``graphs``. Items in no list count with in-degree 0. At most sqrt(2 * edges) rows per
        graph. Lazy.
    """
    counted = (
        map_batches(graph.select("item", "neighbors"), _counting(index, share), _COUNTED)
        for index, graph in enumerate(graphs)
    )
    return map_batches(reduce(DataFrame.unionAll, counted).coalesce(1), _by_degree, IN_DEGREES)


def _counting(graph: int, share: float) -> Kernel:
    def count(batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        # Each item also counts once for itself, so that items in no list occur.
        named = [np.concatenate([_kept(column, share) for column in _ends(batch)]) for batch in batches]
        items, lists = np.unique(np.concatenate([_NONE, *named]), return_counts=True)
        if len(items):
            yield _row(graph, items, lists)

    return count


def _ends(batch: pa.RecordBatch) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return batch.column("item").to_numpy(), batch.column("neighbors").flatten().to_numpy()


def _kept(values: NDArray[np.int64], share: float) -> NDArray[np.int64]:
    return values if share >= 1 else values[in_share(values, _SALT, share)]


def _row(graph: int, items: NDArray[np.int64], lists: NDArray[np.int64]) -> pa.RecordBatch:
    columns = [pa.ListArray.from_arrays([0, len(items)], pa.array(column)) for column in (items, lists)]
    return pa.RecordBatch.from_arrays([pa.array([graph], pa.int32()), *columns], names=_COUNTED.names)


def _by_degree(batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
    """Add up the counts of the partitions."""
    by_graph: dict[int, list[tuple[NDArray[np.int64], NDArray[np.int64]]]] = {}
    for batch in batches:
        for row, graph in enumerate(batch.column("graph").to_pylist()):
            items, lists = (batch.column(name)[row].values.to_numpy() for name in ("items", "lists"))
            by_graph.setdefault(graph, []).append((items, lists))
    for graph, counted in sorted(by_graph.items()):
        items, lists = (np.concatenate(column) for column in zip(*counted, strict=True))
        total = np.bincount(numbered(items)[1], weights=lists).astype(np.int64)
        degree, count = np.unique(total - 1, return_counts=True)
        columns = [pa.array(np.full(len(degree), graph, np.int32)), pa.array(degree), pa.array(count)]
        yield pa.RecordBatch.from_arrays(columns, names=IN_DEGREES.names)


def confirmed_pairs(
    base: DataFrame, members: Sequence[DataFrame], labels: DataFrame | None, *, share: float = 1.0
) -> DataFrame:
    """Count the base's pairs by the members that confirm them.

    A member confirms a pair when it has an edge that the base has in the same direction: as in the vote.

    Parameters
    ----------
    base : DataFrame (``schemas.KNN``)
    members : sequence of DataFrame (``schemas.KNN``)
        At most ``MOST_MEMBERS``.
    labels : DataFrame (item: long, label), optional
        No nulls.
    share : float
        Share of the pairs that are counted, chosen by hash; every task holds them.

    Returns
    -------
    DataFrame (members: long, same: boolean, pairs: long)
        Bit m of ``members`` is set when member m confirms; ``same`` is whether both ends have the same label, null
        where one has none. Lazy.
    """
    edges = base.select("item", F.explode("neighbors").alias("other"))
    pairs = edges.select("*", F.least("item", "other").alias("src"), F.greatest("item", "other").alias("dst"))
    chosen = _sampled(pairs, share, "src", "dst")
    lists = reduce(
        DataFrame.unionAll,
        (member.select("item", "neighbors", F.lit(1 << bit).alias("bit")) for bit, member in enumerate(members)),
    )
    has = F.when(F.array_contains("neighbors", F.col("other")), F.col("bit")).otherwise(0)
    # Broadcasting the chosen pairs spares a shuffle of the members' lists, which are large.
    votes = lists.join(F.broadcast(chosen), "item", "inner").select("src", "dst", has.cast("long").alias("bit"))
    confirmed = votes.groupBy("src", "dst").agg(F.bit_or("bit").alias("members"))
    return _with_same(confirmed, labels).groupBy("members", "same").agg(F.count("*").alias("pairs"))


def _with_same(pairs: DataFrame, labels: DataFrame | None) -> DataFrame:
    if labels is None:
        return pairs.withColumn("same", F.lit(None).cast("boolean"))
    src, dst = (labels.select(F.col("item").alias(end), F.col("label").alias(f"of_{end}")) for end in ("src", "dst"))
    joined = pairs.join(src, "src", "left").join(dst, "dst", "left")
    return joined.select("members", (F.col("of_src") == F.col("of_dst")).alias("same"))


def _sampled(table: DataFrame, share: float, *columns: str) -> DataFrame:
    return table if share >= 1 else hashed_sample(table, *columns, salt=_SALT, below=share)
