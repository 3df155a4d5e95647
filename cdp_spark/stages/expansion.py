"""lists of a search of few cells -> better lists: neighbours of neighbours, inside each shard."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from cdp_spark.base import schemas
from cdp_spark.kernels import lists as neighbour_lists
from cdp_spark.kernels.cells import Cells
from cdp_spark.kernels.expansion import expanded
from cdp_spark.kernels.numbering import places
from cdp_spark.kernels.search import QUERY_BLOCK, Block, Lists
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

_NO_CELL = -1


def expanded_lists(
    shard_table: DataFrame, lists: DataFrame, cells: Cells, sizes: Sizes, *, k: int, cores: int = 1
) -> DataFrame:
    """Improve the lists of each shard by neighbours of neighbours, and bring twins in.

    Parameters
    ----------
    shard_table : DataFrame (``schemas.SHARDS``)
    lists : DataFrame (``schemas.LISTS``)
        Stored, by shard.
    cells : Cells
    sizes : mapping of shard to ndarray of int64
        Distinct vectors in each cell of the shard.
    k : int
    cores : int
        Of the session: where there are fewer shards, the task of each may use several.

    Returns
    -------
    DataFrame (``schemas.LISTS``)
        One row per distinct vector and shard that holds it. Lazy.
    """
    tasks = [ShardTask(shard, 0, 1) for shard in sizes]
    centroids, shard_of, plain_sizes = cells.centroids, cells.shard, dict(sizes)
    threads = threads_each(len(tasks), cores)

    def expand_shard(task: ShardTask, batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        known = Cells(centroids, shard_of)
        yield from _expand_task(batches, known, task.shard, plain_sizes[task.shard], (k, threads))

    nothing = {"neighbors": F.array().cast(schemas.LONGS), "similarities": F.array().cast(schemas.FLOATS)}
    vectors = searched_rows(shard_table).withColumns(nothing)
    known = lists.withColumns(
        {"cell": F.lit(_NO_CELL), "twins": F.array().cast(schemas.LONGS), "vector": F.lit(bytearray())}
    ).select(*vectors.columns)
    parts = [
        vectors.where(F.col("shard") == task.shard).unionAll(known.where(F.col("shard") == task.shard))
        for task in tasks
    ]
    found = map_batches(each_alone(parts), with_task(tasks, expand_shard), schemas.LISTS)
    return found.sortWithinPartitions("shard", "item")


def _expand_task(
    batches: Iterator[pa.RecordBatch], cells: Cells, number: int, sizes: NDArray[np.int64], how: tuple[int, int]
) -> Iterator[pa.RecordBatch]:
    k, threads = how
    parts: list[pa.RecordBatch] = []

    def of_vectors() -> Iterator[pa.RecordBatch]:
        for batch in batches:
            is_list = pa.compute.equal(batch.column("cell"), _NO_CELL)
            parts.append(batch.filter(is_list).select(["item", "neighbors", "similarities"]))
            yield batch.filter(pa.compute.invert(is_list))

    rows, twins = loaded(of_vectors(), cells.in_shard(number).number, cell_offsets(sizes), cells.centroids.shape[1])
    found = expanded(rows, _by_row(rows, parts, k), threads=min(threads, os.cpu_count() or 1))
    for start in range(0, len(rows.items), QUERY_BLOCK):
        part = slice(start, start + QUERY_BLOCK)
        items = rows.items[part]
        some = Lists(found.neighbors[part], found.similarities[part], found.counts[part])
        yield of_shard(number, neighbour_lists.to_arrow(items, neighbour_lists.with_twins(items, some, twins)))


def _by_row(rows: Block, parts: list[pa.RecordBatch], k: int) -> Lists:
    """Put each list where the row of its item is; neighbours become row numbers."""
    order = np.argsort(rows.items)
    known = rows.items[order]
    found = neighbour_lists.empty_lists(len(rows.items), k)
    while parts:
        part = parts.pop()
        place = order[places(known, part.column("item").to_numpy())]
        offsets, neighbors = neighbour_lists.flat(part.column("neighbors"))
        _, similarities = neighbour_lists.flat(part.column("similarities"))
        counts = np.diff(offsets)
        owner = np.repeat(place, counts)
        within = np.arange(len(owner)) - np.repeat(offsets[:-1], counts)
        found.neighbors[owner, within] = order[places(known, neighbors.to_numpy())]
        found.similarities[owner, within] = similarities.to_numpy()
        found.counts[place] = counts
    return found
