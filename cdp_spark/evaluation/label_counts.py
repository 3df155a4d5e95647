"""Count labels by cluster: all that the metrics need, without a dense table.

Everything starts from the non-empty cells of the table of clusters and labels. One pass answers each question, so no
engine has to keep the cells. The results are whole numbers and do not depend on partitions.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

KINDS = CLUSTERS, CLASSES, CLUSTERED_CLASSES, CELLS, UNMATCHED = 0, 1, 2, 3, 4
"""Kinds of groups in :func:`size_counts`: clusters; classes of all items; classes of clustered items; cells; labels
without an item."""

IDENTITY, CLUSTER = range(2)
"""Kinds of groups in :func:`doubtful_groups`."""


def labelled_items(clusters: DataFrame, labels: DataFrame) -> DataFrame:
    """Join items with their labels.

    Returns
    -------
    DataFrame (id, ..., label)
        Items without a label, or with a null label, are left out. Lazy.
    """
    return clusters.join(labels.where("label is not null"), "id", "inner")


def label_cells(clusters: DataFrame, labels: DataFrame) -> DataFrame:
    """Count the labels by cluster.

    Parameters
    ----------
    clusters : DataFrame (id, cluster: long, ...)
    labels : DataFrame (id, label)
        One row per id; null labels are left out.

    Returns
    -------
    DataFrame (cluster: long, label, n: long)
        ``cluster`` is -1 where the item has no cluster, and null where no item has the label's id. Lazy.
    """
    named = labels.where("label is not null").join(clusters.select("id", "cluster"), "id", "left")
    return named.groupBy("cluster", "label").agg(F.count("*").alias("n"))


def size_counts(cells: DataFrame, kinds: Sequence[int] = KINDS, *, by: Sequence[str] = ()) -> DataFrame:
    """Count the groups of each size, for every kind of group.

    Parameters
    ----------
    cells : DataFrame (cluster: long, label, n: long, ...)
        See :func:`label_cells`.
    kinds : sequence of int
        Kinds to count.
    by : sequence of str
        Further columns of ``cells``; groups are counted per value of these.

    Returns
    -------
    DataFrame (kind: int, ..., size: long, groups: long, squares: long)
        ``squares`` sums n squared over the cells of these groups; an item without a cluster is a cell of its own.
        At most sqrt(2 * items) rows per kind. Lazy.
    """
    inside, known, own = F.col("cluster") >= 0, F.col("cluster").isNotNull(), F.col("n") * F.col("n")
    where = {CLUSTERS: inside, CLASSES: known, CLUSTERED_CLASSES: inside, CELLS: inside, UNMATCHED: ~known}
    kind = F.explode(F.array(*(F.when(where[each], F.lit(each)) for each in kinds))).alias("kind")
    squares = F.when(inside, own).otherwise(F.col("n")).alias("squares")
    groups = (
        cells.select(*by, "cluster", "label", "n", squares, kind)
        .where("kind is not null")
        .groupBy("kind", *by, *_keys(F.col("kind").isin(CLUSTERS, CELLS), F.col("kind") != CLUSTERS))
        .agg(F.sum("n").alias("size"), F.sum("squares").alias("squares"))
    )
    counted = groups.groupBy("kind", *by, "size")
    return counted.agg(F.count("*").alias("groups"), F.sum("squares").alias("squares"))


def doubtful_groups(cells: DataFrame, *, count: int, known: Sequence[int] = ()) -> DataFrame:
    """Rank the identities that are split most and the clusters that mix most.

    Identities are ranked by their items outside their largest cluster, clusters by their items of other identities than
    the most common one.

    Parameters
    ----------
    cells : DataFrame (cluster: long, label, n: long)
        See :func:`label_cells`.
    count : int
        Largest number of groups of each kind.
    known : sequence of int
        Clusters that are always returned.

    Returns
    -------
    DataFrame
        (kind: int, cluster: long, label, size: long, cells: long, most: long, without: long, others: long, rank: int)
        An ``IDENTITY`` has a label and no cluster; its cells are clusters, and ``without`` of its items are in none. A
        ``CLUSTER`` has no label; its cells are identities, and its size counts labelled items. ``most`` items are in
        the largest cell, ``others`` in the remaining ones. ``rank``, from 1, is null for groups of one cell. Lazy.
    """
    inside = F.col("cluster") >= 0
    kinds = F.array(F.lit(IDENTITY), F.when(inside, F.lit(CLUSTER)))
    clustered = F.when(inside, F.col("n"))
    each = (
        cells.where("cluster is not null")
        .select("cluster", "label", "n", clustered.alias("clustered"), F.explode(kinds).alias("kind"))
        .where("kind is not null")
        .groupBy("kind", *_keys(F.col("kind") == CLUSTER, F.col("kind") == IDENTITY))
        .agg(
            F.sum("n").alias("size"),
            F.count("clustered").alias("cells"),
            F.max("clustered").alias("most"),
            F.coalesce(F.sum("clustered"), F.lit(0)).alias("together"),
        )
        .select("*", (F.col("size") - F.col("together")).alias("without"))
        .select("*", (F.col("together") - F.col("most")).alias("others"))
        .drop("together")
    )
    several = F.col("cells") > 1
    wanted = each.where(several | F.col("cluster").isin(list(known)))
    order = Window.partitionBy("kind", several).orderBy(F.col("others").desc(), "label", "cluster")
    numbered = wanted.withColumn("rank", F.row_number().over(order))
    ranked = numbered.withColumn("rank", F.when(several, F.col("rank")))
    return ranked.where((F.col("rank") <= count) | F.col("cluster").isin(list(known)))


def usual_labels(clusters: DataFrame, labels: DataFrame, wanted: Sequence[int], ids: Sequence[object]) -> DataFrame:
    """Return the most common label of some clusters, and the labels of some items.

    Parameters
    ----------
    clusters : DataFrame (id, cluster: long, ...)
    labels : DataFrame (id, label)
    wanted : sequence of int
        Clusters whose label is wanted.
    ids : sequence of id
        Items whose label is wanted.

    Returns
    -------
    DataFrame (cluster: long, first, last, id, label)
        ``first`` and ``last`` are the first and the last of the labels that tie as most common. One row for each of
        ``ids`` that lies in a wanted cluster and has a label; at least one row per cluster with labelled items. Lazy.
    """
    chosen = clusters.where(F.col("cluster").isin(list(wanted))).select("id", "cluster")
    own = labelled_items(chosen, labels)
    counts = own.groupBy("cluster", "label").agg(F.count("*").alias("n"))
    usual = counts.groupBy("cluster").agg(
        F.min_by("label", F.struct(-F.col("n"), "label")).alias("first"),
        F.max_by("label", F.struct("n", "label")).alias("last"),
    )
    return usual.join(own.where(F.col("id").isin(list(ids))), "cluster", "left").select(
        "cluster", "first", "last", "id", "label"
    )


def _keys(of_cluster: Column, of_label: Column) -> tuple[Column, Column]:
    """Return cluster and label, each null where it is not part of the key."""
    return (
        F.when(of_cluster, F.col("cluster")).alias("cluster"),
        F.when(of_label, F.col("label")).alias("label"),
    )
