"""Sample queries answered exactly in one pass over all vectors, and the recall of a KNN graph against them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from cdp_spark.base import schemas
from cdp_spark.base.numeric.unit_vectors import decode
from cdp_spark.knn.kernels import neighbor_lists as neighbour_lists
from cdp_spark.knn.kernels.search_cells import Block, everything, search
from cdp_spark.knn.search_shards import merged
from cdp_spark.spark.arrow import map_batches


def exact_neighbors(vectors: DataFrame, items: NDArray[np.int64], queries: NDArray[np.float16], *, k: int) -> DataFrame:
    """Answer some queries exactly: each partition is searched whole, and the lists are merged.

    Parameters
    ----------
    vectors : DataFrame (item: long, vector: binary)
    items : ndarray of int64, shape (q,)
    queries : ndarray of float16, shape (q, d)
    k : int

    Returns
    -------
    DataFrame (``schemas.KNN``)
        One row per query. Lazy.
    """
    dimension = queries.shape[1]

    def search_partition(batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        all_items, all_vectors = [], []
        for batch in batches:
            all_items.append(batch.column("item").to_numpy())
            all_vectors.append(decode(batch.column("vector"), dimension))
        if not all_items:
            return
        rows = Block.of(np.concatenate(all_items), np.concatenate(all_vectors))
        offsets = np.array([0, len(rows.items)], np.int64)
        asked = Block.of(items, queries)
        yield neighbour_lists.to_arrow(items, search(asked, rows, offsets, everything(len(items)), k))

    return merged(map_batches(vectors.select("item", "vector"), search_partition, schemas.KNN), k)


def lists_by_step(
    shard_table: DataFrame, queries: Block, probes: NDArray[np.int32], cell_count: int, *, k: int
) -> DataFrame:
    """Search some cells for some queries, step by step, to measure how good a search of that many cells would be.

    Parameters
    ----------
    shard_table : DataFrame (``schemas.SHARDS``)
        In few partitions: the fewer, the larger are the products.
    queries : Block
    probes : ndarray of int32, shape (q, steps, cells)
        The cells that each query visits in each step, by number among all; -1: none.
    cell_count : int
    k : int

    Returns
    -------
    DataFrame (``schemas.KNN``)
        The k best of each query and step; ``item`` is the query's place times the number of steps, plus the step.
        Lazy.
    """
    steps = probes.shape[1]
    wanted = probes.reshape(len(queries.items) * steps, -1)

    def search_partition(batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        columns = [[batch.column(name) for name in ("shard", "cell", "item", "vector")] for batch in batches]
        if not columns:
            return
        shard, cell, item = (np.concatenate([each[number].to_numpy() for each in columns]) for number in range(3))
        vectors = np.concatenate([decode(each[3], queries.vectors.shape[1]) for each in columns])
        # A query of each step by itself, all of them together: who probes a cell, in whichever step, is in one product.
        each = queries.take(np.repeat(np.arange(len(queries.items)), steps))
        # One shard after the other: an item of several would take several places of a list, or not, as they share a
        # partition or do not.
        for number in np.unique(shard):
            mine = np.flatnonzero(shard == number)
            mine = mine[np.argsort(cell[mine], kind="stable")]
            offsets = np.searchsorted(cell[mine], np.arange(cell_count + 1))
            asking = np.flatnonzero(((np.diff(offsets) > 0)[wanted] & (wanted >= 0)).any(axis=1))
            lists = search(each.take(asking), Block.of(item[mine], vectors[mine]), offsets, wanted[asking], k)
            yield neighbour_lists.to_arrow(asking, lists)

    distinct = shard_table.where("twin_of is null").select("shard", "item", "cell", "vector")
    return merged(map_batches(distinct, search_partition, schemas.KNN), k)


def recall_figures(knn: DataFrame, truth: DataFrame) -> DataFrame:
    """Compare lists with the exact ones: one row (mean: double, deviation: double, queries: long)."""
    exact = truth.select("item", F.col("neighbors").alias("wanted")).where(F.size("wanted") > 0)
    both = exact.join(knn.select("item", "neighbors"), "item", "left")
    hits = F.size(F.array_intersect("wanted", F.coalesce("neighbors", F.array().cast("array<long>"))))
    share = both.select((hits / F.size("wanted")).alias("share"))
    return share.agg(
        F.avg("share").alias("mean"), F.stddev_pop("share").alias("deviation"), F.count("*").alias("queries")
    )
