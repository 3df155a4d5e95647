"""forest -> the strongest path between two items, and a few items' rows of the stored tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import reduce

import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import LongType, StructField, StructType

from cdp_spark.base import schemas
from cdp_spark.clusters.kernels.spanning_forest import maximum_spanning_forest
from cdp_spark.explain.kernels.forest_paths import strongest_path
from cdp_spark.spark.arrow import gathered, in_batches, map_batches

PATH = StructType([StructField("place", LongType()), *schemas.FOREST.fields])
"""The edges of a path, from place 0 on."""

_PUSHED = 10
"""Spark hands down to Parquet an ``in`` of so many values (``spark.sql.parquet.pushdown.inFilterThreshold``)."""
_MANY = 1_000


def path(edges: DataFrame, start: int, end: int, *, is_forest: bool) -> DataFrame:
    """Find the path between two items whose weakest edge is strongest.

    Parameters
    ----------
    edges : DataFrame (``schemas.FOREST``)
        Few enough for one task.
    start, end : int
    is_forest : bool
        Whether they are the maximum spanning forest already, or a superset.

    Returns
    -------
    DataFrame (``PATH``)
        No row when there is no path. Lazy.
    """

    def find(batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        columns = gathered(batches, schemas.FOREST)
        if not is_forest:
            kept = maximum_spanning_forest(*columns)
            columns = [column[kept] for column in columns]
        found = strongest_path(columns[0], columns[1], start, end)
        places = pa.array(range(len(found)), pa.int64())
        rows = [places, *(pa.array(column[found]) for column in columns)]
        return in_batches(pa.RecordBatch.from_arrays(rows, names=PATH.names))

    return map_batches(edges.select(*schemas.FOREST.names), find, PATH, one_task=True)


def among(column: str, items: Sequence[int]) -> Column:
    """Tell which rows are of these items, in a form by which Parquet skips what it need not read.

    Parameters
    ----------
    column : str
    items : sequence of int
        One or more.
    """
    wanted = sorted(set(items))
    if len(wanted) > _MANY:
        return F.col(column).isin(wanted)
    parts = [F.col(column).isin(wanted[start : start + _PUSHED]) for start in range(0, len(wanted), _PUSHED)]
    return reduce(Column.__or__, parts)
