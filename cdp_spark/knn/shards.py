"""vectors -> twins, shards: find exact duplicates, and place every vector in its cells.

A vector lives in its home shard and, near a border, in others. Equal vectors are found first and searched once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import NDArray
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from cdp_spark.base import schemas
from cdp_spark.base.numeric.unit_vectors import decode
from cdp_spark.knn.kernels import neighbor_lists as neighbour_lists
from cdp_spark.knn.kernels.cells import Assignment, Cells, Leaders, assign
from cdp_spark.knn.kernels.choose_probing import Probing
from cdp_spark.knn.kernels.search_cells import MOST_THREADS, QUERY_BLOCK, Block, Lists
from cdp_spark.spark.arrow import Kernel, map_batches
from cdp_spark.spark.differences import is_sail
from cdp_spark.spark.keyed_table import KeyedTable

_BROADCAST_TWINS = 2_000_000


def twins(vectors: DataFrame) -> DataFrame:
    """Find the items whose vector equals that of a smaller item.

    Parameters
    ----------
    vectors : DataFrame (item: long, vector: binary)

    Returns
    -------
    DataFrame (item: long, twin_of: long)
        ``twin_of`` is the smallest item with the same vector; the smallest items and unique ones are left out. Lazy.

    Notes
    -----
    Vectors are compared by 128 bits of hash: for 10**9 of them the chance of one false twin is about 10**-21.
    """
    hashed = vectors.select("item", F.xxhash64("vector").alias("a"), F.xxhash64(F.lit(7), "vector").alias("b"))
    shared = hashed.groupBy("a", "b").agg(F.min("item").alias("twin_of"), F.count("*").alias("n")).where("n > 1")
    return hashed.join(shared, ["a", "b"], "inner").where("item != twin_of").select("item", "twin_of")


def distinct_vectors(vectors: DataFrame, twin_table: DataFrame, *, twin_count: int) -> DataFrame:
    """Return the vectors without those that equal a smaller item's."""
    if twin_count == 0:
        return vectors
    return vectors.join(_small(twin_table.select("item"), twin_count), "item", "left_anti")


def shards(vectors: DataFrame, twin_table: KeyedTable, cells: Cells, *, probing: Probing, k: int) -> DataFrame:
    """Place every vector in its cells.

    Parameters
    ----------
    vectors : DataFrame (item: long, vector: binary)
    twin_table : KeyedTable (item: long, twin_of: long)
        The number of its rows affects the kind of join, not the result.
    cells : Cells
    probing : Probing
        Its ``spill`` determines which other shards hold a vector.
    k : int
        Neighbours in a full list; more twins are never needed.

    Returns
    -------
    DataFrame (``schemas.SHARDS``)
        One row per item and shard; twins only in their home. Lazy.
    """
    alone = F.array().cast(schemas.LONGS).alias("twins")  # instead of null: see map_batches
    joined = vectors.select("item", "vector", F.lit(None).cast("long").alias("twin_of"), alone)
    if twin_table.rows:
        order = Window.partitionBy("twin_of").orderBy("item")
        first = twin_table.table.withColumn("place", F.row_number().over(order)).where(F.col("place") <= k)
        lists = first.groupBy("twin_of").agg(F.sort_array(F.collect_list("item")).alias("twins"))
        of_item = _small(lists.withColumnRenamed("twin_of", "item"), twin_table.rows)
        joined = vectors.join(_small(twin_table.table, twin_table.rows), "item", "left").join(of_item, "item", "left")
        joined = joined.withColumn("twins", F.coalesce("twins", alone))
    centroids, shard_of, leaders, spill = cells.centroids, cells.shard, Leaders.of(cells), probing.spill

    def assign_batches(batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        known = Cells(centroids, shard_of)
        for batch in batches:
            vectors = decode(batch.column("vector"), centroids.shape[1])
            yield _kept(batch, assign(vectors, known, leaders), spill)

    placed = map_batches(joined.select("item", "twin_of", "twins", "vector"), assign_batches, schemas.SHARDS)
    # Sorted, so that a later look-up of a few items reads few pages. Storing by shard needs a sort anyway.
    return placed.sortWithinPartitions("shard", "item")


def cell_sizes(shard_table: DataFrame) -> DataFrame:
    """Count the distinct vectors of each cell: (shard: int, cell: int, rows: long)."""
    searched = shard_table.where("twin_of is null")
    return searched.groupBy("shard", "cell").agg(F.count("*").alias("rows"))


def _small(table: DataFrame, rows: int) -> DataFrame:
    return F.broadcast(table) if rows <= _BROADCAST_TWINS else table


def _kept(batch: pa.RecordBatch, assigned: Assignment, spill: float) -> pa.RecordBatch:
    """Return one row for each shard that is near enough."""
    kept = assigned.gap <= spill
    kept[:, 0] = True
    kept[batch.column("twin_of").is_valid().to_numpy(zero_copy_only=False), 1:] = False
    row, slot = np.nonzero(kept)
    copied = batch.take(pa.array(row))
    return pa.RecordBatch.from_arrays(
        [
            copied.column("item"),
            pa.array(assigned.shard[row, slot].astype(np.int32)),
            pa.array(assigned.shard[row, 0].astype(np.int32)),
            pa.array(assigned.cell[row, slot].astype(np.int32)),
            copied.column("twin_of"),
            copied.column("twins"),
            copied.column("vector"),
        ],
        names=schemas.SHARDS.names,
    )


_NO_TASK = -1

Work = Callable[[int, Iterator[pa.RecordBatch]], Iterable[pa.RecordBatch]]
"""Work on the rows of one part, given its number."""

Sizes = Mapping[int, NDArray[np.int64]]
"""For each shard the number of distinct vectors in each of its cells, in the order of ``Cells.in_shard``."""


def threads_each(tasks: int, cores: int) -> int:
    """Return the number of threads per task if there are fewer tasks than cores."""
    return max(1, min(MOST_THREADS, cores // max(1, tasks)))


def threads_here(threads: int) -> int:
    """Limit a task's threads to the cores of the worker's machine."""
    return min(threads, os.cpu_count() or 1)


def blocks_of(rows: int, threads: int) -> list[slice]:
    """Divide the rows of a search evenly, so that all threads finish together.

    >>> blocks_of(200_000, 2)
    [slice(0, 50000, None), slice(50000, 100000, None), slice(100000, 150000, None), slice(150000, 200000, None)]
    """
    count = threads * max(1, -(-rows // (threads * QUERY_BLOCK)))
    bounds = [number * rows // count for number in range(count + 1)]
    return [slice(low, high) for low, high in pairwise(bounds) if low < high]


def searched_rows(shard_table: DataFrame) -> DataFrame:
    """Return the distinct vectors of all shards: (shard, item, cell, twins, vector)."""
    return shard_table.where("twin_of is null").select("shard", "item", "cell", "twins", "vector")


def mapped_alone(tables: Sequence[DataFrame], work: Work, schema: StructType) -> DataFrame:
    """Make each part one task, which reads its rows where they are stored.

    A shuffle would write every shard again for each of its tasks: 10 GB for a million vectors of 256 numbers.

    Parameters
    ----------
    tables : sequence of DataFrame
        Tables with the same columns.
    work : callable (number of the part, its batches) -> batches
    schema : StructType

    Returns
    -------
    DataFrame (``schema``)
        Lazy.
    """
    if is_sail(tables[0].sparkSession):
        # One function over a union would get rows of several tables: Sail spreads tables over partitions again.
        each = (map_batches(rows, _limited(work, number), schema, one_task=True) for number, rows in enumerate(tables))
        return _united(list(each))
    return map_batches(_each_alone(tables), _by_task(work), schema)


def _limited(work: Work, number: int) -> Kernel:
    """Work on one table. Sail begins all tables at once; only one per core works at a time."""

    def run(batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        from cdp_spark.spark import differences

        with differences.AT_ONCE:
            if (first := _first_with_rows(batches)) is not None:
                yield from work(number, chain([first], batches))

    return run


def _each_alone(tables: Sequence[DataFrame]) -> DataFrame:
    """Put each part into a separate partition, with its number as ``task``."""
    numbered = [rows.coalesce(1).withColumn("task", F.lit(number)) for number, rows in enumerate(tables)]
    # Spark 4.1 coalesces a union of single partitions, but not with a part of two partitions.
    none = [F.lit(None).cast(field.dataType).alias(field.name) for field in tables[0].schema.fields]
    other = tables[0].sparkSession.range(0, 2, 1, 2).select(*none, F.lit(_NO_TASK).alias("task"))
    return _united([other, *numbered])


def _by_task(work: Work) -> Kernel:
    """Identify the part in a partition of :func:`_each_alone`, and do its work."""

    def run(batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        first = _first_with_rows(batches)
        if first is not None and (number := first.column("task")[0].as_py()) != _NO_TASK:
            yield from work(number, chain([first], batches))

    return run


def _first_with_rows(batches: Iterator[pa.RecordBatch]) -> pa.RecordBatch | None:
    """Return the first non-empty batch; None if a partition has none."""
    return next((batch for batch in batches if batch.num_rows), None)


def _united(tables: Sequence[DataFrame]) -> DataFrame:
    """Unite tables pairwise, since one after another would make the plan as deep as their number."""
    while len(tables) > 1:
        tables = [
            tables[i].unionAll(tables[i + 1]) if i + 1 < len(tables) else tables[i] for i in range(0, len(tables), 2)
        ]
    return tables[0]


def of_shard(shard: int, items: NDArray[np.int64], lists: Lists, twins: neighbour_lists.Twins) -> pa.RecordBatch:
    """Add twins to the lists of some items of a shard: ``schemas.LISTS``."""
    rows = neighbour_lists.to_arrow(items, neighbour_lists.with_twins(items, lists, twins))
    number = pa.array(np.full(rows.num_rows, shard, np.int32))
    return pa.RecordBatch.from_arrays([number, *rows.columns], names=schemas.LISTS.names)


def cell_offsets(sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where the rows of each cell begin, and where the last cell ends."""
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def loaded(
    batches: Iterator[pa.RecordBatch], number: NDArray[np.int64], offsets: NDArray[np.int64], dimension: int
) -> tuple[Block, neighbour_lists.Twins]:
    """Write each row straight into its cell's range: no sort, and no second copy of the vectors."""
    items = np.empty(offsets[-1], np.int64)
    vectors = np.empty((offsets[-1], dimension), np.float16)
    free = offsets[:-1].copy()
    twins: list[pa.Array] = []
    owners: list[NDArray[np.int64]] = []
    for batch in batches:
        cell = number[batch.column("cell").to_numpy()]
        order = np.argsort(cell, kind="stable")
        counts = np.bincount(cell, minlength=len(free))
        within = np.arange(len(cell)) - np.repeat(np.cumsum(counts) - counts, counts)
        position = np.empty(len(cell), np.int64)
        position[order] = free[cell[order]] + within
        free += counts
        items[position] = batch.column("item").to_numpy()
        vectors[position] = decode(batch.column("vector"), dimension)
        has_twins = pa.compute.greater(pa.compute.list_value_length(batch.column("twins")), 0)
        twins.append(batch.column("twins").filter(has_twins))
        owners.append(batch.column("item").filter(has_twins).to_numpy())
    if not offsets[-1]:  # no rows, for which Sail gives no batch
        return Block.of(items, vectors), neighbour_lists.Twins.of(items, pa.array([], pa.list_(pa.int64())))
    known = neighbour_lists.Twins.of(np.concatenate(owners), pa.chunked_array(twins).combine_chunks())
    return Block.of(items, vectors), known
