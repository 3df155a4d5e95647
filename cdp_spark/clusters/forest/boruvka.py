"""edges -> maximum spanning forest in rounds of many tasks, for a component whose edges no task can hold (Boruvka).

In each round every part takes its best edge to another part; parts that are so joined become one, and of the edges
between two parts only the best is left. Once a task can hold what is left, Kruskal finishes. Edges are compared by
(score falling, src, dst) everywhere, so the forest is the one that Kruskal alone would find.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import reduce

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from cdp_spark.base import schemas
from cdp_spark.clusters.forest.grow import Materialise
from cdp_spark.clusters.kernels.spanning_forest import contracted_forest
from cdp_spark.spark.arrow import in_batches, map_batches


def forest_in_rounds(edges: DataFrame, *, task_edges: int, materialise: Materialise) -> DataFrame:
    """Find the maximum spanning forest of edges that no task can hold.

    Parameters
    ----------
    edges : DataFrame (``schemas.FOREST``)
        Stored.
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
        best, _ = materialise(f"rounds/best-{number}", _best_edges(left))
        chosen.append(best.select(*schemas.FOREST.names).distinct())
        parts = _joined_parts(best, number, materialise)
        left, rows = materialise(f"rounds/left-{number}", _contracted(left, parts))
    chosen.append(_finished(left))
    return reduce(DataFrame.unionByName, chosen)


# The larger is the better: a higher score, then a smaller src, then a smaller dst.
_RANK = "struct(score, -src as src, -dst as dst)"
_OF_RANK = ("-edge.src as src", "-edge.dst as dst", "edge.score as score")


def _best_edges(left: DataFrame) -> DataFrame:
    """Return (part, other, src, dst, score): the best edge of every part, and the part that it leads to."""
    there = left.withColumnsRenamed({"a": "part", "b": "other"})
    back = left.withColumnsRenamed({"b": "part", "a": "other"})
    both = there.unionByName(back).withColumn("edge", F.expr(_RANK))
    best = both.groupBy("part").agg(F.max_by("other", "edge").alias("other"), F.max("edge").alias("edge"))
    return best.selectExpr("part", "other", *_OF_RANK)


def _joined_parts(best: DataFrame, number: int, materialise: Materialise) -> DataFrame:
    """Return (part, root): who belongs together, by jumping along the best edges until nothing moves."""
    back = best.select(F.col("part").alias("other"), F.col("other").alias("back"))
    mutual = (F.col("back") == F.col("part")) & (F.col("part") < F.col("other"))
    # Best edges lead in circles of two only: the smaller of such two is the root.
    root = F.when(mutual, F.col("part")).otherwise(F.col("other")).alias("root")
    parts, _ = materialise(f"rounds/parts-{number}-0", best.join(back, "other", "inner").select("part", root))
    jump = 0
    while True:
        jump += 1
        roots = parts.select(F.col("part").alias("root"), F.col("root").alias("next"))
        jumped = parts.join(roots, "root", "inner")
        moved = jumped.select("part", F.col("next").alias("root"), (F.col("next") != F.col("root")).alias("moved"))
        after, _ = materialise(f"rounds/parts-{number}-{jump}", moved)
        parts = after.select("part", "root")
        if after.where("moved").isEmpty():
            return parts


def _contracted(left: DataFrame, parts: DataFrame) -> DataFrame:
    """Name edges by the new parts; leave out those inside one, and all but the best between two."""
    of_a, of_b = (parts.select(F.col("part").alias(end), F.col("root").alias(f"{end}_root")) for end in ("a", "b"))
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
