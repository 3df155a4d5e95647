"""clusters, clusters of an earlier run -> clusters with stable ids, and how each came out of the earlier ones.

A cluster takes the id of the earlier cluster with which it shares most items, if the earlier cluster also shares most
items with it. All others get ids that no earlier run has used. Ties go to the smaller number, so that the result is
unique.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.types import LongType, StringType, StructField, StructType

from cdp_spark.spark.dense_rank import dense_rank

LINEAGE = StructType(
    [
        StructField("event", StringType()),
        StructField("cluster", LongType()),
        StructField("previous", LongType()),
        StructField("items", LongType()),
        StructField("size", LongType()),
        StructField("previous_size", LongType()),
    ]
)
"""One row per pair of a cluster and an earlier one that share items, and per cluster that shares none.

``event``: *kept* (the cluster has the earlier id), *merged* (the earlier id is gone; most of its shared items are in
this cluster), *split* (the cluster has a new id; these items come from the earlier cluster), *moved* (items went from
one lasting cluster to another), *new* (no item was in a cluster before; ``previous`` is null), *gone* (no item is still
in a cluster; ``cluster`` is null). ``items`` counts the shared items, or all.
"""


def overlaps(current: DataFrame, previous: DataFrame) -> DataFrame:
    """Count the items that clusters share with earlier ones.

    Parameters
    ----------
    current, previous : DataFrame (id, cluster: long)
        Negative: no cluster.

    Returns
    -------
    DataFrame (number: long, previous: long, items: long, size: long, previous_size: long)
        ``number`` is the cluster's; one side is null where nothing is shared. Lazy.
    """
    new = current.where("cluster >= 0").select("id", F.col("cluster").alias("number"))
    old = previous.where("cluster >= 0").select("id", F.col("cluster").alias("previous"))
    shared = new.join(old, "id", "inner").groupBy("number", "previous").agg(F.count("*").alias("items"))
    new_sizes = new.groupBy("number").agg(F.count("*").alias("size"))
    old_sizes = old.groupBy("previous").agg(F.count("*").alias("previous_size"))
    return (
        shared.join(new_sizes, "number", "full")
        .join(old_sizes, "previous", "full")
        .select("number", "previous", F.coalesce("items", "size", "previous_size").alias("items"), "size",
                "previous_size")
    )  # fmt: skip


def lineage(shared: DataFrame, *, next_id: int) -> DataFrame:
    """Decide which cluster gets which earlier id.

    Parameters
    ----------
    shared : DataFrame
        Result of :func:`overlaps`, read from a stored table.
    next_id : int
        First id that no run has given.

    Returns
    -------
    DataFrame (number: long, and ``LINEAGE``)
        Runs small jobs to number the new ids.
    """
    both = F.col("number").isNotNull() & F.col("previous").isNotNull()
    most = F.col("items").desc()
    ranked = (
        shared.where(both)
        .withColumn("_of_new", F.row_number().over(Window.partitionBy("number").orderBy(most, "previous")))
        .withColumn("_of_old", F.row_number().over(Window.partitionBy("previous").orderBy(most, "number")))
    )
    mutual = (F.col("_of_new") == 1) & (F.col("_of_old") == 1)
    kept = ranked.where(mutual).select("number", F.col("previous").alias("cluster"))
    fresh = shared.where(F.col("number").isNotNull()).select("number").distinct().join(kept, "number", "left_anti")
    named = kept.unionByName(
        dense_rank(fresh, "number", "_rank").select("number", (F.col("_rank") + next_id).alias("cluster"))
    )
    lasting = kept.select(F.col("cluster").alias("previous"), F.lit(True).alias("_lasts"))
    pairs = (
        shared.join(named, "number", "left")
        .join(lasting, "previous", "left")
        .join(ranked.select("number", "previous", "_of_old"), ["number", "previous"], "left")
    )
    return pairs.select("number", _event().alias("event"), *LINEAGE.names[1:])


def _event() -> Column:
    return (
        F.when(F.col("previous").isNull(), "new")
        .when(F.col("number").isNull(), "gone")
        .when(F.col("cluster") == F.col("previous"), "kept")
        .when(F.col("_lasts").isNull() & (F.col("_of_old") == 1), "merged")
        .when(~_keeps_an_id(), "split")
        .otherwise("moved")
    )


def _keeps_an_id() -> Column:
    """Return whether the row's cluster has the id of an earlier one."""
    of_cluster = Window.partitionBy("number")
    return F.max(F.coalesce(F.col("cluster") == F.col("previous"), F.lit(False))).over(of_cluster)


def renumbered(clusters: DataFrame, named: DataFrame) -> DataFrame:
    """Replace numbers by stable ids.

    Parameters
    ----------
    clusters : DataFrame (``schemas.clusters``)
    named : DataFrame (number: long, cluster: long)
        One row per cluster.

    Returns
    -------
    DataFrame (``schemas.clusters``)
        Lazy.
    """
    columns = clusters.columns
    for column in ("cluster", "best_other"):
        if column in columns:
            lasting = named.select(F.col("number").alias(column), F.col("cluster").alias("_lasting"))
            clusters = clusters.join(lasting, column, "left").withColumn(column, F.coalesce("_lasting", column))
            clusters = clusters.drop("_lasting")
    return clusters.select(*columns)
