"""Forests of votes by halves of a committee -> number of items in clusters that both halves have in common.

If the threshold is too low, clusters of both halves run together, in different ways; if it is too high, few items are
in clusters. Both halves use the base's similarities, so the agreeing share rises with the threshold up to 1: an index
of agreement would choose the highest threshold that leaves any pair.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import DoubleType, FloatType, IntegerType, LongType, StructField, StructType

from cdp_spark.clusters.kernels.alike import items_alike
from cdp_spark.clusters.kernels.dendrogram import Dendrogram
from cdp_spark.clusters.kernels.pruning import cut_by_code
from cdp_spark.evaluation.thresholds import SweepInput
from cdp_spark.spark.arrow import gathered, map_batches

Longs = NDArray[np.int64]

FORESTS = StructType(
    [
        StructField("half", IntegerType()),
        StructField("src", LongType()),
        StructField("dst", LongType()),
        StructField("score", FloatType()),
    ]
)
ALIKE = StructType([StructField("threshold", DoubleType()), StructField("alike", DoubleType())])
"""``alike``: items in clusters of two or more that both halves have, mean over the splits."""


def items_alike_by_threshold(
    forests: DataFrame, splits: Sequence[tuple[int, int]], halves: Sequence[SweepInput]
) -> DataFrame:
    """Compare the clusters of halves at every threshold, by the rule of the authors' code.

    Parameters
    ----------
    forests : DataFrame (``FORESTS``)
        The exact maximum spanning forest of each half's pairs. One task holds them all.
    splits : sequence of (int, int)
        Numbers of the two halves of each split.
    halves : sequence of SweepInput
        One per half, with the same thresholds.

    Returns
    -------
    DataFrame (``ALIKE``)
        One row per threshold. Lazy.
    """

    def compared(batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        half, src, dst, score = gathered(batches, FORESTS)
        trees = [
            Dendrogram.of_forest(src[half == number], dst[half == number], score[half == number])
            for number in range(len(halves))
        ]
        rows = []
        for threshold in sorted(halves[0].starts):
            roots = [_roots(tree, threshold, given) for tree, given in zip(trees, halves, strict=True)]
            alike = sum(items_alike(roots[one], roots[other]) for one, other in splits)
            rows.append({"threshold": threshold, "alike": alike / len(splits)})
        yield pa.RecordBatch.from_pylist(rows, schema=to_arrow_schema(ALIKE))

    return map_batches(forests.select(*FORESTS.names), compared, ALIKE, one_task=True)


def _roots(tree: Dendrogram, threshold: float, given: SweepInput) -> Longs:
    root = np.arange(given.item_count)
    if (start := given.starts[threshold]) is not None:
        cut = cut_by_code(tree, threshold, start=start, limits=given.limits)
        root[cut.items] = cut.root
    return root


def share_of_votes(accept: int, members: int, half: int) -> int:
    """Return the members of a half that must agree, so that their share is at least that of the committee.

    Parameters
    ----------
    accept, members : int
        Members of the whole committee that must agree, and all of them.
    half : int
        Members of the half.

    Examples
    --------
    >>> [share_of_votes(2, 3, half) for half in (1, 2)]
    [1, 2]
    """
    return -(-accept * half // members)
