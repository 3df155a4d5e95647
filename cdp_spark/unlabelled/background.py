"""vectors -> backgrounds: how similar strangers are to each item, by model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql.types import StructType

from cdp_spark.base import schemas
from cdp_spark.base.numeric.unit_vectors import decode
from cdp_spark.spark.arrow import map_batches
from cdp_spark.unlabelled.blocks import binary
from cdp_spark.unlabelled.kernels import background as kernel
from cdp_spark.unlabelled.unlabelled_tables import BACKGROUND

_AMPLE = 2.0
"""Candidates per drawn item, so that there are enough."""

VECTORS = StructType([schemas.SHARDS["item"], schemas.SHARDS["vector"]])


def drawn_vectors(vectors: DataFrame, dimension: int, *, item_count: int) -> NDArray[np.float16]:
    """Bring the vectors of the items drawn, the same for all, to the driver: 1,000 at most (runs one job).

    Parameters
    ----------
    vectors : DataFrame (item: long, vector: binary)
    dimension, item_count : int
    """
    share = _AMPLE * kernel.DRAWN / max(1, item_count)

    def smallest(batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        for batch in batches:
            yield batch.filter(pa.array(kernel.hashes(batch.column("item").to_numpy()) < share))

    table = map_batches(vectors.select("item", "vector"), smallest, VECTORS, observed=False).toArrow()
    items = table.column("item").to_numpy()
    order = np.argsort(items)
    rows = decode(table.column("vector").combine_chunks(), dimension) if len(items) else np.empty((0, dimension))
    kept = np.isin(items[order], kernel.drawn_items(items))
    return rows[order[kept]].astype(np.float16)


def backgrounds(vectors: DataFrame, drawn: NDArray[np.float16], model: int) -> DataFrame:
    """Measure the background of every item in one model.

    Parameters
    ----------
    vectors : DataFrame (item: long, vector: binary)
    drawn : ndarray of float16, shape (m, d)
        From :func:`drawn_vectors`; they travel to every worker.
    model : int

    Returns
    -------
    DataFrame (``unlabelled_tables.BACKGROUND``)
        One row per item. Lazy.
    """
    dimension = drawn.shape[1]

    def measure(batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        for batch in batches:
            if not batch.num_rows:
                continue
            measured = kernel.background(decode(batch.column("vector"), dimension), drawn)
            lengths = np.ones(len(measured), np.int64)
            columns = [
                pa.array(np.full(len(measured), model, np.int32)), batch.column("item"), binary(measured, lengths),
            ]  # fmt: skip
            yield pa.RecordBatch.from_arrays(columns, names=BACKGROUND.names)

    return map_batches(vectors.select("item", "vector"), measure, BACKGROUND)
