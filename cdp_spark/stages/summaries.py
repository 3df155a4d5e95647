"""clusters, scored pairs, forest -> the few numbers that a report draws; nothing here grows with the items."""

from __future__ import annotations

from functools import reduce

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

SCORE_BINS = 100
"""Bars from score 0 to 1, and as many for -1 to 0."""

NEARLY = 0.9
"""From this share of ``max_cluster_size`` on a cluster may be one that was cut, or two that should have been."""


def score_histogram(scored_pairs: DataFrame) -> DataFrame:
    """Count the pairs by score.

    Parameters
    ----------
    scored_pairs : DataFrame (``schemas.SCORED_PAIRS``)

    Returns
    -------
    DataFrame (bin: int, pairs: long)
        ``bin`` b holds the scores from b / 100 to (b + 1) / 100; a score of 1 lies in the last. At most 200 rows.
    """
    place = F.least(F.floor(F.col("score").cast("double") * SCORE_BINS), F.lit(SCORE_BINS - 1)).cast("int")
    return scored_pairs.groupBy(place.alias("bin")).agg(F.count("*").alias("pairs"))


def cluster_sizes(clusters: DataFrame) -> DataFrame:
    """Count the clusters of each size: (size: long, clusters: long); items without cluster do not count."""
    items = clusters.where("cluster >= 0").groupBy("size").agg(F.count("*").alias("items"))
    return items.select("size", (F.col("items") / F.col("size")).cast("long").alias("clusters"))


def largest_clusters(clusters: DataFrame, count: int) -> DataFrame:
    """Return the largest clusters: (cluster: long, size: long, level: double, confidence: float), largest first.

    ``confidence`` is null by rules with a threshold.
    """
    sure = F.col("cluster_confidence") if "cluster_confidence" in clusters.columns else F.lit(None).cast("float")
    each = (
        clusters.where("size > 1")
        .groupBy("cluster")
        .agg(F.max("size").alias("size"), F.max("level").alias("level"), F.max(sure).alias("confidence"))
    )
    return each.orderBy(F.col("size").desc(), "cluster").limit(count)


def least_sure(clusters: DataFrame, *, smallest: int, count: int) -> DataFrame:
    """Return the clusters of lowest confidence: (cluster: long, size: long, confidence: float), lowest first.

    Parameters
    ----------
    clusters : DataFrame (cluster: long, size: long, cluster_confidence: float, ...)
        Of a rule without a threshold.
    smallest : int
        Size of the clusters to look at.
    count : int
    """
    wanted = clusters.where(F.col("size") >= smallest)
    each = wanted.groupBy("cluster").agg(F.max("size").alias("size"), F.max("cluster_confidence").alias("confidence"))
    return each.orderBy("confidence", "cluster").limit(count)


def likeliest_merges(clusters: DataFrame, *, count: int) -> DataFrame:
    """Choose the pairs of clusters whose not being joined is most to be doubted.

    Parameters
    ----------
    clusters : DataFrame (cluster: long, size: long, best_other: long, best_other_probability: float, ...)
        Of a rule without a threshold.
    count : int

    Returns
    -------
    DataFrame (cluster: long, other: long, size: long, other_size: long, probability: float)
        ``cluster`` < ``other``; first those with most items of the smaller side times the probability that they belong
        to the other: as many are to be expected on the wrong side.
    """
    each = clusters.where("cluster >= 0").groupBy("cluster").agg(
        F.max("size").alias("size"), F.max("best_other").alias("best"), F.max("best_other_probability").alias("likely")
    )  # fmt: skip
    pairs = (
        each.where("best is not null")
        .groupBy(F.least("cluster", "best").alias("cluster"), F.greatest("cluster", "best").alias("other"))
        .agg(F.max("likely").alias("probability"))
    )
    sizes = each.select("cluster", "size")
    other_sizes = each.select(F.col("cluster").alias("other"), F.col("size").alias("other_size"))
    sized = pairs.join(sizes, "cluster").join(other_sizes, "other")
    expected = F.col("probability").cast("double") * F.least("size", "other_size")
    found = sized.orderBy(expected.desc(), "cluster", "other").limit(count)
    return found.select("cluster", "other", "size", "other_size", "probability")


def weakest_links(inside: DataFrame, *, smallest: int, largest: int) -> DataFrame:
    """Find, for each cluster, the pair without which it would fall in two.

    Parameters
    ----------
    inside : DataFrame
        See :func:`edges_inside`.
    smallest, largest : int
        Sizes of the clusters to look at.

    Returns
    -------
    DataFrame (cluster: long, size: long, score: float)
        One row per cluster of such a size; exact when the forest is the true one, a lower bound when it is a superset.
    """
    wanted = inside.where(F.col("size").between(smallest, largest))
    return wanted.groupBy("cluster").agg(F.max("size").alias("size"), F.min("score").alias("score"))


def suspects(inside: DataFrame, *, max_cluster_size: int, smallest: int, count: int) -> DataFrame:
    """Choose clusters that deserve doubt, by three signs.

    Parameters
    ----------
    inside : DataFrame
        See :func:`edges_inside`.
    max_cluster_size : int
    smallest : int
        Size of the clusters to look at; those of two are their one pair.
    count : int
        Most clusters of each sign.

    Returns
    -------
    DataFrame (sign: string, cluster: long, size: long, mean_score: double, weakest: double)
        ``sign``: *loose* (the lowest mean score of the forest's pairs), *bridge* (one pair is weaker than the mean by
        most) or *large* (from ``NEARLY`` of ``max_cluster_size`` on). A cluster may have several; in no order. Lazy.
    """
    wide = inside.where(F.col("size") >= smallest).withColumn("wide", F.col("score").cast("double"))
    # Rounded: the last digits of a mean depend on the order of the rows.
    each = wide.groupBy("cluster").agg(
        F.max("size").alias("size"), F.round(F.avg("wide"), 6).alias("mean_score"), F.min("wide").alias("weakest")
    )
    orders = {
        "loose": (each, F.col("mean_score")),
        "bridge": (each, F.col("weakest") - F.col("mean_score")),
        "large": (each.where(F.col("size") >= NEARLY * max_cluster_size), -F.col("size")),
    }
    found = [
        table.orderBy(order, "cluster").limit(count).select(F.lit(sign).alias("sign"), "*")
        for sign, (table, order) in orders.items()
    ]
    return reduce(DataFrame.unionAll, found)


def deciding_merges(merges: DataFrame, *, threshold: float, near: int, count: int) -> DataFrame:
    """Choose the pairs on which most depends: nearest the threshold, and of these the ones that join most.

    Parameters
    ----------
    merges : DataFrame (``schemas.merges``)
    threshold : float
    near : int
        How many of the nearest come into question.
    count : int

    Returns
    -------
    DataFrame (``schemas.merges``)
        At most ``count`` rows, the largest smaller side first.
    """
    gap = F.abs(F.col("score").cast("double") - F.lit(float(threshold)))
    nearest = merges.orderBy(gap, "src", "dst").limit(near)
    return nearest.orderBy(F.least("left_size", "right_size").desc(), gap, "src", "dst").limit(count)


def edges_inside(forest: DataFrame, members: DataFrame) -> DataFrame:
    """Return the forest's edges with both ends in one cluster: (cluster, size, src, dst, score)."""
    start = members.select(F.col("item").alias("src"), "cluster", "size")
    end = members.select(F.col("item").alias("dst"), "cluster")
    return (
        forest.join(start, "src", "inner")
        .join(end, ["dst", "cluster"], "inner")
        .select("cluster", "size", "src", "dst", "score")
    )


def some_members(clusters: DataFrame, count: int) -> DataFrame:
    """Choose at most ``count`` members of each cluster, by hash of their id: the same ones every time."""
    order = Window.partitionBy("cluster").orderBy(F.xxhash64("id"), "id")
    return clusters.withColumn("place", F.row_number().over(order)).where(F.col("place") <= count).drop("place")
