"""clusters x labels -> the sums and histograms that all metrics need; no dense table of clusters and labels."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F


def with_groups(clusters: DataFrame, labels: DataFrame) -> DataFrame:
    """Give each labelled item its label, and as ``group`` its cluster or, without one (-1), a group of its own.

    Parameters
    ----------
    clusters : DataFrame (id, cluster: long, ...)
    labels : DataFrame (id, label)
        Null labels are left out.

    Returns
    -------
    DataFrame (id, ..., label, group: string)
        Lazy.
    """
    own = F.concat(F.lit("item "), F.col("id").cast("string"))
    group = F.when(F.col("cluster") < 0, own).otherwise(F.col("cluster").cast("string"))
    return clusters.join(labels.where("label is not null"), "id", "inner").withColumn("group", group)


def judged_items(clusters: DataFrame, labels: DataFrame, *, removed: bool) -> DataFrame:
    """Pair each labelled item's cluster and label.

    Parameters
    ----------
    clusters : DataFrame (id, cluster: long, ...)
    labels : DataFrame (id, label)
        Null labels are left out.
    removed : bool
        Items without cluster (-1) are dropped; otherwise each is a cluster of its own.

    Returns
    -------
    DataFrame (group, label, alone: boolean)
        ``group`` is unique for an item without cluster. Lazy.
    """
    joined = with_groups(clusters, labels)
    return (joined.where("cluster >= 0") if removed else joined).select("group", "label")


def labelled_ids(clusters: DataFrame, labels: DataFrame) -> DataFrame:
    """Count the labelled ids, and those without an item: one row (ids: long, unmatched: long)."""
    known = clusters.select("id", F.lit(1).alias("known"))
    joined = labels.where("label is not null").select("id").join(known, "id", "left")
    return joined.agg(F.count("*").alias("ids"), F.count(F.when(F.col("known").isNull(), 1)).alias("unmatched"))


def cells(judged: DataFrame) -> DataFrame:
    """Count the non-empty cells: (group, label, n: long)."""
    return judged.groupBy("group", "label").agg(F.count("*").alias("n"))


def cell_sums(cell_table: DataFrame) -> DataFrame:
    """Sum over all cells: one row (items, squares: decimal, entropy, precision, recall)."""
    groups = cell_table.groupBy("group").agg(F.sum("n").alias("group_size"))
    labels = cell_table.groupBy("label").agg(F.sum("n").alias("label_size"))
    sized = cell_table.join(groups, "group").join(labels, "label")
    n, square = F.col("n").cast("double"), F.col("n").cast("double") * F.col("n")
    return sized.agg(
        F.sum("n").alias("items"),
        F.sum(F.col("n").cast("decimal(19,0)") * F.col("n").cast("decimal(19,0)")).alias("squares"),
        F.sum(n * F.log(n)).alias("entropy"),
        F.sum(square / F.col("group_size")).alias("precision"),
        F.sum(square / F.col("label_size")).alias("recall"),
    )


def size_histogram(cell_table: DataFrame, column: str) -> DataFrame:
    """Count the groups (``column`` group or label) of each size: (size: long, groups: long)."""
    sizes = cell_table.groupBy(column).agg(F.sum("n").alias("size"))
    return sizes.groupBy("size").agg(F.count("*").alias("groups")).orderBy("size")


def label_cells(clusters: DataFrame, labels: DataFrame) -> DataFrame:
    """Count the labelled items by cluster and label: (cluster: long, label, n: long); -1 is no cluster."""
    named = clusters.join(labels.where("label is not null"), "id", "inner")
    return named.groupBy("cluster", "label").agg(F.count("*").alias("n"))


def split_identities(cell_table: DataFrame, count: int) -> DataFrame:
    """Return the identities with most items outside their largest cluster.

    Parameters
    ----------
    cell_table : DataFrame (cluster: long, label, n: long)
        See :func:`label_cells`.
    count : int

    Returns
    -------
    DataFrame (label, size: long, clusters: long, largest: long, without: long)
        Only identities in two clusters or more; ``without`` are its items without cluster. Most outside first.
    """
    inside = F.when(F.col("cluster") >= 0, F.col("n"))
    each = cell_table.groupBy("label").agg(
        F.sum("n").alias("size"),
        F.count(inside).alias("clusters"),
        F.max(inside).alias("largest"),
        F.coalesce(F.sum(F.when(F.col("cluster") < 0, F.col("n"))), F.lit(0)).alias("without"),
    )
    outside = F.col("size") - F.col("largest") - F.col("without")
    return each.where("clusters > 1").orderBy(outside.desc(), "label").limit(count)


def merged_clusters(cell_table: DataFrame, count: int) -> DataFrame:
    """Return the clusters with most items that are not of their most common identity.

    Parameters
    ----------
    cell_table : DataFrame (cluster: long, label, n: long)
    count : int

    Returns
    -------
    DataFrame (cluster: long, size: long, identities: long, most: long, label)
        ``size`` counts labelled items; ``label`` is the most common, of ``most`` items. Only clusters of two
        identities or more, most others first.
    """
    each = (
        cell_table.where("cluster >= 0")
        .groupBy("cluster")
        .agg(
            F.sum("n").alias("size"),
            F.count("*").alias("identities"),
            F.max("n").alias("most"),
            F.max_by("label", F.struct("n", "label")).alias("label"),
        )
    )
    others = F.col("size") - F.col("most")
    return each.where("identities > 1").orderBy(others.desc(), "cluster").limit(count)


def other_items(cell_table: DataFrame) -> DataFrame:
    """Count each cluster's labelled items that are not of its most common identity: (cluster: long, others: long)."""
    inside = cell_table.where("cluster >= 0")
    return inside.groupBy("cluster").agg((F.sum("n") - F.max("n")).alias("others"))
