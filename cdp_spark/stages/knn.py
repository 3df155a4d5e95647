"""shards -> knn: the k most similar items of each item.

Each task searches one shard, or a part of its queries; neighbours of neighbours improve the lists of each shard; the
lists that an item gets in several shards are merged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

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
from cdp_spark.kernels.search import QUERY_BLOCK, Block, Lists, search
from cdp_spark.kernels.vectors import decode
from cdp_spark.stages.arrow import map_batches

_TASK_PRODUCTS = 2e9 * 256
"""Multiplications (distances times dimension) of one task: some ten seconds."""
_MOST_TASKS = 500
"""Beyond so many, tasks become longer instead: each is a branch of Spark's plan, and reads its shard once more."""

_NO_TASK = -1
_NO_CELL = -1

Sizes = Mapping[int, NDArray[np.int64]]
"""For each shard the number of distinct vectors in each of its cells, in the order of ``Cells.in_shard``."""


@dataclass(frozen=True)
class _Task:
    shard: int
    split: int
    splits: int


def partial_lists(shard_table: DataFrame, cells: Cells, sizes: Sizes, *, nprobe: int, k: int, final: bool) -> DataFrame:
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
        Whether twins come into the lists at once: :func:`expanded_lists` does not follow.

    Returns
    -------
    DataFrame (``schemas.LISTS``)
        One row per distinct vector and shard that holds it; neighbours by (-similarity, item), without the item
        itself; fewer than k where the probed cells hold fewer. Lazy.
    """
    tasks = _tasks(sizes, nprobe, cells.centroids.shape[1])
    centroids, shard_of, plain_sizes = cells.centroids, cells.shard, dict(sizes)

    def search_shard(task: _Task, batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        known = Cells(centroids, shard_of)
        yield from _search_task(batches, known, task, plain_sizes[task.shard], (nprobe, k), final)

    vectors = _searched(shard_table)
    parts = [vectors.where(F.col("shard") == task.shard) for task in tasks]
    found = map_batches(_each_alone(parts), _with_task(tasks, search_shard), schemas.LISTS)
    return found.sortWithinPartitions("shard", "item")


def expanded_lists(shard_table: DataFrame, lists: DataFrame, cells: Cells, sizes: Sizes, *, k: int) -> DataFrame:
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

    Returns
    -------
    DataFrame (``schemas.LISTS``)
        One row per distinct vector and shard that holds it. Lazy.
    """
    tasks = [_Task(shard, 0, 1) for shard in sizes]
    centroids, shard_of, plain_sizes = cells.centroids, cells.shard, dict(sizes)

    def expand_shard(task: _Task, batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        known = Cells(centroids, shard_of)
        yield from _expand_task(batches, known, task.shard, plain_sizes[task.shard], k)

    nothing = {"neighbors": F.array().cast(schemas.LONGS), "similarities": F.array().cast(schemas.FLOATS)}
    vectors = _searched(shard_table).withColumns(nothing)
    known = lists.withColumns(
        {"cell": F.lit(_NO_CELL), "twins": F.array().cast(schemas.LONGS), "vector": F.lit(bytearray())}
    ).select(*vectors.columns)
    parts = [
        vectors.where(F.col("shard") == task.shard).unionAll(known.where(F.col("shard") == task.shard))
        for task in tasks
    ]
    found = map_batches(_each_alone(parts), _with_task(tasks, expand_shard), schemas.LISTS)
    return found.sortWithinPartitions("shard", "item")


def _searched(shard_table: DataFrame) -> DataFrame:
    twins = F.coalesce("twins", F.array().cast(schemas.LONGS)).alias("twins")  # see map_batches
    return shard_table.where("twin_of is null").select("shard", "item", "cell", twins, "vector")


def _each_alone(parts: Sequence[DataFrame]) -> DataFrame:
    """Let each task, in a partition of its own, read its rows from where they are stored.

    A shuffle would write every shard once more for each of its tasks: 10 GB for a million vectors of 256 numbers.
    """
    numbered = [rows.coalesce(1).withColumn("task", F.lit(number)) for number, rows in enumerate(parts)]
    # Spark 4.1 puts a union of single partitions into one partition; beside a part of two it does not.
    none = [F.lit(None).cast(field.dataType).alias(field.name) for field in parts[0].schema.fields]
    other = parts[0].sparkSession.range(0, 2, 1, 2).select(*none, F.lit(_NO_TASK).alias("task"))
    return _united([other, *numbered])


def _with_task(
    tasks: Sequence[_Task], work: Callable[[_Task, Iterator[pa.RecordBatch]], Iterable[pa.RecordBatch]]
) -> Callable[[Iterator[pa.RecordBatch]], Iterable[pa.RecordBatch]]:
    """Find out which task a partition of :func:`_each_alone` is, and do its work."""

    def run(batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        first = next(batches, None)
        if first is not None and (number := first.column("task")[0].as_py()) != _NO_TASK:
            yield from work(tasks[number], chain([first], batches))

    return run


def _united(tables: Sequence[DataFrame]) -> DataFrame:
    """Unite tables two by two: of hundreds, one after the other, the plan would be as deep as they are many."""
    while len(tables) > 1:
        tables = [
            tables[i].unionAll(tables[i + 1]) if i + 1 < len(tables) else tables[i] for i in range(0, len(tables), 2)
        ]
    return tables[0]


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
    found = merged(lists, k) if shards > 1 else lists.select(*schemas.KNN.names)
    if twin_count:
        found = found.unionByName(_of_twins(shard_table, found, k))
    return found.select(*schemas.KNN.names).sortWithinPartitions("item")


def merged(found: DataFrame, k: int) -> DataFrame:
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

    return map_batches(partial, merge, schemas.KNN)


def _tasks(sizes: Sizes, nprobe: int, dimension: int) -> list[_Task]:
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
        splits = max(1, round(work / of_task))
        tasks += [_Task(shard, split, splits) for split in range(splits)]
    return tasks


def _search_task(
    batches: Iterator[pa.RecordBatch],
    cells: Cells,
    task: _Task,
    sizes: NDArray[np.int64],
    how: tuple[int, int],
    final: bool,
) -> Iterator[pa.RecordBatch]:
    nprobe, k = how
    shard = cells.in_shard(task.shard)
    offsets = _offsets(sizes)
    rows, twins = _loaded(batches, shard.number, offsets, cells.centroids.shape[1])
    # By item, not by place: the order of rows inside a cell is that of their arrival.
    mine = np.flatnonzero(rows.items % task.splits == task.split)
    for start in range(0, len(mine), QUERY_BLOCK):
        chosen = mine[start : start + QUERY_BLOCK]
        queries = rows.take(chosen)
        probed = shard.probes(queries.vectors.astype(np.float64), nprobe).astype(np.int32)
        found = search(queries, rows, offsets, probed, k)
        if final:
            found = neighbour_lists.with_twins(queries.items, found, twins)
        yield _of_shard(task.shard, neighbour_lists.to_arrow(queries.items, found))


def _expand_task(
    batches: Iterator[pa.RecordBatch], cells: Cells, number: int, sizes: NDArray[np.int64], k: int
) -> Iterator[pa.RecordBatch]:
    parts: list[pa.RecordBatch] = []

    def of_vectors() -> Iterator[pa.RecordBatch]:
        for batch in batches:
            is_list = pa.compute.equal(batch.column("cell"), _NO_CELL)
            parts.append(batch.filter(is_list).select(["item", "neighbors", "similarities"]))
            yield batch.filter(pa.compute.invert(is_list))

    rows, twins = _loaded(of_vectors(), cells.in_shard(number).number, _offsets(sizes), cells.centroids.shape[1])
    found = expanded(rows, _by_row(rows, parts, k))
    for start in range(0, len(rows.items), QUERY_BLOCK):
        part = slice(start, start + QUERY_BLOCK)
        items = rows.items[part]
        some = Lists(found.neighbors[part], found.similarities[part], found.counts[part])
        yield _of_shard(number, neighbour_lists.to_arrow(items, neighbour_lists.with_twins(items, some, twins)))


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


def _of_shard(shard: int, lists: pa.RecordBatch) -> pa.RecordBatch:
    number = pa.array(np.full(lists.num_rows, shard, np.int32))
    return pa.RecordBatch.from_arrays([number, *lists.columns], names=schemas.LISTS.names)


def _offsets(sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def _loaded(
    batches: Iterator[pa.RecordBatch], number: NDArray[np.int64], offsets: NDArray[np.int64], dimension: int
) -> tuple[Block, neighbour_lists.Twins]:
    """Put each row at once where its cell has room: no sort, and no second copy of the vectors."""
    items = np.empty(offsets[-1], np.int64)
    vectors = np.empty((offsets[-1], dimension), np.float32)
    free = offsets[:-1].copy()
    twins: list[pa.Array] = []
    owners: list[NDArray[np.int64]] = []
    for batch in batches:
        cell = number[batch.column("cell").to_numpy()]
        order = np.argsort(cell, kind="stable")
        counts = np.bincount(cell, minlength=len(free))
        within = np.arange(len(cell)) - np.repeat(np.cumsum(counts) - counts, counts)
        place = np.empty(len(cell), np.int64)
        place[order] = free[cell[order]] + within
        free += counts
        items[place] = batch.column("item").to_numpy()
        vectors[place] = decode(batch.column("vector"), dimension)
        has_twins = pa.compute.greater(pa.compute.list_value_length(batch.column("twins")), 0)
        twins.append(batch.column("twins").filter(has_twins))
        owners.append(batch.column("item").filter(has_twins).to_numpy())
    known = neighbour_lists.Twins.of(np.concatenate(owners), pa.chunked_array(twins).combine_chunks())
    return Block.of(items, vectors), known


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
