"""Count items by confidence, and measure how good the clusters of the surest are."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from cdp_spark.evaluation.label_counts import CLASSES, CLUSTERS, labelled_items, size_counts

BINS = 1_000
"""Bins of the confidence, from 0 to 1."""


def confidence_histogram(clusters: DataFrame) -> DataFrame:
    """Count the items by confidence.

    Parameters
    ----------
    clusters : DataFrame (best_score: float, confidence: float, ...)
        An item whose pairs all lie below even odds has no confidence of its own. Its confidence in being alone is the
        probability that its best pair is wrong.

    Returns
    -------
    DataFrame (bin: int, items: long)
        ``bin`` b holds confidences from b / ``BINS``; 1 lies in the last. At most ``BINS`` rows. Lazy.
    """
    return clusters.groupBy(_bin().alias("bin")).agg(F.count("*").alias("items"))


def covered_groups(clusters: DataFrame, labels: DataFrame, lowest: Sequence[int]) -> DataFrame:
    """Count groups by size over the labelled items above each of several confidences.

    Parameters
    ----------
    clusters : DataFrame (id, cluster: long, best_score: float, confidence: float, ...)
        An item without cluster (-1) is one of its own.
    labels : DataFrame (id, label)
        Null labels are left out.
    lowest : sequence of int
        Lowest bin of each level, rising. A level holds the items of this bin and of all bins above.

    Returns
    -------
    DataFrame (kind: int, level: int, size: long, groups: long, squares: long)
        The kinds ``CLUSTERS`` and ``CLASSES`` of ``label_counts.size_counts``, for the items from bin ``lowest[level]``
        on. Lazy.
    """
    # Count cells per confidence first: there are far fewer of them than of items at each level.
    passed = sum((F.when(_bin() >= low, 1).otherwise(0) for low in lowest), F.lit(0))
    counts = labelled_items(clusters, labels).groupBy("cluster", "label", passed.alias("passed"))
    levels = F.explode(F.array(*(F.when(F.col("passed") > level, F.lit(level)) for level in range(len(lowest)))))
    cells = counts.agg(F.count("*").alias("n")).select("cluster", "label", "n", levels.alias("level"))
    summed = cells.where("level is not null").groupBy("level", "cluster", "label").agg(F.sum("n").alias("n"))
    return size_counts(summed, (CLUSTERS, CLASSES), by=["level"])


def _bin() -> Column:
    alone = F.lit(1.0) - F.greatest(F.coalesce(F.col("best_score").cast("double"), F.lit(0.0)), F.lit(0.0))
    sure = F.coalesce(F.col("confidence").cast("double"), alone)
    return F.least(F.floor(sure * BINS), F.lit(BINS - 1)).cast("int")
