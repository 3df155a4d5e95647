"""scored_pairs -> forest: the maximum spanning forest, or a superset if one task cannot hold it.

The forest holds the components of every threshold, so later stages read at most N - 1 edges.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import reduce

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from cdp_spark.base import schemas
from cdp_spark.clusters.kernels.spanning_forest import Edges, Forest, contracted_forest
from cdp_spark.runs import register
from cdp_spark.spark.arrow import in_batches, map_batches

_GATHER = 500_000
"""Pairs that are filtered together, while the next ones are read."""
_AT_ONCE = 4_000_000
"""Number of pairs up to which one task is faster than a stored round of many tasks and a stored last round."""
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
    """Keep only the pairs in the maximum spanning forest of their partition.

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
        Contains the maximum spanning forest of all pairs, and equals it if there was a single partition with at most
        ``task_edges`` items. Lazy.
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


def forest_in_rounds(edges: DataFrame, *, task_edges: int, materialise: Materialise) -> DataFrame:
    """Find the maximum spanning forest of edges that no task can hold.

    Parameters
    ----------
    edges : DataFrame (``schemas.FOREST``)
        Read from a stored table.
    task_edges : int
        Edges that one task may hold.
    materialise : callable
        Makes a table durable under a name; returns it and its number of rows.

    Returns
    -------
    DataFrame (``schemas.FOREST``)
        Runs jobs; the last step is lazy.
    """
    left = edges.select(F.least("src", "dst").alias("a"), F.greatest("src", "dst").alias("b"), *schemas.FOREST.names)
    chosen: list[DataFrame] = []
    number, rows = 0, task_edges + 1
    while rows > task_edges:
        number += 1
        best, _ = materialise(register.ROUNDS.of(f"best-{number}"), _best_edges(left))
        chosen.append(best.select(*schemas.FOREST.names).distinct())
        fragments = _joined_fragments(best, number, materialise)
        left, rows = materialise(register.ROUNDS.of(f"left-{number}"), _contracted(left, fragments))
    chosen.append(_finished(left))
    return reduce(DataFrame.unionByName, chosen)


# Larger is better: a higher score, then a smaller src, then a smaller dst.
_RANK = "struct(score, -src as src, -dst as dst)"
_OF_RANK = ("-edge.src as src", "-edge.dst as dst", "edge.score as score")


def _best_edges(left: DataFrame) -> DataFrame:
    """Return (fragment, other, src, dst, score): the best edge of each fragment, and the fragment that it leads to."""
    there = left.withColumnsRenamed({"a": "fragment", "b": "other"})
    back = left.withColumnsRenamed({"b": "fragment", "a": "other"})
    both = there.unionByName(back).withColumn("edge", F.expr(_RANK))
    best = both.groupBy("fragment").agg(F.max_by("other", "edge").alias("other"), F.max("edge").alias("edge"))
    return best.selectExpr("fragment", "other", *_OF_RANK)


def _joined_fragments(best: DataFrame, number: int, materialise: Materialise) -> DataFrame:
    """Return (fragment, root): fragments that join, found by pointer jumping along the best edges."""
    back = best.select(F.col("fragment").alias("other"), F.col("other").alias("back"))
    mutual = (F.col("back") == F.col("fragment")) & (F.col("fragment") < F.col("other"))
    # Best edges form cycles of two only; the smaller fragment of a cycle is the root.
    root = F.when(mutual, F.col("fragment")).otherwise(F.col("other")).alias("root")
    fragments, _ = materialise(
        register.ROUNDS.of(f"fragments-{number}-0"), best.join(back, "other", "inner").select("fragment", root)
    )
    jump = 0
    while True:
        jump += 1
        roots = fragments.select(F.col("fragment").alias("root"), F.col("root").alias("next"))
        jumped = fragments.join(roots, "root", "inner")
        moved = jumped.select("fragment", F.col("next").alias("root"), (F.col("next") != F.col("root")).alias("moved"))
        after, _ = materialise(register.ROUNDS.of(f"fragments-{number}-{jump}"), moved)
        fragments = after.select("fragment", "root")
        if after.where("moved").isEmpty():
            return fragments


def _contracted(left: DataFrame, fragments: DataFrame) -> DataFrame:
    """Name edges by the new fragments; leave out those inside one, and all but the best between two."""
    of_a, of_b = (
        fragments.select(F.col("fragment").alias(end), F.col("root").alias(f"{end}_root")) for end in ("a", "b")
    )
    named = left.join(of_a, "a", "inner").join(of_b, "b", "inner").where("a_root != b_root")
    ends = F.least("a_root", "b_root").alias("a"), F.greatest("a_root", "b_root").alias("b")
    return named.groupBy(*ends).agg(F.expr(f"max({_RANK})").alias("edge")).selectExpr("a", "b", *_OF_RANK)


def _finished(left: DataFrame) -> DataFrame:
    def finish(batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        table = pa.Table.from_batches(batches, schema=_ARROW)
        kept = contracted_forest(*(column.to_numpy() for column in table.columns))
        return in_batches(table.select(schemas.FOREST.names).take(pa.array(kept)))

    return map_batches(left, finish, schemas.FOREST, one_task=True)


_ARROW = pa.schema([(name, pa.int64()) for name in ("a", "b", "src", "dst")] + [("score", pa.float32())])
