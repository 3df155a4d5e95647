"""forest -> what each of many thresholds would give: no search, no scoring, one pass over the tree of merges each.

In: the forest, whole, and the label of each item where there are labels. Out: one row per threshold.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
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
"""Items without cluster count as clusters of one."""

SWEEP = StructType(
    [
        StructField("threshold", DoubleType()),
        *(StructField(name, LongType()) for name in COUNTS),
        StructField("clustered_share", DoubleType()),
        *(StructField(name, DoubleType()) for name in METRICS),
    ]
)
"""One row per threshold; metrics are null without labels, and where they are undefined."""


@dataclass(frozen=True)
class Asked:
    """What is swept.

    Attributes
    ----------
    starts : mapping of threshold to float or None
        Smallest score above each, over all pairs and not only the forest's; None where there is no pair.
    limits : Limits
    item_count : int
    """

    starts: Mapping[float, float | None]
    limits: Limits
    item_count: int


def smallest_scores(pairs: DataFrame, thresholds: list[float]) -> DataFrame:
    """Aggregate the smallest score above each threshold, all in one pass: one row (t0: double, t1: double, ...)."""
    score = F.col("score").cast("double")
    return pairs.agg(*(F.min(F.when(score > t, score)).alias(f"t{i}") for i, t in enumerate(thresholds)))


def sweep(forest: DataFrame, labels: DataFrame | None, asked: Asked) -> DataFrame:
    """Judge the clusters of every threshold, by the rule of the authors' code.

    Parameters
    ----------
    forest : DataFrame (``schemas.FOREST``)
        The maximum spanning forest of all pairs, no superset; one task holds it.
    labels : DataFrame (item: long, label: long), optional
    asked : Asked

    Returns
    -------
    DataFrame (``SWEEP``)
        Lazy.
    """
    edges = forest.select("src", "dst", "score")
    if labels is not None:
        named = labels.select(F.col("item").alias("src"), F.col("label").alias("dst"), F.lit(None).cast("float"))
        edges = edges.unionAll(named)

    def judge(batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        table = pa.Table.from_batches(batches, schema=_EDGES)
        is_edge = table.column("score").combine_chunks().is_valid().to_numpy(zero_copy_only=False)
        src, dst, score = (table.column(name).to_numpy() for name in ("src", "dst", "score"))
        tree = Dendrogram.of_forest(src[is_edge], dst[is_edge], score[is_edge].astype(np.float32))
        yield _rows(tree, src[~is_edge], dst[~is_edge], asked)

    return map_batches(edges, judge, SWEEP, one_task=True)


_EDGES = pa.schema([("src", pa.int64()), ("dst", pa.int64()), ("score", pa.float32())])


def _rows(tree: Dendrogram, item: NDArray[np.int64], label: NDArray[np.int64], asked: Asked) -> pa.RecordBatch:
    thresholds = sorted(asked.starts)
    largest = largest_components(tree, np.array(thresholds))
    rows = []
    for threshold, (first, second) in zip(thresholds, largest.tolist(), strict=True):
        row = {"threshold": threshold, "largest_component": first, "second_component": second}
        rows.append(row | _judged(tree, threshold, item, label, asked))
    return pa.RecordBatch.from_pylist(rows, schema=to_arrow_schema(SWEEP))


def _judged(
    tree: Dendrogram, threshold: float, item: NDArray[np.int64], label: NDArray[np.int64], asked: Asked
) -> dict[str, float | int | None]:
    start = asked.starts[threshold]
    # Without a pair above the threshold nothing is cut: any start will do.
    found = cut_by_code(tree, threshold, start=1.0 if start is None else start, limits=asked.limits)
    sizes = np.bincount(numbered(found.root)[1])
    alone = int((found.status == SINGLETON).sum())
    counts: dict[str, float | int | None] = {
        "clusters": len(sizes),
        "singletons": alone,
        "discarded": asked.item_count - len(found.items),
        "forced": int((found.status == FORCED).sum()),
        "largest": int(sizes.max(initial=0)),
        "clustered_share": (len(found.items) - alone) / max(1, asked.item_count),
    }
    if not len(item):
        return counts
    root = np.arange(asked.item_count)
    root[found.items] = found.root
    metrics = scores(sums_of(root[item], label))
    return counts | {name: metrics[name] for name in METRICS}
