"""scored_pairs -> forest: the maximum spanning forest, or a superset of it where one task cannot hold it.

The forest holds the components of every threshold, so all that follows reads at most N - 1 edges.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa
from pyspark.sql import DataFrame

from cdp_spark.base import schemas
from cdp_spark.clusters.kernels.spanning_forest import Edges, Forest
from cdp_spark.runs import register
from cdp_spark.spark.arrow import in_batches, map_batches

_GATHER = 500_000
"""Pairs that are filtered at once, while the next ones are being read."""
_AT_ONCE = 4_000_000
"""Up to so many pairs one task filters sooner than a round of many tasks and a last one, each of them stored."""
_SHRINKS = 0.9

Materialise = Callable[[str, DataFrame], tuple[DataFrame, int]]
"""Writes a round durably under a name; returns the table read back and its number of rows."""


@dataclass(frozen=True)
class ForestResult:
    """The forest's edges; ``complete`` is false when they are a superset of it."""

    table: DataFrame
    rows: int
    complete: bool


def filtered_pairs(pairs: DataFrame, *, task_edges: int, one_task: bool = False) -> DataFrame:
    """Drop the pairs that are no edge of the maximum spanning forest of their partition.

    Parameters
    ----------
    pairs : DataFrame (``schemas.SCORED_PAIRS``)
    task_edges : int
        Edges that a task may hold; a partition whose forest is larger is filtered in pieces.
    one_task : bool
        Whether one task reads all pairs.

    Returns
    -------
    DataFrame (``schemas.FOREST``)
        Holds the maximum spanning forest of all pairs; it is that forest when there was one partition whose items
        are at most ``task_edges``. Lazy.
    """

    def keep(batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        gather = max(1, min(_GATHER, task_edges // 2))
        forest = Forest(gather)
        for batch in batches:
            for start in range(0, batch.num_rows, gather):
                forest.add(*(column.to_numpy() for column in batch.slice(start, gather).columns))
                if forest.size > task_edges:
                    yield from _batches(forest.edges())
                    forest = Forest(gather)
        yield from _batches(forest.edges())

    return map_batches(pairs.select(*schemas.FOREST.names), keep, schemas.FOREST, one_task=one_task)


def grown_forest(
    pairs: DataFrame, *, item_count: int, pair_count: int, task_edges: int, materialise: Materialise
) -> ForestResult:
    """Filter the pairs in rounds of fewer and larger tasks, until one holds the forest or the bound is reached.

    Parameters
    ----------
    pairs : DataFrame (``schemas.SCORED_PAIRS``)
    item_count, pair_count : int
    task_edges : int
        Edges one task may hold.
    materialise : callable
        Makes each round durable.
    """
    if pair_count <= min(task_edges, _AT_ONCE):
        return _whole(pairs, task_edges, materialise)
    table, rows = materialise(register.FOREST.of("local"), filtered_pairs(pairs, task_edges=task_edges))
    number, shrinks = 1, True
    while shrinks and min(rows, item_count - 1) > task_edges:
        merged = filtered_pairs(table.coalesce(max(1, rows // task_edges)), task_edges=task_edges)
        table, left = materialise(register.FOREST.of(f"round-{number}"), merged)
        number, shrinks, rows = number + 1, left < _SHRINKS * rows, left
    if min(rows, item_count - 1) > task_edges:
        return ForestResult(table, rows, complete=False)
    return _whole(table, max(task_edges, rows), materialise)


def _whole(pairs: DataFrame, task_edges: int, materialise: Materialise) -> ForestResult:
    table, rows = materialise(register.FOREST.of("whole"), filtered_pairs(pairs, task_edges=task_edges, one_task=True))
    return ForestResult(table, rows, complete=True)


def _batches(edges: Edges) -> Iterator[pa.RecordBatch]:
    columns = [pa.array(column) for column in edges]
    return in_batches(pa.RecordBatch.from_arrays(columns, names=schemas.FOREST.names))
