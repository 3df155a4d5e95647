"""lists and vectors of all models -> joint lists of each subset, in-degrees and bin counts; without another search."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import IntegerType, LongType, StructField, StructType

from cdp_spark.base.numeric.float16 import row_norms
from cdp_spark.pairs.kernels.neighborhoods import Neighborhoods, cosines
from cdp_spark.spark.arrow import in_batches, map_batches
from cdp_spark.unlabelled.blocks import Arrived, Blocks, Sent, arrivals, by_block, flat_lists
from cdp_spark.unlabelled.kernels.joint_view import NEAREST, Cosine, Union
from cdp_spark.unlabelled.kernels.set_features import DENSITIES, STANDING, Standing
from cdp_spark.unlabelled.unlabelled_tables import JOINT

Longs = NDArray[np.int64]
Subsets = Sequence[tuple[int, ...]]
"""Numbers of each subset's models; an empty subset is left out."""
BinCounts = Sequence[tuple[Longs, Longs]]
"""Items in each bin of ``DENSITIES`` and of ``STANDING``, by subset."""

_VECTORS, _LISTS, _BACKGROUND = range(3)


@dataclass(frozen=True)
class ModelTables:
    """Tables of all models, by ``number`` of the model.

    Attributes
    ----------
    lists : DataFrame (number: int, item: long, neighbors, similarities)
    vectors, background : DataFrame (number: int, item: long, payload: binary)
    dimensions : list of int
        Lengths of the vectors.
    """

    lists: DataFrame
    vectors: DataFrame
    background: DataFrame
    dimensions: list[int]


def nearest(lists: DataFrame) -> DataFrame:
    """Cut lists to the 15 that joint lists are made of."""
    names = ("neighbors", "similarities")
    return lists.select("number", "item", *(F.slice(name, 1, NEAREST).alias(name) for name in names))


def joint_view(blocks: Blocks, models: ModelTables, subsets: Subsets) -> DataFrame:
    """Make the joint lists of every subset of the models.

    Parameters
    ----------
    blocks : Blocks
        The halo holds the first 15 neighbours of each own item in each model.
    models : ModelTables
    subsets : sequence of tuple of int

    Returns
    -------
    DataFrame (``unlabelled_tables.JOINT``)
        One row per subset and item. Lazy.
    """
    sent = [
        Sent(models.vectors), Sent(nearest(models.lists), own_only=True), Sent(models.background, own_only=True),
    ]  # fmt: skip
    dimensions = models.dimensions

    def compute(batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        for block in by_block(batches):
            items, own = block.items(_VECTORS)
            rows = np.flatnonzero(own)
            graphs = [block.lists(_LISTS, model, items) for model in range(len(dimensions))]
            grounds = [block.doubles(_BACKGROUND, model, items, 2) for model in range(len(dimensions))]
            union = Union.of(items, rows, graphs, grounds, cosine_of(block, _VECTORS, dimensions))
            for number, subset in enumerate(subsets):
                if subset:
                    yield from in_batches(_rows(number, items[rows], union.joint_lists(subset)))

    return map_batches(arrivals(blocks, sent), compute, JOINT)


def cosine_of(block: Arrived, kind: int, dimensions: Sequence[int]) -> Cosine:
    """Return what computes cosines of pairs of a block's rows in a model."""
    vectors = [block.vectors(kind, model, dimension) for model, dimension in enumerate(dimensions)]
    norms = [row_norms(each) for each in vectors]
    return lambda model, first, second: cosines(vectors[model], norms[model], first, second)


def _rows(number: int, items: Longs, lists: Neighborhoods) -> pa.RecordBatch:
    offsets = pa.array(lists.offsets.astype(np.int32))
    columns = [
        pa.array(np.full(len(items), number, np.int32)), pa.array(items),
        pa.ListArray.from_arrays(offsets, pa.array(lists.neighbors)),
        pa.ListArray.from_arrays(offsets, pa.array(lists.similarities)),
    ]  # fmt: skip
    return pa.RecordBatch.from_arrays(columns, names=JOINT.names)


def times_near(lists: DataFrame, joint: DataFrame, *, models: int, subsets: int) -> DataFrame:
    """Count in how many lists of 15 each item is.

    Parameters
    ----------
    lists : DataFrame (number: int, item: long, neighbors: array<long>)
        By number of the model.
    joint : DataFrame (``unlabelled_tables.JOINT``)
    models, subsets : int

    Returns
    -------
    DataFrame (``unlabelled_tables.NEAR``)
        One row per item that is in any. Lazy.
    """
    of_models = lists.select("number", F.explode(F.slice("neighbors", 1, NEAREST)).alias("item"))
    of_joint = joint.select((F.col("subset") + models).alias("number"), F.explode("neighbors").alias("item"))
    counted = of_models.unionAll(of_joint).groupBy("item", "number").agg(F.count("*").alias("times"))
    of_view = [
        F.coalesce(F.max(F.when(F.col("number") == view, F.col("times"))), F.lit(0)).cast("long")
        for view in range(models + subsets)
    ]
    return counted.groupBy("item").agg(F.array(*of_view).alias("near"))


_COUNTS = StructType(
    [*(StructField(name, IntegerType()) for name in ("subset", "kind", "bin")), StructField("items", LongType())]
)


def bin_counts(joint: DataFrame, subsets: int) -> BinCounts:
    """Count how many items of the whole set are in each bin (runs one job; 8,192 numbers a subset at most)."""

    def count(batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        total = [(np.zeros(DENSITIES.count, np.int64), np.zeros(STANDING.count, np.int64)) for _ in range(subsets)]
        for batch in batches:
            subset = batch.column("subset").to_numpy()
            for number in np.unique(subset).tolist():
                lists = flat_lists(batch.filter(pa.array(subset == number)))
                for known, more in zip(total[number], Standing.of(lists).counts(), strict=True):
                    known += more
        for number, kinds in enumerate(total):
            for kind, counts in enumerate(kinds):
                some = np.flatnonzero(counts)
                alike = [np.full(len(some), value, np.int32) for value in (number, kind)]
                columns = [pa.array(column) for column in (*alike, some.astype(np.int32), counts[some])]
                yield pa.RecordBatch.from_arrays(columns, names=_COUNTS.names)

    counted = map_batches(joint, count, _COUNTS, observed=False)
    counts_of = [(np.zeros(DENSITIES.count, np.int64), np.zeros(STANDING.count, np.int64)) for _ in range(subsets)]
    for row in counted.groupBy("subset", "kind", "bin").agg(F.sum("items").alias("items")).collect():
        counts_of[row["subset"]][row["kind"]][row["bin"]] = row["items"]
    return counts_of
