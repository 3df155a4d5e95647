"""clusters with confidence (x labels) -> the surest share of the items, and how good its clusters are."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from cdp_spark.stages.evaluation import with_groups

BINS = 1_000
"""Bins of the confidence, from 0 to 1."""


def confidence_histogram(clusters: DataFrame) -> DataFrame:
    """Count the items by confidence.

    Parameters
    ----------
    clusters : DataFrame (best_score: float, confidence: float, ...)
        An item without a pair that is likelier than not, and so without a confidence, is alone as surely as its best
        pair is wrong.

    Returns
    -------
    DataFrame (bin: int, items: long)
        ``bin`` b holds confidences from b / ``BINS``; 1 lies in the last. At most ``BINS`` rows. Lazy.
    """
    return clusters.groupBy(_bin().alias("bin")).agg(F.count("*").alias("items"))


def covered_sums(clusters: DataFrame, labels: DataFrame, lowest: Sequence[int]) -> DataFrame:
    """Sum what metrics need over the labelled items of at least such a confidence, for several at once.

    Parameters
    ----------
    clusters : DataFrame (id, cluster: long, best_score: float, confidence: float, ...)
        An item without cluster (-1) is one of its own.
    labels : DataFrame (id, label)
        Null labels are left out.
    lowest : sequence of int
        Bins: each level has the items of this one and those above.

    Returns
    -------
    DataFrame (level: int, items, together, in_clusters, in_labels, precision, recall: double)
        Of level ``lowest[level]``: items, pairs in one cluster and label, in one cluster, in one label, and sums over
        items of BCubed precision and recall. Lazy.
    """
    levels = F.array(*(F.when(_bin() >= low, F.lit(level)) for level, low in enumerate(lowest)))
    items = with_groups(clusters, labels).select("group", "label", F.explode(levels).alias("level"))
    cells = items.where("level is not null").groupBy("level", "group", "label").agg(F.count("*").alias("n"))
    groups = cells.groupBy("level", "group").agg(F.sum("n").alias("group_size"))
    named = cells.groupBy("level", "label").agg(F.sum("n").alias("label_size"))
    n = F.col("n").cast("double")
    sums = (
        cells.join(groups, ["level", "group"])
        .join(named, ["level", "label"])
        .groupBy("level")
        .agg(
            F.sum(n).alias("items"),
            F.sum(n * (n - 1) / 2).alias("together"),
            F.sum(n * n / F.col("group_size")).alias("precision"),
            F.sum(n * n / F.col("label_size")).alias("recall"),
        )
    )
    return sums.join(_pairs(groups, "group_size", "in_clusters"), "level").join(
        _pairs(named, "label_size", "in_labels"), "level"
    )


def _pairs(sizes: DataFrame, column: str, name: str) -> DataFrame:
    size = F.col(column).cast("double")
    return sizes.groupBy("level").agg(F.sum(size * (size - 1) / 2).alias(name))


def _bin() -> Column:
    alone = F.lit(1.0) - F.greatest(F.coalesce(F.col("best_score").cast("double"), F.lit(0.0)), F.lit(0.0))
    sure = F.coalesce(F.col("confidence").cast("double"), alone)
    return F.least(F.floor(sure * BINS), F.lit(BINS - 1)).cast("int")
