"""Vectors beside rows about pairs of items: a task that agglomerates whole pieces gets those of its items, once each.

A vector comes as one more row of the same table, so that one exchange brings both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import reduce

import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from cdp_spark.agglomeration.kernels.centroids import Centroids
from cdp_spark.base.numeric.unit_vectors import decode

_VECTOR = -1
"""``dst`` of a row that brings a vector."""


def side_by_side(vectors: Sequence[DataFrame]) -> DataFrame:
    """Put the vectors of all models after one another.

    Parameters
    ----------
    vectors : sequence of DataFrame (item: long, vector: binary)
        Base first.

    Returns
    -------
    DataFrame (item: long, vector: binary)
        Lazy.
    """
    named = [table.select("item", F.col("vector").alias(f"model_{number}")) for number, table in enumerate(vectors)]
    joined = reduce(lambda one, other: one.join(other, "item", "inner"), named)
    return joined.select("item", F.concat(*(f"model_{number}" for number in range(len(named)))).alias("vector"))


def with_vectors(rows: DataFrame, members: DataFrame, vectors: DataFrame) -> DataFrame:
    """Add the vectors of items to rows about pairs of them.

    Parameters
    ----------
    rows : DataFrame (src: long, dst: long, and other columns of numbers)
    members : DataFrame (item: long, and those other columns that say in whose task the item is)
    vectors : DataFrame (item: long, vector: binary)

    Returns
    -------
    DataFrame (the columns of ``rows``, vector: binary)
        Lazy. What reads it is an :class:`Arrived`.
    """
    known = members.join(vectors, "item", "inner")
    given = {name: F.col(name) for name in members.columns} | {"src": F.col("item"), "dst": F.lit(_VECTOR)}
    columns = [given.get(field.name, F.lit(0)).cast(field.dataType).alias(field.name) for field in rows.schema.fields]
    none = F.lit(bytearray()).alias("vector")  # not null: see map_batches
    return rows.select("*", none).unionByName(known.select(*columns, "vector"))


class Arrived:
    """The vectors that came with the rows of a task."""

    def __init__(self, dimensions: Sequence[int]) -> None:
        self._dimensions = dimensions
        self._items: list[NDArray[np.int64]] = []
        self._vectors: list[NDArray[np.float16]] = []

    def taken(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Keep the vectors, and pass the rows about pairs on; without dimensions there are no vectors."""
        if not self._dimensions:
            yield from batches
            return
        for batch in batches:
            brings = pa.compute.equal(batch.column("dst"), _VECTOR)
            own = batch.filter(brings)
            if own.num_rows:
                self._items.append(own.column("src").to_numpy())
                self._vectors.append(decode(own.column("vector"), sum(self._dimensions)))
            yield batch.filter(pa.compute.invert(brings)).drop_columns(["vector"])

    def centroids(self, items: NDArray[np.int64]) -> Centroids | None:
        """Begin with clusters of one item each; None without dimensions."""
        if not self._dimensions:
            return None
        known = np.concatenate([np.empty(0, np.int64), *self._items])
        vectors = np.concatenate([np.empty((0, sum(self._dimensions)), np.float16), *self._vectors])
        order = np.argsort(known, kind="stable")
        rows = order[np.searchsorted(known[order], items)]
        return Centroids.of(vectors[rows], self._dimensions)
