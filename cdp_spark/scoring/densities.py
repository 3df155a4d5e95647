"""How near the neighbours of items are, by which simulated worlds are told apart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import LongType, StructField, StructType

from cdp_spark.base import schemas
from cdp_spark.knn.flow import Graph
from cdp_spark.knn.kernels.neighbor_lists import flat
from cdp_spark.pairs.kernels.neighborhoods import Neighborhoods
from cdp_spark.runs.stage_store import StageResult
from cdp_spark.scoring.kernels import world_model as kernel
from cdp_spark.spark.arrow import as_lists, map_batches, matrix_of
from cdp_spark.spark.hashed_sample import hashed_sample

DENSITIES = StructType([StructField("item", LongType()), schemas.WORLD_PAIRS["features"]])


def densities(graphs: Sequence[DataFrame], k: int) -> DataFrame:
    """Describe how near the neighbours of items are in every model.

    Parameters
    ----------
    graphs : sequence of DataFrame (``schemas.KNN``)
        Base first; items that the first lacks are left out.
    k : int

    Returns
    -------
    DataFrame (``DENSITIES``)
        Lazy.
    """
    joined = graphs[0].select("item", F.col("similarities").alias("model_0"))
    for number, graph in enumerate(graphs[1:], 1):
        joined = joined.join(graph.select("item", F.col("similarities").alias(f"model_{number}")), "item", "inner")

    def describe(batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        none = np.empty(0, np.int64)
        for batch in batches:
            lists = [flat(column) for column in batch.columns[1:]]
            found = kernel.density_features(
                [Neighborhoods(offsets, none, values.to_numpy()) for offsets, values in lists], k
            )
            yield pa.RecordBatch.from_arrays([batch.column("item"), as_lists(found)], names=DENSITIES.names)

    return map_batches(joined, describe, DENSITIES)


SAMPLED_ITEMS = 20_000
"""Items of a world, or of the data to cluster, whose neighbourhoods are looked at to tell worlds apart."""


def sampled_densities(graphs: Mapping[str, Graph], k: int, among: StageResult | None = None) -> NDArray[np.float32]:
    """Describe the neighbourhoods of a hash sample of about ``SAMPLED_ITEMS`` items: shape (n, 9 per model).

    Parameters
    ----------
    graphs : mapping of model to Graph
        Base first.
    k : int
    among : StageResult (item: long, ...), optional
        Only of these.
    """
    first, *others = graphs.values()
    wanted, rows = first.table, first.vectors.rows
    if among is not None:
        wanted, rows = wanted.join(among.table, "item", "left_semi"), among.rows
    sample = hashed_sample(wanted, "item", salt="densities", below=min(1.0, SAMPLED_ITEMS / max(1, rows)))
    found = densities([sample, *(graph.table for graph in others)], k).toArrow().combine_chunks().sort_by("item")
    if not len(found):
        return np.empty((0, 9 * len(graphs)), np.float32)
    return matrix_of(found.column("features").combine_chunks())
