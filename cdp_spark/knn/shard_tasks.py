"""Tasks that work on one shard each: its rows are read where they are stored, and put in the order of their cells.

In: the shard table, and what else a task reads of its shard. Out: one partition per task, never mixed with another.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from cdp_spark.base import schemas
from cdp_spark.base.numeric.unit_vectors import decode
from cdp_spark.knn.kernels import neighbor_lists as neighbour_lists
from cdp_spark.knn.kernels.search_cells import MOST_THREADS, QUERY_BLOCK, Block, Lists
from cdp_spark.spark.arrow import Kernel, map_batches
from cdp_spark.spark.differences import is_sail

_NO_TASK = -1

Work = Callable[[int, Iterator[pa.RecordBatch]], Iterable[pa.RecordBatch]]
"""What is done with the rows of one part, given its number."""

Sizes = Mapping[int, NDArray[np.int64]]
"""For each shard the number of distinct vectors in each of its cells, in the order of ``Cells.in_shard``."""


def threads_each(tasks: int, cores: int) -> int:
    """Return how many threads each task may have, where there are fewer tasks than cores."""
    return max(1, min(MOST_THREADS, cores // max(1, tasks)))


def threads_here(threads: int) -> int:
    """Return how many of a task's threads the worker's machine has cores for."""
    return min(threads, os.cpu_count() or 1)


def blocks_of(rows: int, threads: int) -> list[slice]:
    """Divide the rows of a search evenly, so that all threads end together.

    >>> blocks_of(200_000, 2)
    [slice(0, 50000, None), slice(50000, 100000, None), slice(100000, 150000, None), slice(150000, 200000, None)]
    """
    count = threads * max(1, -(-rows // (threads * QUERY_BLOCK)))
    bounds = [number * rows // count for number in range(count + 1)]
    return [slice(low, high) for low, high in pairwise(bounds) if low < high]


def searched_rows(shard_table: DataFrame) -> DataFrame:
    """Return the distinct vectors of all shards: (shard, item, cell, twins, vector)."""
    return shard_table.where("twin_of is null").select("shard", "item", "cell", "twins", "vector")


def mapped_alone(parts: Sequence[DataFrame], work: Work, schema: StructType) -> DataFrame:
    """Let each part be one task, which reads its rows from where they are stored.

    A shuffle would write every shard once more for each of its tasks: 10 GB for a million vectors of 256 numbers.

    Parameters
    ----------
    parts : sequence of DataFrame
        Of the same columns.
    work : callable (number of the part, its batches) -> batches
    schema : StructType

    Returns
    -------
    DataFrame (``schema``)
        Lazy.
    """
    if is_sail(parts[0].sparkSession):
        # One function over a union would meet rows of several parts: Sail spreads the parts over partitions anew.
        each = (map_batches(rows, _limited(work, number), schema, one_task=True) for number, rows in enumerate(parts))
        return _united(list(each))
    return map_batches(_each_alone(parts), _by_task(work), schema)


def _limited(work: Work, number: int) -> Kernel:
    """Do the work of one part; of all parts, which Sail begins at once, only as many at a time as there are cores."""

    def run(batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        from cdp_spark.spark import differences

        with differences.AT_ONCE:
            if (first := _first_with_rows(batches)) is not None:
                yield from work(number, chain([first], batches))

    return run


def _each_alone(parts: Sequence[DataFrame]) -> DataFrame:
    """Put each part into a partition of its own, with its number as ``task``."""
    numbered = [rows.coalesce(1).withColumn("task", F.lit(number)) for number, rows in enumerate(parts)]
    # Spark 4.1 puts a union of single partitions into one partition; beside a part of two it does not.
    none = [F.lit(None).cast(field.dataType).alias(field.name) for field in parts[0].schema.fields]
    other = parts[0].sparkSession.range(0, 2, 1, 2).select(*none, F.lit(_NO_TASK).alias("task"))
    return _united([other, *numbered])


def _by_task(work: Work) -> Kernel:
    """Find out which of the parts a partition of :func:`_each_alone` is, and do its work."""

    def run(batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        first = _first_with_rows(batches)
        if first is not None and (number := first.column("task")[0].as_py()) != _NO_TASK:
            yield from work(number, chain([first], batches))

    return run


def _first_with_rows(batches: Iterator[pa.RecordBatch]) -> pa.RecordBatch | None:
    """Return the first batch that has a row; None where a partition has none."""
    return next((batch for batch in batches if batch.num_rows), None)


def _united(tables: Sequence[DataFrame]) -> DataFrame:
    """Unite tables two by two: of hundreds, one after the other, the plan would be as deep as they are many."""
    while len(tables) > 1:
        tables = [
            tables[i].unionAll(tables[i + 1]) if i + 1 < len(tables) else tables[i] for i in range(0, len(tables), 2)
        ]
    return tables[0]


def of_shard(shard: int, items: NDArray[np.int64], found: Lists, twins: neighbour_lists.Twins) -> pa.RecordBatch:
    """Bring twins into the lists of some items of a shard: ``schemas.LISTS``."""
    lists = neighbour_lists.to_arrow(items, neighbour_lists.with_twins(items, found, twins))
    number = pa.array(np.full(lists.num_rows, shard, np.int32))
    return pa.RecordBatch.from_arrays([number, *lists.columns], names=schemas.LISTS.names)


def cell_offsets(sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where the rows of each cell begin, and where the last end."""
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def loaded(
    batches: Iterator[pa.RecordBatch], number: NDArray[np.int64], offsets: NDArray[np.int64], dimension: int
) -> tuple[Block, neighbour_lists.Twins]:
    """Put each row at once where its cell has room: no sort, and no second copy of the vectors."""
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
        place = np.empty(len(cell), np.int64)
        place[order] = free[cell[order]] + within
        free += counts
        items[place] = batch.column("item").to_numpy()
        vectors[place] = decode(batch.column("vector"), dimension)
        has_twins = pa.compute.greater(pa.compute.list_value_length(batch.column("twins")), 0)
        twins.append(batch.column("twins").filter(has_twins))
        owners.append(batch.column("item").filter(has_twins).to_numpy())
    if not offsets[-1]:  # no row: Sail then hands over no batch either
        return Block.of(items, vectors), neighbour_lists.Twins.of(items, pa.array([], pa.list_(pa.int64())))
    known = neighbour_lists.Twins.of(np.concatenate(owners), pa.chunked_array(twins).combine_chunks())
    return Block.of(items, vectors), known
