"""vectors -> vectors of some of their coordinates, as if they were another model's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame

from cdp_spark.base.numeric.unit_vectors import decode, encode
from cdp_spark.spark.arrow import map_batches
from cdp_spark.unlabelled.background import VECTORS
from cdp_spark.unlabelled.kernels.splits import at_coordinates


def vectors_at_coordinates(vectors: DataFrame, dimension: int, coordinates: NDArray[np.int64]) -> DataFrame:
    """Take some coordinates of all vectors, and bring these to length 1 again.

    Parameters
    ----------
    vectors : DataFrame (item: long, vector: binary)
    dimension : int
    coordinates : ndarray of int64
        None: all.

    Returns
    -------
    DataFrame (item: long, vector: binary)
        One row per row. Lazy.
    """

    def take(batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        for batch in batches:
            if batch.num_rows:
                chosen = at_coordinates(decode(batch.column("vector"), dimension), coordinates)
                yield pa.RecordBatch.from_arrays([batch.column("item"), encode(chosen)], names=VECTORS.names)

    return map_batches(vectors.select("item", "vector"), take, VECTORS, observed=False)
