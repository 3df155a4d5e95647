"""clusters x labels -> the sums and histograms that all metrics need; no dense table of clusters and labels."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F


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
    joined = clusters.join(labels.where("label is not null"), "id", "inner")
    if removed:
        joined = joined.where("cluster >= 0")
    own = F.concat(F.lit("item "), F.col("id").cast("string"))
    group = F.when(F.col("cluster") < 0, own).otherwise(F.col("cluster").cast("string"))
    return joined.select(group.alias("group"), "label")


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
