"""vectors -> twins, shards: exact duplicates found, every vector placed in its cells.

A vector lives in its home shard and, near a border, in others; what equals another vector is found first and
searched once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from cdp_spark.base import schemas
from cdp_spark.base.numeric.unit_vectors import decode
from cdp_spark.knn.kernels.cells import Cells
from cdp_spark.knn.kernels.choose_probing import Probing
from cdp_spark.knn.kernels.home_and_spill import Assignment, Leaders, assign
from cdp_spark.spark.arrow import map_batches

_BROADCAST_TWINS = 2_000_000


def twins(vectors: DataFrame) -> DataFrame:
    """Find the items whose vector equals that of a smaller item.

    Parameters
    ----------
    vectors : DataFrame (item: long, vector: binary)

    Returns
    -------
    DataFrame (item: long, twin_of: long)
        ``twin_of`` is the smallest item with the same vector; items alone or smallest are left out. Lazy.

    Notes
    -----
    Vectors are compared by 128 bits of hash: for 10**9 of them the chance of one false twin is about 10**-21.
    """
    hashed = vectors.select("item", F.xxhash64("vector").alias("a"), F.xxhash64(F.lit(7), "vector").alias("b"))
    shared = hashed.groupBy("a", "b").agg(F.min("item").alias("twin_of"), F.count("*").alias("n")).where("n > 1")
    return hashed.join(shared, ["a", "b"], "inner").where("item != twin_of").select("item", "twin_of")


def distinct_vectors(vectors: DataFrame, twin_table: DataFrame, *, twin_count: int) -> DataFrame:
    """Return the vectors without those that equal one of a smaller item."""
    if twin_count == 0:
        return vectors
    return vectors.join(_small(twin_table.select("item"), twin_count), "item", "left_anti")


def shards(
    vectors: DataFrame, twin_table: DataFrame, cells: Cells, *, probing: Probing, k: int, twin_count: int
) -> DataFrame:
    """Place every vector in its cells.

    Parameters
    ----------
    vectors : DataFrame (item: long, vector: binary)
    twin_table : DataFrame (item: long, twin_of: long)
    cells : Cells
    probing : Probing
        Its ``spill`` decides which shards beside the home hold a vector.
    k : int
        Neighbours that will be asked for: more twins than that are never needed.
    twin_count : int
        Rows of ``twin_table``; decides how it is joined, not what comes out.

    Returns
    -------
    DataFrame (``schemas.SHARDS``)
        One row per item and shard; twins only in their home. Lazy.
    """
    alone = F.array().cast(schemas.LONGS).alias("twins")  # not null: see map_batches
    joined = vectors.select("item", "vector", F.lit(None).cast("long").alias("twin_of"), alone)
    if twin_count:
        order = Window.partitionBy("twin_of").orderBy("item")
        first = twin_table.withColumn("place", F.row_number().over(order)).where(F.col("place") <= k)
        lists = first.groupBy("twin_of").agg(F.sort_array(F.collect_list("item")).alias("twins"))
        of_item = _small(lists.withColumnRenamed("twin_of", "item"), twin_count)
        joined = vectors.join(_small(twin_table, twin_count), "item", "left").join(of_item, "item", "left")
        joined = joined.withColumn("twins", F.coalesce("twins", alone))
    centroids, shard_of, leaders, spill = cells.centroids, cells.shard, Leaders.of(cells), probing.spill

    def place(batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        known = Cells(centroids, shard_of)
        for batch in batches:
            vectors = decode(batch.column("vector"), centroids.shape[1])
            yield _kept(batch, assign(vectors, known, leaders), spill)

    placed = map_batches(joined.select("item", "twin_of", "twins", "vector"), place, schemas.SHARDS)
    # Whoever asks for a few items later reads a few pages. The table is stored by shard, which asks for a sort anyway.
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
