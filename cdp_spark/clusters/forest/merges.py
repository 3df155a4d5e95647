"""forest -> merges: the dendrogram as a table, and the pairs that hold a giant component together.

Every edge of the forest, best first, joins two components; its row names them and their sizes. For every threshold, the
table thus gives the number and sizes of the clusters, and the pairs that joined them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, DoubleType, LongType, StructField, StructType

from cdp_spark.base import schemas
from cdp_spark.clusters.kernels.dendrogram import Dendrogram, largest_component
from cdp_spark.spark.arrow import gathered, in_batches, map_batches

GIANTS = StructType(
    [
        StructField("component", LongType()),
        StructField("size", LongType()),
        StructField("falls_apart", DoubleType()),
        StructField("bridges", ArrayType(schemas.MERGED_ITEMS)),
    ]
)
"""The largest component of each partition; bridges are the merges of its largest pieces, the weakest first."""

_IDS = ("src", "dst", "left", "right")


def merges(grouped: DataFrame) -> DataFrame:
    """List the merges of the components of each partition.

    Parameters
    ----------
    grouped : DataFrame (``schemas.FOREST``)
        The forest, or a superset of it, whole components in one partition.

    Returns
    -------
    DataFrame (``schemas.MERGED_ITEMS``)
        Best first within each partition. Lazy.
    """

    def list_merges(batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        return in_batches(_rows(_tree(batches)))

    return map_batches(grouped, list_merges, schemas.MERGED_ITEMS)


def with_ids(merged: DataFrame, items: DataFrame) -> DataFrame:
    """Replace items by ids: ``schemas.merges``. Lazy."""
    for column in _IDS:
        named = items.select(F.col("item").alias(column), F.col("id").alias(f"{column}_id"))
        merged = merged.join(named, column, "inner").drop(column).withColumnRenamed(f"{column}_id", column)
    return merged.select(*schemas.MERGED_ITEMS.names)


def giants(grouped: DataFrame, threshold: float) -> DataFrame:
    """Describe the largest component of each partition.

    Parameters
    ----------
    grouped : DataFrame (``schemas.FOREST``)
        As for :func:`merges`.
    threshold : float

    Returns
    -------
    DataFrame (``GIANTS``)
        At most one row per partition. Lazy.
    """

    def describe(batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        tree = _tree(batches)
        giant = largest_component(tree, threshold)
        if giant is not None:
            bridges = pa.ListArray.from_arrays(
                [0, len(giant.bridges)], _rows(tree).take(giant.bridges).to_struct_array()
            )
            columns = [
                pa.array([giant.component]),
                pa.array([giant.size]),
                pa.array([giant.falls_apart]),
                bridges,
            ]
            yield pa.RecordBatch.from_arrays(columns, names=GIANTS.names)

    return map_batches(grouped, describe, GIANTS)


def _tree(batches: Iterator[pa.RecordBatch]) -> Dendrogram:
    return Dendrogram.of_edges(*gathered(batches, schemas.FOREST))


def _rows(tree: Dendrogram) -> pa.RecordBatch:
    columns = [pa.array(column) for column in (tree.score, tree.src, tree.dst, *tree.joined())]
    return pa.RecordBatch.from_arrays(columns, names=schemas.MERGED_ITEMS.names)
