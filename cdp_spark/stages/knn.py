"""shards -> knn: the k most similar items of each item.

Each task searches one shard, or a part of its queries; ``stages.expansion`` may improve the lists of each shard; the
lists that an item gets in several shards are merged.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from cdp_spark.base import schemas
from cdp_spark.kernels import lists as neighbour_lists
from cdp_spark.kernels.cells import Cells
from cdp_spark.kernels.search import QUERY_BLOCK, search
from cdp_spark.stages.arrow import map_batches
from cdp_spark.stages.shard_tasks import (
    ShardTask,
    Sizes,
    cell_offsets,
    each_alone,
    loaded,
    of_shard,
    searched_rows,
    threads_each,
    with_task,
)

_TASK_PRODUCTS = 2e9 * 256
"""Multiplications (distances times dimension) of one task: some ten seconds."""
_READING = 5_000
"""Multiplications for each number of the shard that a task makes at least. It reads the whole shard before, which takes
about as long as 700."""
_MOST_TASKS = 500
"""Beyond so many, tasks become longer instead: each is a branch of Spark's plan, and reads its shard once more."""


def partial_lists(
    shard_table: DataFrame, cells: Cells, sizes: Sizes, *, nprobe: int, k: int, final: bool, cores: int = 1
) -> DataFrame:
    """Search each shard: the k best of every distinct vector there.

    Parameters
    ----------
    shard_table : DataFrame (``schemas.SHARDS``)
    cells : Cells
    sizes : mapping of shard to ndarray of int64
        Distinct vectors in each cell of the shard.
    nprobe : int
        Cells that a query probes in each shard that holds it.
    k : int
    final : bool
        Whether twins come into the lists at once: ``stages.expansion`` does not follow.
    cores : int
        Of the session: where there are fewer tasks, each may use several.

    Returns
    -------
    DataFrame (``schemas.LISTS``)
        One row per distinct vector and shard that holds it; neighbours by (-similarity, item), without the item
        itself; fewer than k where the probed cells hold fewer. Lazy.
    """
    tasks = _tasks(sizes, nprobe, cells.centroids.shape[1])
    centroids, shard_of, plain_sizes = cells.centroids, cells.shard, dict(sizes)
    threads = threads_each(len(tasks), cores)

    def search_shard(task: ShardTask, batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        known = Cells(centroids, shard_of)
        yield from _search_task(batches, known, task, plain_sizes[task.shard], (nprobe, k, threads), final)

    vectors = searched_rows(shard_table)
    parts = [vectors.where(F.col("shard") == task.shard) for task in tasks]
    found = map_batches(each_alone(parts), with_task(tasks, search_shard), schemas.LISTS)
    return found.sortWithinPartitions("shard", "item")


def knn_graph(lists: DataFrame, shard_table: DataFrame, *, k: int, shards: int, twin_count: int) -> DataFrame:
    """Merge the lists of each item over its shards, and give twins the list of the item that they equal.

    Parameters
    ----------
    lists : DataFrame (``schemas.LISTS``)
        Stored, because they are read twice when there are twins.
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
    found = merged(lists, k, observed=not twin_count) if shards > 1 else lists.select(*schemas.KNN.names)
    if twin_count:
        found = found.unionByName(_of_twins(shard_table, found, k))
    return found.select(*schemas.KNN.names).sortWithinPartitions("item")


def merged(found: DataFrame, k: int, *, observed: bool = True) -> DataFrame:
    """Merge the partial lists of each item to its k best."""
    partial = found.groupBy("item").agg(
        F.flatten(F.collect_list(F.arrays_zip("neighbors", "similarities"))).alias("entries")
    )

    def merge(batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        for batch in batches:
            offsets, entries = neighbour_lists.flat(batch.column("entries"))
            neighbors, similarities = (entries.field(i).to_numpy(zero_copy_only=False) for i in range(2))
            best = neighbour_lists.merge(offsets, neighbors, similarities, k)
            yield neighbour_lists.to_arrow(batch.column("item").to_numpy(), best)

    return map_batches(partial, merge, schemas.KNN, observed=observed)


def _tasks(sizes: Sizes, nprobe: int, dimension: int) -> list[ShardTask]:
    """Split each shard's queries so that no task works much longer than the others.

    A query is compared with the centroids of all cells, and with the rows of those that it probes.
    """
    tasks = []
    products = {
        shard: float(rows.sum()) * (len(rows) + min(nprobe, len(rows)) * float(rows.mean())) * dimension
        for shard, rows in sorted(sizes.items())
    }
    of_task = max(_TASK_PRODUCTS, sum(products.values()) / _MOST_TASKS)
    for shard, work in products.items():
        splits = max(1, round(work / max(of_task, _READING * float(sizes[shard].sum()) * dimension)))
        tasks += [ShardTask(shard, split, splits) for split in range(splits)]
    return tasks


def _search_task(
    batches: Iterator[pa.RecordBatch],
    cells: Cells,
    task: ShardTask,
    sizes: NDArray[np.int64],
    how: tuple[int, int, int],
    final: bool,
) -> Iterator[pa.RecordBatch]:
    nprobe, k, threads = how
    threads = min(threads, os.cpu_count() or 1)
    shard = cells.in_shard(task.shard)
    offsets = cell_offsets(sizes)
    rows, twins = loaded(batches, shard.number, offsets, cells.centroids.shape[1])
    # By item, not by place: the order of rows inside a cell is that of their arrival.
    mine = np.flatnonzero(rows.items % task.splits == task.split)
    around = shard.around(nprobe)

    def lists_of(chosen: NDArray[np.int64]) -> pa.RecordBatch:
        queries = rows.take(chosen)
        home = np.searchsorted(offsets, chosen, side="right") - 1
        probed = shard.probes_near(queries.vectors, home, nprobe, around).astype(np.int32)
        found = search(queries, rows, offsets, probed, k)
        if final:
            found = neighbour_lists.with_twins(queries.items, found, twins)
        return of_shard(task.shard, neighbour_lists.to_arrow(queries.items, found))

    size = max(1, min(QUERY_BLOCK, -(-len(mine) // threads)))
    blocks = [mine[start : start + size] for start in range(0, len(mine), size)]
    with ThreadPoolExecutor(threads) as pool:
        for first in range(0, len(blocks), threads):  # a few at a time: lists wait until Spark takes them
            yield from pool.map(lists_of, blocks[first : first + threads])


def _of_twins(shard_table: DataFrame, found: DataFrame, k: int) -> DataFrame:
    """Give every twin the list of the item it equals."""
    pairs = shard_table.where("twin_of is not null").select(F.col("item").alias("twin"), F.col("twin_of").alias("item"))

    def exchange(batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        for batch in batches:
            twin, item = batch.column("twin").to_numpy(), batch.column("item").to_numpy()
            offsets, neighbors = neighbour_lists.flat(batch.column("neighbors"))
            _, similarities = neighbour_lists.flat(batch.column("similarities"))
            lists = neighbour_lists.of_twin(twin, item, offsets, neighbors.to_numpy(), similarities.to_numpy(), k=k)
            yield neighbour_lists.to_arrow(twin, lists)

    return map_batches(pairs.join(found, "item", "inner"), exchange, schemas.KNN)
