"""Find the strongest path between two items, and the rows of a few items."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import reduce

import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import LongType, StructField, StructType

from cdp_spark.base import schemas
from cdp_spark.clusters.kernels.spanning_forest import maximum_spanning_forest
from cdp_spark.evidence.kernels.forest_paths import strongest_path
from cdp_spark.spark.arrow import gathered, in_batches, map_batches

PATH = StructType([StructField("step", LongType()), *schemas.FOREST.fields])
"""The edges of a path; ``step`` counts from 0."""

_PUSHED = 10
"""Values of an ``in`` that Spark pushes down to Parquet, at most (``spark.sql.parquet.pushdown.inFilterThreshold``)."""
_MANY = 1_000
"""Values beyond which pushing down no longer pays."""


def path(edges: DataFrame, start: int, end: int, *, is_forest: bool) -> DataFrame:
    """Find the path between two items whose weakest edge is strongest.

    Parameters
    ----------
    edges : DataFrame (``schemas.FOREST``)
        Edges that one task can hold.
    start, end : int
    is_forest : bool
        Whether ``edges`` is the maximum spanning forest; otherwise it is a superset.

    Returns
    -------
    DataFrame (``PATH``)
        No rows if there is no path. Lazy.
    """

    def find(batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        columns = gathered(batches, schemas.FOREST)
        if not is_forest:
            kept = maximum_spanning_forest(*columns)
            columns = [column[kept] for column in columns]
        edges_on_path = strongest_path(columns[0], columns[1], start, end)
        steps = pa.array(range(len(edges_on_path)), pa.int64())
        rows = [steps, *(pa.array(column[edges_on_path]) for column in columns)]
        return in_batches(pa.RecordBatch.from_arrays(rows, names=PATH.names))

    return map_batches(edges.select(*schemas.FOREST.names), find, PATH, one_task=True)


def among(column: str, items: Sequence[int]) -> Column:
    """Select rows of these items, in a form that lets Parquet skip row groups.

    Parameters
    ----------
    column : str
    items : sequence of int
        One or more.
    """
    wanted = sorted(set(items))
    if len(wanted) > _MANY:
        return F.col(column).isin(wanted)
    conditions = [F.col(column).isin(wanted[start : start + _PUSHED]) for start in range(0, len(wanted), _PUSHED)]
    return reduce(Column.__or__, conditions)
