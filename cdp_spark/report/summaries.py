"""Summarize clusters, scored pairs and forest for the report.

The size of a summary does not grow with the number of items.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

SCORE_BINS = 100
"""Bars from score 0 to 1; another 100 cover -1 to 0."""

NEARLY = 0.9
"""Share of ``max_cluster_size`` from which a cluster is doubtful: it may have been cut, or may be two clusters."""


def score_histogram(scored_pairs: DataFrame) -> DataFrame:
    """Count the pairs by score.

    Parameters
    ----------
    scored_pairs : DataFrame (``schemas.SCORED_PAIRS``)

    Returns
    -------
    DataFrame (bin: int, pairs: long)
        ``bin`` b holds the scores from b / 100 to (b + 1) / 100; the last bin includes 1. At most 200 rows.
    """
    score_bin = F.least(F.floor(F.col("score").cast("double") * SCORE_BINS), F.lit(SCORE_BINS - 1)).cast("int")
    return scored_pairs.groupBy(score_bin.alias("bin")).agg(F.count("*").alias("pairs"))


def cluster_sizes(clusters: DataFrame) -> DataFrame:
    """Count the clusters of each size.

    Returns
    -------
    DataFrame (size: long, clusters: long)
        Items without a cluster do not count.
    """
    items = clusters.where("cluster >= 0").groupBy("size").agg(F.count("*").alias("items"))
    return items.select("size", (F.col("items") / F.col("size")).cast("long").alias("clusters"))


def largest_clusters(clusters: DataFrame, count: int) -> DataFrame:
    """Return the largest clusters, largest first.

    Returns
    -------
    DataFrame (cluster: long, size: long, level: double, confidence: float)
        ``confidence`` is null for rules with a threshold.
    """
    sure = F.col("cluster_confidence") if "cluster_confidence" in clusters.columns else F.lit(None).cast("float")
    each = (
        clusters.where("size > 1")
        .groupBy("cluster")
        .agg(F.max("size").alias("size"), F.max("level").alias("level"), F.max(sure).alias("confidence"))
    )
    return each.orderBy(F.col("size").desc(), "cluster").limit(count)


def least_sure(clusters: DataFrame, *, smallest: int, count: int) -> DataFrame:
    """Return the clusters of lowest confidence, lowest first.

    Parameters
    ----------
    clusters : DataFrame (cluster: long, size: long, cluster_confidence: float, ...)
        Made by a rule without a threshold.
    smallest : int
        Smaller clusters are left out.
    count : int

    Returns
    -------
    DataFrame (cluster: long, size: long, confidence: float)
    """
    wanted = clusters.where(F.col("size") >= smallest)
    each = wanted.groupBy("cluster").agg(F.max("size").alias("size"), F.max("cluster_confidence").alias("confidence"))
    return each.orderBy("confidence", "cluster").limit(count)


def likeliest_merges(clusters: DataFrame, *, count: int) -> DataFrame:
    """Choose the pairs of clusters that most likely should have been joined.

    Parameters
    ----------
    clusters : DataFrame (cluster: long, size: long, best_other: long, best_other_probability: float, ...)
        Made by a rule without a threshold.
    count : int

    Returns
    -------
    DataFrame (cluster: long, other: long, size: long, other_size: long, probability: float)
        ``cluster`` < ``other``. Ordered by the expected number of items on the wrong side, largest first: probability
        times size of the smaller cluster.
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
    likeliest = sized.orderBy(expected.desc(), "cluster", "other").limit(count)
    return likeliest.select("cluster", "other", "size", "other_size", "probability")


@dataclass(frozen=True)
class Limits:
    """Which clusters are examined, and how many of each sign are chosen.

    Attributes
    ----------
    max_cluster_size : int
        Setting of the run.
    smallest : int
        Smaller clusters are left out. A cluster of two is nothing but its one pair.
    count : int
        Largest number of clusters for each of the signs *loose*, *bridge* and *large*.
    largest : int
        Larger clusters are never *weak*.
    weak_count : int
        Largest number of clusters with the sign *weak*.
    threshold : float or None
        Only pairs above it can make a cluster weak; None: no cluster is weak.
    """

    max_cluster_size: int
    smallest: int
    count: int
    largest: int = 0
    weak_count: int = 0
    threshold: float | None = None


def suspects(inside: DataFrame, limits: Limits) -> DataFrame:
    """Choose doubtful clusters by four signs, in one pass.

    Parameters
    ----------
    inside : DataFrame
        See :func:`edges_inside`.
    limits : Limits

    Returns
    -------
    DataFrame (sign: string, rank: int, cluster: long, size: long, mean_score: double, weakest: double)
        ``sign`` is *loose* (lowest mean score of its forest edges), *bridge* (its weakest edge lies furthest below the
        mean), *large* (at least ``NEARLY`` of ``max_cluster_size``) or *weak* (weakest edge without which the cluster
        would split: exact for an exact forest, a lower bound for a superset). ``rank``, from 1, orders the clusters of
        a sign, most doubtful first. A cluster may have several signs. Lazy.
    """
    wide = inside.where(F.col("size") >= limits.smallest).withColumn("wide", F.col("score").cast("double"))
    # Rounded, since the last digits of a mean depend on the order of the rows.
    each = wide.groupBy("cluster").agg(
        F.max("size").alias("size"), F.round(F.avg("wide"), 6).alias("mean_score"), F.min("wide").alias("weakest")
    )
    every, size, weakest = F.lit(True), F.col("size"), F.col("weakest")
    signs = {
        "loose": _Sign(every, F.col("mean_score"), limits.count),
        "bridge": _Sign(every, weakest - F.col("mean_score"), limits.count),
        "large": _Sign(size >= NEARLY * limits.max_cluster_size, -size.cast("double"), limits.count),
    }
    if limits.threshold is not None:
        may_be_weak = (size <= limits.largest) & (weakest > F.lit(float(limits.threshold)))
        signs["weak"] = _Sign(may_be_weak, weakest, limits.weak_count)
    return _first_by_sign(each, signs)


class _Sign(NamedTuple):
    """Condition of a sign, order of its clusters, and the most to choose."""

    has: Column
    order: Column
    most: int


def _first_by_sign(clusters: DataFrame, signs: Mapping[str, _Sign]) -> DataFrame:
    """Choose the first clusters of each sign in the sign's own order."""
    each_sign = F.explode(F.array(*(F.when(sign.has, F.lit(name)) for name, sign in signs.items())))
    of_sign = {name: F.col("sign") == name for name in signs}
    key = F.coalesce(*(F.when(of_sign[name], sign.order) for name, sign in signs.items()))
    most = F.coalesce(*(F.when(of_sign[name], F.lit(sign.most)) for name, sign in signs.items()))
    candidates = clusters.withColumn("sign", each_sign).where("sign is not null").withColumn("key", key)
    rank = F.row_number().over(Window.partitionBy("sign").orderBy("key", "cluster"))
    # The constant limit comes first: Spark can apply it before it sorts whole signs.
    limit = max(sign.most for sign in signs.values())
    ranked = candidates.withColumn("rank", rank).where(F.col("rank") <= limit).where(F.col("rank") <= most)
    return ranked.select("sign", "rank", "cluster", "size", "mean_score", "weakest")


def deciding_merges(merges: DataFrame, *, threshold: float, near: int, count: int) -> DataFrame:
    """Choose the pairs near the threshold that join the largest groups.

    Parameters
    ----------
    merges : DataFrame (``schemas.merges``)
    threshold : float
    near : int
        Number of pairs nearest the threshold that are considered.
    count : int

    Returns
    -------
    DataFrame (``schemas.merges``)
        At most ``count`` rows, ordered by the size of the smaller group, largest first.
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
    edges = merges.select("src", "dst", "score").join(start, "src", "inner").join(end, "dst", "inner")
    # Comparing clusters here and not in the join, and reading both sizes, lets Spark shuffle the members only once.
    inside = edges.where(F.col("cluster") - F.col("other") == 0)
    return inside.select("cluster", F.greatest("size", "other_size").alias("size"), "src", "dst", "score")


def some_members(clusters: DataFrame, count: int, whole: Sequence[int] = ()) -> DataFrame:
    """Choose members of each cluster by a hash of their id, the same ones every time.

    Parameters
    ----------
    clusters : DataFrame (id, cluster: long, ...)
    count : int
        Largest number of members per cluster.
    whole : sequence of int
        Clusters whose members are all returned.

    Returns
    -------
    DataFrame (id, cluster: long, ..., rank: int)
        ``rank``, from 1, orders the members by hash. Lazy.
    """
    order = Window.partitionBy("cluster").orderBy(F.xxhash64("id"), "id")
    ranked = clusters.withColumn("rank", F.row_number().over(order))
    return ranked.where((F.col("rank") <= count) | F.col("cluster").isin(list(whole)))
