"""clusters, labelled data -> training data: which items, with which label, weight and split."""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    DataType,
    DoubleType,
    FloatType,
    IntegralType,
    LongType,
    StringType,
    StructField,
    StructType,
)

from cdp_spark.clusters.cut_and_number import shares
from cdp_spark.spark.dense_rank import dense_rank

SOFT = ArrayType(StructType([StructField("label", LongType()), StructField("weight", FloatType())]))
SOURCES = ("labelled", "cluster")
_SHARES = 1_000_000

KEPT = "kept"
LEFT_OUT = ("no_cluster", "low_confidence", "small_cluster", "beyond_share")
"""Why an item is left out."""


def exported_schema(id_type: DataType, *, soft: bool = False) -> StructType:
    """Return the schema of training data: one row per item.

    ``label`` is dense from 0, ``source`` one of ``SOURCES``, ``identity`` the given label or the cluster's number,
    ``weight`` the confidence in [0, 1], 1 for a given label.
    """
    more = [StructField("soft_labels", SOFT)] if soft else []
    return StructType(
        [
            StructField("id", id_type), StructField("label", LongType()), StructField("source", StringType()),
            StructField("identity", StringType()), StructField("weight", DoubleType()),
            StructField("split", StringType()), *more,
        ]
    )  # fmt: skip


CLUSTER_NUMBERS = StructType([StructField("cluster", LongType()), StructField("number", LongType())])
"""The label number of each exported cluster."""


def chosen_schema(id_type: DataType) -> StructType:
    """Return the schema of :func:`confident`."""
    kinds = {"id": id_type, "cluster": LongType(), "confidence": DoubleType(), "outcome": StringType()}
    return StructType([StructField(name, kind) for name, kind in kinds.items()])


def label_numbers_schema(labelled: DataFrame) -> StructType:
    """Return the schema of :func:`label_numbers`."""
    kind = labelled.schema["label"].dataType
    plain = kind if isinstance(kind, (IntegralType, StringType)) else StringType()
    return StructType([StructField("label", plain), StructField("number", LongType())])


def confident(clusters: DataFrame, *, min_size: int, min_confidence: float) -> DataFrame:
    """Mark every item as kept, or give the reason why it is left out.

    Parameters
    ----------
    clusters : DataFrame (``schemas.clusters``)
        The confidence is the column ``confidence`` or, if there is none, ``best_score``.
    min_size : int
        Smallest number of confident items in a cluster.
    min_confidence : float

    Returns
    -------
    DataFrame (id, cluster: long, confidence: double, outcome: string)
        ``outcome`` is ``KEPT`` or one of ``LEFT_OUT``. Lazy.
    """
    confidence = F.col("confidence" if "confidence" in clusters.columns else "best_score").cast("double")
    sure = F.coalesce(confidence >= F.lit(float(min_confidence)), F.lit(False))
    kept = F.sum(F.when(F.col("sure"), 1).otherwise(0)).over(Window.partitionBy("cluster"))
    outcome = F.when(~F.col("sure"), "low_confidence").when(F.col("kept") < min_size, "small_cluster").otherwise(KEPT)
    columns = ("id", "cluster", "confidence")
    all_items = clusters.select("id", "cluster", confidence.alias("confidence"), sure.alias("sure"))
    # Items without a cluster would all go to one task of the window.
    within = all_items.where("cluster >= 0").withColumn("kept", kept).select(*columns, outcome.alias("outcome"))
    without = all_items.where("cluster < 0").select(*columns, F.lit("no_cluster").alias("outcome"))
    return within.unionByName(without)


def at_most(chosen: DataFrame, most: int) -> DataFrame:
    """Keep the surest items of each cluster; ties go by id.

    Parameters
    ----------
    chosen : DataFrame
        Result of :func:`confident`.
    most : int
        Largest number of items of a cluster.
    """
    order = Window.partitionBy("cluster").orderBy(F.desc("confidence"), "id")
    kept = chosen.where(F.col("outcome") == KEPT).withColumn("place", F.row_number().over(order))
    limited = kept.withColumn("outcome", F.when(F.col("place") <= most, KEPT).otherwise("beyond_share")).drop("place")
    return chosen.where(F.col("outcome") != KEPT).unionByName(limited)


def label_numbers(labelled: DataFrame) -> DataFrame:
    """Number given labels from 0: (label, number: long). Runs small jobs."""
    kind = label_numbers_schema(labelled)["label"].dataType
    return dense_rank(labelled.select(F.col("label").cast(kind).alias("label")).distinct(), "label", "number")


def cluster_numbers(kept: DataFrame, known: DataFrame | None, first: int) -> DataFrame:
    """Number the exported clusters.

    Parameters
    ----------
    kept : DataFrame (cluster: long, ...)
    known : DataFrame (cluster: long, number: long), optional
        Clusters that have a label's number.
    first : int
        Number of the first other cluster.

    Returns
    -------
    DataFrame (cluster: long, number: long)
        Runs small jobs.
    """
    distinct = kept.select("cluster").distinct()
    fresh = distinct if known is None else distinct.join(known, "cluster", "left_anti")
    numbered = dense_rank(fresh, "cluster", "rank").select("cluster", (F.col("rank") + first).alias("number"))
    return numbered if known is None else numbered.unionByName(known.join(distinct, "cluster", "left_semi"))


def matched_clusters(clusters: DataFrame, labelled: DataFrame, numbers: DataFrame, *, share: float) -> DataFrame:
    """Find the label of clusters that hold labelled items.

    Parameters
    ----------
    clusters : DataFrame (id, cluster: long)
    labelled : DataFrame (id, label)
        Labels of the same ids.
    numbers : DataFrame (label, number: long)
    share : float
        Share of a cluster's labelled items that must have the label.

    Returns
    -------
    DataFrame (cluster: long, number: long)
        Ties go to the label with the smaller number. Lazy.
    """
    both = clusters.where("cluster >= 0").select("id", "cluster").join(labelled, "id", "inner")
    counts = both.join(numbers, "label", "inner").groupBy("cluster", "number").agg(F.count("*").alias("items"))
    best = F.max(F.struct("items", (-F.col("number")).alias("negated"))).alias("best")
    most_common = counts.groupBy("cluster").agg(best, F.sum("items").alias("all"))
    enough = F.col("best.items") >= F.col("all") * F.lit(float(share))
    return most_common.where(enough).select("cluster", (-F.col("best.negated")).alias("number"))


def cluster_rows(kept: DataFrame, numbers: DataFrame, soft: DataFrame | None) -> DataFrame:
    """Return the rows of items that a cluster labels: (id, label, source, identity, weight, and soft_labels).

    Parameters
    ----------
    kept : DataFrame (id, cluster: long, confidence: double, ...)
    numbers : DataFrame (cluster: long, number: long)
    soft : DataFrame (id, soft_labels), optional
        Soft labels of the run. Labels that are not exported are dropped; the shares of the others add up to 1.
    """
    weight = F.least(F.lit(1.0), F.greatest(F.lit(0.0), F.col("confidence"))).alias("weight")
    rows = kept.join(numbers, "cluster", "inner").select(
        "id", F.col("number").alias("label"), F.lit("cluster").alias("source"),
        F.col("cluster").cast("string").alias("identity"), weight,
    )  # fmt: skip
    if soft is None:
        return rows
    return rows.join(_soft(soft, numbers), "id", "left").withColumn(
        "soft_labels", F.coalesce("soft_labels", _only("label"))
    )


def _soft(soft: DataFrame, numbers: DataFrame) -> DataFrame:
    entries = soft.select("id", F.explode("soft_labels").alias("entry"))
    named = entries.select("id", "entry.cluster", "entry.weight").join(numbers, "cluster", "inner")
    # Two clusters may have become one label; sums of whole numbers do not depend on the order.
    whole_shares = F.round(F.col("weight").cast("double") * _SHARES).cast("long")
    summed = named.groupBy("id", F.col("number").alias("label")).agg(F.sum(whole_shares).alias("weight"))
    return shares(summed.where("weight > 0"), "id", "label")


def _only(label: str) -> Column:
    return F.array(F.struct(F.col(label).alias("label"), F.lit(1.0).cast("float").alias("weight")))


def labelled_rows(labelled: DataFrame, numbers: DataFrame, *, soft: bool) -> DataFrame:
    """Return the rows of items with a given label; columns as of :func:`cluster_rows`."""
    kind = numbers.schema["label"].dataType
    named = labelled.withColumn("label", F.col("label").cast(kind)).join(numbers, "label", "inner")
    rows = named.select(
        "id", F.col("number").alias("label"), F.lit("labelled").alias("source"),
        F.col("label").cast("string").alias("identity"), F.lit(1.0).alias("weight"),
    )  # fmt: skip
    return rows.withColumn("soft_labels", _only("label")) if soft else rows


def with_splits(rows: DataFrame, shares: Mapping[str, float], *, by: str, seed: int) -> DataFrame:
    """Add the column ``split`` by a hash of only the id and the seed.

    Parameters
    ----------
    rows : DataFrame (id, label: long, ...)
    shares : mapping of name to share
        The rest is ``train``.
    by : {"item", "identity"}
        ``identity``: all items of a label are in one split, by the label's smallest id.
    seed : int
    """
    key = F.col("id") if by == "item" else F.min("id").over(Window.partitionBy("label"))
    hashed = F.pmod(F.xxhash64(F.lit(seed), key.cast("string")), F.lit(_SHARES))
    split, upto = F.lit(None).cast("string"), 0.0
    for name, share in shares.items():
        upto += share
        split = F.coalesce(split, F.when(hashed < round(upto * _SHARES), F.lit(name)))
    return rows.withColumn("split", F.coalesce(split, F.lit("train")))


def in_files(rows: DataFrame, files: Mapping[str, int], *, seed: int, shuffled: bool) -> DataFrame:
    """Put rows into files by a hash of the id, all rows of a file into one partition.

    Parameters
    ----------
    rows : DataFrame (id, split: string, label: long, ...)
    files : mapping of split to int
        Number of files of each split.
    seed : int
    shuffled : bool
        Whether a file is ordered by the hash instead of the label.

    Returns
    -------
    DataFrame (..., file: long, place: long)
    """
    key = F.col("id").cast("string")
    count = F.coalesce(*(F.when(F.col("split") == split, F.lit(number)) for split, number in files.items()))
    file = F.pmod(F.xxhash64(F.lit(seed), F.lit("file"), key), count.cast("long"))
    position = F.xxhash64(F.lit(seed), F.lit("place"), key) if shuffled else F.col("label")
    placed = rows.withColumn("file", file).withColumn("place", position)
    return placed.repartition(sum(files.values()), "split", "file")
