"""clusters, scored pairs, forest -> the few numbers that a report draws; nothing here grows with the items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame, Window
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


@dataclass(frozen=True)
class Limits:
    """Which clusters come into question, and how many of each sign are chosen.

    Attributes
    ----------
    max_cluster_size : int
        Of the run.
    smallest : int
        Clusters of fewer items are left out; those of two are their one pair.
    count : int
        Most clusters of each of the signs *loose*, *bridge* and *large*.
    largest : int
        Clusters of more items are not *weak*.
    weak_count : int
        Most clusters of the sign *weak*.
    threshold : float or None
        Only pairs above it make a cluster weak; None: no cluster is.
    """

    max_cluster_size: int
    smallest: int
    count: int
    largest: int = 0
    weak_count: int = 0
    threshold: float | None = None


def suspects(inside: DataFrame, limits: Limits) -> DataFrame:
    """Choose clusters that deserve doubt, by four signs, in one pass.

    Parameters
    ----------
    inside : DataFrame
        See :func:`edges_inside`.
    limits : Limits

    Returns
    -------
    DataFrame (sign: string, place: int, cluster: long, size: long, mean_score: double, weakest: double)
        ``sign``: *loose* (the lowest mean score of the forest's pairs), *bridge* (one pair is weaker than the mean by
        most), *large* (from ``NEARLY`` of ``max_cluster_size`` on) or *weak* (the weakest pair without which it would
        fall in two: exact when the forest is the true one, a lower bound when it is a superset). ``place``, from 1,
        says which deserves it most. A cluster may have several signs. Lazy.
    """
    wide = inside.where(F.col("size") >= limits.smallest).withColumn("wide", F.col("score").cast("double"))
    # Rounded: the last digits of a mean depend on the order of the rows.
    each = wide.groupBy("cluster").agg(
        F.max("size").alias("size"), F.round(F.avg("wide"), 6).alias("mean_score"), F.min("wide").alias("weakest")
    )
    every, size, weakest = F.lit(True), F.col("size"), F.col("weakest")
    signs = {
        "loose": (every, F.col("mean_score"), limits.count),
        "bridge": (every, weakest - F.col("mean_score"), limits.count),
        "large": (size >= NEARLY * limits.max_cluster_size, -size.cast("double"), limits.count),
    }
    if limits.threshold is not None:
        asked = (size <= limits.largest) & (weakest > F.lit(float(limits.threshold)))
        signs["weak"] = (asked, weakest, limits.weak_count)
    return _first_by_sign(each, signs)


def _first_by_sign(clusters: DataFrame, signs: Mapping[str, tuple[Column, Column, int]]) -> DataFrame:
    """Choose the first clusters of several orders: for each sign which clusters have it, by what, and how many."""
    has = F.explode(F.array(*(F.when(where, F.lit(sign)) for sign, (where, _, _) in signs.items())))
    of_sign = {sign: F.col("sign") == sign for sign in signs}
    key = F.coalesce(*(F.when(of_sign[sign], order) for sign, (_, order, _) in signs.items()))
    most = F.coalesce(*(F.when(of_sign[sign], F.lit(count)) for sign, (_, _, count) in signs.items()))
    asked = clusters.withColumn("sign", has).where("sign is not null").withColumn("key", key)
    place = F.row_number().over(Window.partitionBy("sign").orderBy("key", "cluster"))
    # The first condition is one that Spark understands before it sorts whole signs.
    limit = max(count for _, _, count in signs.values())
    placed = asked.withColumn("place", place).where(F.col("place") <= limit).where(F.col("place") <= most)
    return placed.select("sign", "place", "cluster", "size", "mean_score", "weakest")


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


def edges_inside(merges: DataFrame, clusters: DataFrame) -> DataFrame:
    """Return the forest's edges with both ends in one cluster.

    Parameters
    ----------
    merges : DataFrame (``schemas.merges``)
    clusters : DataFrame (id, cluster: long, size: long, ...)

    Returns
    -------
    DataFrame (cluster: long, size: long, src: id, dst: id, score: float)
        Lazy.
    """
    members = clusters.where("cluster >= 0")
    start = members.select(F.col("id").alias("src"), "cluster", "size")
    end = members.select(F.col("id").alias("dst"), F.col("cluster").alias("other"), F.col("size").alias("other_size"))
    found = merges.select("src", "dst", "score").join(start, "src", "inner").join(end, "dst", "inner")
    # No key of the join, and both sizes asked for: so Spark distributes the members once for both ends.
    inside = found.where(F.col("cluster") - F.col("other") == 0)
    return inside.select("cluster", F.greatest("size", "other_size").alias("size"), "src", "dst", "score")


def some_members(clusters: DataFrame, count: int, whole: Sequence[int] = ()) -> DataFrame:
    """Choose members of each cluster by hash of their id: the same ones every time.

    Parameters
    ----------
    clusters : DataFrame (id, cluster: long, ...)
    count : int
        Most members of each cluster.
    whole : sequence of int
        Clusters of which all are wanted.

    Returns
    -------
    DataFrame (id, cluster: long, ..., place: int)
        ``place``, from 1, is that by hash. Lazy.
    """
    order = Window.partitionBy("cluster").orderBy(F.xxhash64("id"), "id")
    placed = clusters.withColumn("place", F.row_number().over(order))
    return placed.where((F.col("place") <= count) | F.col("cluster").isin(list(whole)))
