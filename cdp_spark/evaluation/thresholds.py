"""Evaluate many thresholds from the forest alone: no search, no scoring.

In: the whole forest and, if there are labels, the label of each item. Out: one row per threshold, each from one pass
over the tree of merges.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import DoubleType, LongType, StructField, StructType

from cdp_spark.base.numeric.dense_numbers import numbered
from cdp_spark.base.statuses import FORCED, SINGLETON
from cdp_spark.clusters.kernels.dendrogram import Dendrogram, largest_components
from cdp_spark.clusters.kernels.pruning import Limits, cut_by_code
from cdp_spark.evaluation.kernels.metrics import scores, sums_of
from cdp_spark.spark.arrow import map_batches

COUNTS = ("clusters", "singletons", "discarded", "forced", "largest", "largest_component", "second_component")
METRICS = (
    "pairwise_precision", "pairwise_recall", "pairwise_f", "bcubed_precision", "bcubed_recall", "bcubed_f", "nmi",
    "ami", "v_measure", "ari",
)  # fmt: skip
"""Metrics count items without a cluster as clusters of one."""

SWEEP = StructType(
    [
        StructField("threshold", DoubleType()),
        *(StructField(name, LongType()) for name in COUNTS),
        StructField("clustered_share", DoubleType()),
        *(StructField(name, DoubleType()) for name in METRICS),
    ]
)
"""One row per threshold; metrics are null without labels and where they are undefined."""


@dataclass(frozen=True)
class SweepInput:
    """The thresholds to sweep, and what their clusters depend on.

    Attributes
    ----------
    starts : mapping of threshold to float or None
        Smallest score above each threshold over all pairs, not only those of the forest; None if no pair is above.
    limits : Limits
    item_count : int
    """

    starts: Mapping[float, float | None]
    limits: Limits
    item_count: int


def smallest_scores(pairs: DataFrame, thresholds: Sequence[float]) -> DataFrame:
    """Aggregate the smallest score above each threshold.

    Returns
    -------
    DataFrame (t0: double, t1: double, ...)
        One row, made in one pass.
    """
    score = F.col("score").cast("double")
    return pairs.agg(*(F.min(F.when(score > t, score)).alias(f"t{i}") for i, t in enumerate(thresholds)))


def sweep(forest: DataFrame, labels: DataFrame | None, given: SweepInput) -> DataFrame:
    """Evaluate the clusters of every threshold, by the rule of the authors' code.

    Parameters
    ----------
    forest : DataFrame (``schemas.FOREST``)
        The exact maximum spanning forest of all pairs, not a superset. One task holds it.
    labels : DataFrame (item: long, label: long), optional
    given : SweepInput

    Returns
    -------
    DataFrame (``SWEEP``)
        Lazy.
    """
    edges = forest.select("src", "dst", "score")
    if labels is not None:
        named = labels.select(F.col("item").alias("src"), F.col("label").alias("dst"), F.lit(None).cast("float"))
        edges = edges.unionAll(named)

    def evaluated(batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        table = pa.Table.from_batches(batches, schema=_EDGES)
        is_edge = table.column("score").combine_chunks().is_valid().to_numpy(zero_copy_only=False)
        src, dst, score = (table.column(name).to_numpy() for name in ("src", "dst", "score"))
        tree = Dendrogram.of_forest(src[is_edge], dst[is_edge], score[is_edge].astype(np.float32))
        yield _rows(tree, src[~is_edge], dst[~is_edge], given)

    return map_batches(edges, evaluated, SWEEP, one_task=True)


_EDGES = pa.schema([("src", pa.int64()), ("dst", pa.int64()), ("score", pa.float32())])


def _rows(tree: Dendrogram, item: NDArray[np.int64], label: NDArray[np.int64], given: SweepInput) -> pa.RecordBatch:
    thresholds = sorted(given.starts)
    largest = largest_components(tree, np.array(thresholds))
    rows = []
    for threshold, (first, second) in zip(thresholds, largest.tolist(), strict=True):
        row = {"threshold": threshold, "largest_component": first, "second_component": second}
        rows.append(row | _evaluated(tree, threshold, item, label, given))
    return pa.RecordBatch.from_pylist(rows, schema=to_arrow_schema(SWEEP))


def _evaluated(
    tree: Dendrogram, threshold: float, item: NDArray[np.int64], label: NDArray[np.int64], given: SweepInput
) -> dict[str, float | int | None]:
    start = given.starts[threshold]
    # Nothing is cut without a pair above the threshold, so any start will do.
    cut = cut_by_code(tree, threshold, start=1.0 if start is None else start, limits=given.limits)
    sizes = np.bincount(numbered(cut.root)[1])
    alone = int((cut.status == SINGLETON).sum())
    counts: dict[str, float | int | None] = {
        "clusters": len(sizes),
        "singletons": alone,
        "discarded": given.item_count - len(cut.items),
        "forced": int((cut.status == FORCED).sum()),
        "largest": int(sizes.max(initial=0)),
        "clustered_share": (len(cut.items) - alone) / max(1, given.item_count),
    }
    if not len(item):
        return counts
    root = np.arange(given.item_count)
    root[cut.items] = cut.root
    metrics = scores(sums_of(root[item], label))
    return counts | {name: metrics[name] for name in METRICS}
