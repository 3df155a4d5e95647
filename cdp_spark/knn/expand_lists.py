"""shards -> lists: a search of few cells, and neighbours of neighbours, inside each shard."""

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
from cdp_spark.knn.kernels.cells import Cells, Shard
from cdp_spark.knn.kernels.neighbors_of_neighbors import expanded
from cdp_spark.knn.kernels.search_cells import QUERY_BLOCK, Block, Lists, nearest_rows
from cdp_spark.knn.shard_tasks import (
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
        Of the session. With fewer shards than cores, the task of each shard may use several threads.
    """

    nprobe: int
    k: int
    cores: int = 1


def expanded_lists(shard_table: DataFrame, cells: Cells, sizes: Sizes, search: Search) -> DataFrame:
    """Search few cells for each vector of a shard, improve the lists by neighbours of neighbours, bring twins in.

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
    parts = [vectors.where(F.col("shard") == number) for number in tasks]
    return mapped_alone(parts, lists_of_shard, schemas.LISTS)


def _shard_task(
    batches: Iterator[pa.RecordBatch], cells: Cells, number: int, sizes: NDArray[np.int64], search: Search
) -> Iterator[pa.RecordBatch]:
    search = replace(search, cores=threads_here(search.cores))
    shard, offsets = cells.in_shard(number), cell_offsets(sizes)
    rows, twins = loaded(batches, shard.number, offsets, cells.centroids.shape[1])
    found = _lists(rows, shard, offsets, search)
    by_item = np.argsort(rows.items)
    for start in range(0, len(by_item), QUERY_BLOCK):
        part = by_item[start : start + QUERY_BLOCK]
        items = rows.items[part]
        some = Lists(found.neighbors[part], found.similarities[part], found.counts[part])
        yield of_shard(number, items, some, twins)


def _lists(rows: Block, shard: Shard, offsets: NDArray[np.int64], search: Search) -> Lists:
    """Search the cells near each row, and go on from what is found."""
    nprobe, k, threads = search.nprobe, search.k, search.cores
    around = shard.around(nprobe)
    home = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    near = np.empty((len(home), k), np.int32)
    similarities = np.empty(near.shape, np.float32)

    def search_some(part: slice) -> None:
        queries = Block(rows.items[part], rows.vectors[part], rows.norms[part])
        first = home[part, None]
        others = shard.probes_near(queries.vectors, home[part], nprobe, around)
        probed = np.hstack([first, np.where(others == first, -1, others)]).astype(np.int32)
        near[part], similarities[part] = nearest_rows(queries, rows, offsets, probed, k)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(search_some, blocks_of(len(home), threads)))
    return expanded(rows, near, similarities, threads=threads)
