"""shards -> knn: the k most similar items of each item.

A set of one cell is searched exactly. A large set is searched shard by shard: a few cells for each vector, then
neighbours of neighbours. The lists of an item in several shards are merged.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from cdp_spark.base import schemas
from cdp_spark.knn.kernels import neighbor_lists as neighbour_lists
from cdp_spark.knn.kernels.cells import Cells, Shard
from cdp_spark.knn.kernels.neighbors_of_neighbors import expanded
from cdp_spark.knn.kernels.search_cells import QUERY_BLOCK, Block, Lists, everything, nearest_rows, search
from cdp_spark.knn.shards import (
    Sizes,
    blocks_of,
    cell_offsets,
    loaded,
    mapped_alone,
    of_shard,
    searched_rows,
    threads_each,
    threads_here,
)
from cdp_spark.spark.arrow import map_batches

_TASK_PRODUCTS = 2e9 * 256
"""Multiplications (distances times dimension) of one task: about ten seconds."""
_READING = 5_000
"""Smallest number of multiplications of a task, per number of the vectors; reading the vectors takes about as long as
700."""
_MOST_TASKS = 500
"""Largest number of tasks. Each is a branch of Spark's plan and reads all vectors again; larger searches get longer
tasks."""


def exact_lists(shard_table: DataFrame, *, rows: int, dimension: int, k: int, cores: int = 1) -> DataFrame:
    """Search all vectors for the neighbours of each, and add twins.

    Parameters
    ----------
    shard_table : DataFrame (``schemas.SHARDS``)
        A single shard with a single cell.
    rows : int
        Number of distinct vectors.
    dimension, k : int
    cores : int
        Cores of the session. With fewer tasks than cores, each task may use several threads.

    Returns
    -------
    DataFrame (``schemas.LISTS``)
        One row per distinct vector; neighbours by (-similarity, item), without the item itself; fewer than k where
        there are fewer. Lazy.
    """
    splits = _splits(rows, dimension)
    threads = threads_each(splits, cores)

    def search_split(split: int, batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        yield from _exact_task(batches, (split, splits), (rows, dimension), k, threads)

    vectors = searched_rows(shard_table)
    return mapped_alone([vectors] * splits, search_split, schemas.LISTS)


def knn_graph(lists: DataFrame, shard_table: DataFrame, *, k: int, shards: int, twin_count: int) -> DataFrame:
    """Merge the lists of each item over its shards, and give twins the list of their item.

    Parameters
    ----------
    lists : DataFrame (``schemas.LISTS``)
        Read from a stored table, because they are read twice if there are twins.
    shard_table : DataFrame (``schemas.SHARDS``)
    k : int
    shards : int
    twin_count : int
        Number of items that equal a smaller one.

    Returns
    -------
    DataFrame (``schemas.KNN``)
        One row per item. Lazy.
    """
    complete = merged(lists, k, observed=not twin_count) if shards > 1 else lists.select(*schemas.KNN.names)
    if twin_count:
        complete = complete.unionByName(_of_twins(shard_table, complete, k))
    return complete.select(*schemas.KNN.names).sortWithinPartitions("item")


def merged(lists: DataFrame, k: int, *, observed: bool = True) -> DataFrame:
    """Merge the partial lists of each item to its k best."""
    partial = lists.groupBy("item").agg(
        F.flatten(F.collect_list(F.arrays_zip("neighbors", "similarities"))).alias("entries")
    )

    def merge(batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        for batch in batches:
            offsets, entries = neighbour_lists.flat(batch.column("entries"))
            neighbors, similarities = (entries.field(i).to_numpy(zero_copy_only=False) for i in range(2))
            best = neighbour_lists.merge(neighbour_lists.Entries(offsets, neighbors, similarities), k)
            yield neighbour_lists.to_arrow(batch.column("item").to_numpy(), best)

    return map_batches(partial, merge, schemas.KNN, observed=observed)


def _splits(rows: int, dimension: int) -> int:
    """Return the number of tasks for the queries; each task compares its queries with all rows."""
    work = float(rows) * rows * dimension
    of_task = max(_TASK_PRODUCTS, work / _MOST_TASKS, float(_READING) * rows * dimension)
    return max(1, round(work / of_task))


def _exact_task(
    batches: Iterator[pa.RecordBatch], task: tuple[int, int], shape: tuple[int, int], k: int, threads: int
) -> Iterator[pa.RecordBatch]:
    threads = threads_here(threads)
    offsets = np.array([0, shape[0]], np.int64)
    rows, twins = loaded(batches, np.zeros(1, np.int64), offsets, shape[1])
    split, splits = task
    mine = np.flatnonzero(rows.items % splits == split)
    mine = mine[np.argsort(rows.items[mine])]

    def lists_of(rows_of_block: slice) -> pa.RecordBatch:
        queries = rows.take(mine[rows_of_block])
        lists = search(queries, rows, offsets, everything(len(queries.items)), k)
        return of_shard(0, queries.items, lists, twins)

    blocks = blocks_of(len(mine), threads)
    with ThreadPoolExecutor(threads) as pool:
        for first in range(0, len(blocks), threads):  # a few at a time, since lists wait until Spark takes them
            yield from pool.map(lists_of, blocks[first : first + threads])


def _of_twins(shard_table: DataFrame, complete: DataFrame, k: int) -> DataFrame:
    """Give every twin the list of its item."""
    pairs = shard_table.where("twin_of is not null").select(F.col("item").alias("twin"), F.col("twin_of").alias("item"))

    def exchange(batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        for batch in batches:
            twin, item = batch.column("twin").to_numpy(), batch.column("item").to_numpy()
            offsets, neighbors = neighbour_lists.flat(batch.column("neighbors"))
            _, similarities = neighbour_lists.flat(batch.column("similarities"))
            entries = neighbour_lists.Entries(offsets, neighbors.to_numpy(), similarities.to_numpy())
            lists = neighbour_lists.of_twin(twin, item, entries, k)
            yield neighbour_lists.to_arrow(twin, lists)

    return map_batches(pairs.join(complete, "item", "inner"), exchange, schemas.KNN)


@dataclass(frozen=True)
class Search:
    """How to search a shard.

    Attributes
    ----------
    nprobe : int
        Cells that a query probes in each shard that holds it.
    k : int
        Neighbours in a full list.
    cores : int
        Cores of the session. With fewer shards than cores, the task of each shard may use several threads.
    """

    nprobe: int
    k: int
    cores: int = 1


def expanded_lists(shard_table: DataFrame, cells: Cells, sizes: Sizes, search: Search) -> DataFrame:
    """Search a few cells for each vector of a shard, improve the lists by neighbours of neighbours, and add twins.

    Parameters
    ----------
    shard_table : DataFrame (``schemas.SHARDS``)
    cells : Cells
    sizes : mapping of shard to ndarray of int64
        Distinct vectors in each cell of the shard.
    search : Search

    Returns
    -------
    DataFrame (``schemas.LISTS``)
        One row per distinct vector and shard that holds it, in a partition for each shard, by item; neighbours by
        (-similarity, item), without the item itself; fewer than k where the shard holds fewer. Lazy.
    """
    tasks = list(sizes)
    centroids, shard_of, plain_sizes = cells.centroids, cells.shard, dict(sizes)
    threads = threads_each(len(tasks), search.cores)

    def lists_of_shard(task: int, batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        known, number = Cells(centroids, shard_of), tasks[task]
        yield from _shard_task(batches, known, number, plain_sizes[number], replace(search, cores=threads))

    vectors = searched_rows(shard_table)
    shards = [vectors.where(F.col("shard") == number) for number in tasks]
    return mapped_alone(shards, lists_of_shard, schemas.LISTS)


def _shard_task(
    batches: Iterator[pa.RecordBatch], cells: Cells, number: int, sizes: NDArray[np.int64], search: Search
) -> Iterator[pa.RecordBatch]:
    search = replace(search, cores=threads_here(search.cores))
    shard, offsets = cells.in_shard(number), cell_offsets(sizes)
    rows, twins = loaded(batches, shard.number, offsets, cells.centroids.shape[1])
    lists = _lists(rows, shard, offsets, search)
    by_item = np.argsort(rows.items)
    for start in range(0, len(by_item), QUERY_BLOCK):
        chosen = by_item[start : start + QUERY_BLOCK]
        items = rows.items[chosen]
        some = Lists(lists.neighbors[chosen], lists.similarities[chosen], lists.counts[chosen])
        yield of_shard(number, items, some, twins)


def _lists(rows: Block, shard: Shard, offsets: NDArray[np.int64], search: Search) -> Lists:
    """Search the cells near each row, and expand from the neighbours found."""
    nprobe, k, threads = search.nprobe, search.k, search.cores
    around = shard.around(nprobe)
    home = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    near = np.empty((len(home), k), np.int32)
    similarities = np.empty(near.shape, np.float32)

    def search_some(some: slice) -> None:
        queries = Block(rows.items[some], rows.vectors[some], rows.norms[some])
        first = home[some, None]
        others = shard.probes_near(queries.vectors, home[some], nprobe, around)
        probed = np.hstack([first, np.where(others == first, -1, others)]).astype(np.int32)
        near[some], similarities[some] = nearest_rows(queries, rows, offsets, probed, k)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(search_some, blocks_of(len(home), threads)))
    return expanded(rows, near, similarities, threads=threads)
