"""Sample queries answered exactly in one pass over all vectors, and the recall of a KNN graph against them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from cdp_spark.base import schemas
from cdp_spark.kernels import lists as neighbour_lists
from cdp_spark.kernels.search import Block, everything, search
from cdp_spark.kernels.vectors import decode
from cdp_spark.stages.arrow import map_batches
from cdp_spark.stages.knn import merged


def exact_neighbors(vectors: DataFrame, items: NDArray[np.int64], queries: NDArray[np.float16], *, k: int) -> DataFrame:
    """Answer some queries exactly: each partition is searched whole, and the lists are merged.

    Parameters
    ----------
    vectors : DataFrame (item: long, vector: binary)
    items : ndarray of int64, shape (q,)
    queries : ndarray of float16, shape (q, d)
    k : int

    Returns
    -------
    DataFrame (``schemas.KNN``)
        One row per query. Lazy.
    """
    dimension = queries.shape[1]

    def search_partition(batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        found_items, found_vectors = [], []
        for batch in batches:
            found_items.append(batch.column("item").to_numpy())
            found_vectors.append(decode(batch.column("vector"), dimension))
        if not found_items:
            return
        rows = Block.of(np.concatenate(found_items), np.concatenate(found_vectors))
        offsets = np.array([0, len(rows.items)], np.int64)
        asked = Block.of(items, queries)
        yield neighbour_lists.to_arrow(items, search(asked, rows, offsets, everything(len(items)), k))

    return merged(map_batches(vectors.select("item", "vector"), search_partition, schemas.KNN), k)


def recall_figures(knn: DataFrame, truth: DataFrame) -> DataFrame:
    """Compare lists with the exact ones: one row (mean: double, deviation: double, queries: long)."""
    exact = truth.select("item", F.col("neighbors").alias("wanted")).where(F.size("wanted") > 0)
    both = exact.join(knn.select("item", "neighbors"), "item", "left")
    hits = F.size(F.array_intersect("wanted", F.coalesce("neighbors", F.array().cast("array<long>"))))
    share = both.select((hits / F.size("wanted")).alias("share"))
    return share.agg(
        F.avg("share").alias("mean"), F.stddev_pop("share").alias("deviation"), F.count("*").alias("queries")
    )
