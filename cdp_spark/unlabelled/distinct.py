"""Items that are the same in every model, and models that are the same in every item: each counts once.

In: vectors of all models. Exact duplicates would be joined at any shift by any half, and a model given twice would be
in both halves: either way the halves agree on what says nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

_BITS = 256
_ENDS = ("src", "dst")
_PAIR = (*_ENDS, "score")


def duplicates(vectors: Sequence[DataFrame]) -> DataFrame:
    """Find the items that repeat a smaller one in every model.

    Parameters
    ----------
    vectors : sequence of DataFrame (item: long, vector: binary)
        By model; the same items in each.

    Returns
    -------
    DataFrame (``unlabelled_tables.DUPLICATES``)
        One row per item that repeats another. Lazy.
    """
    digests = [_digests(table, number) for number, table in enumerate(vectors)]
    content = reduce(lambda one, other: one.join(other, "item", "inner"), digests)
    names = [f"digest_{number}" for number in range(len(digests))]
    groups = content.groupBy(*names).agg(F.min("item").alias("same_as"), F.collect_list("item").alias("items"))
    repeated = groups.where(F.size("items") > 1).select(F.explode("items").alias("item"), "same_as")
    return repeated.where(F.col("item") != F.col("same_as"))


def _digests(vectors: DataFrame, number: int) -> DataFrame:
    return vectors.select("item", F.sha2("vector", _BITS).alias(f"digest_{number}"))


def content(vectors: DataFrame) -> dict[str, object]:
    """Describe all vectors of a model, whatever the order of the rows (runs one job)."""
    hashed = vectors.select(F.xxhash64("item", "vector").cast("decimal(38,0)").alias("hash"))
    row = hashed.agg(F.count("*").alias("rows"), F.sum("hash").alias("sum"), F.max("hash").alias("most")).collect()[0]
    return {"rows": row["rows"], "sum": str(row["sum"]), "most": str(row["most"])}


def without(table: DataFrame, repeated: DataFrame) -> DataFrame:
    """Leave out items that repeat another."""
    return table.join(repeated.select("item"), "item", "left_anti")


def with_duplicates(labelled: DataFrame, repeated: DataFrame) -> DataFrame:
    """Give items that repeat another the label of that one, and count them.

    Parameters
    ----------
    labelled : DataFrame (``schemas.LABELLED_ITEMS`` or ``schemas.CONFIDENT_ITEMS``)
        Labels of distinct items; items without a pair may be missing.
    repeated : DataFrame (``unlabelled_tables.DUPLICATES``)

    Returns
    -------
    DataFrame
        Columns of ``labelled``. An item that was alone or had no label is one cluster with those that repeat it: they
        are one identity with probability 1. Lazy.
    """
    fields = labelled.schema.fields
    groups = repeated.groupBy("same_as").agg(F.collect_list("item").alias("copies"))
    known = labelled.withColumnRenamed("item", "same_as").join(groups, "same_as", "full")
    item = F.explode(F.concat(F.array("same_as"), F.coalesce("copies", F.array().cast("array<bigint>"))))
    each = known.withColumn("item", item).withColumn("root", F.coalesce("root", "same_as"))
    size = each.groupBy("root").agg(F.count("*").alias("all"))
    counted = each.join(size, "root", "inner")
    repeats = F.col("copies").isNotNull()
    one = F.lit(1.0)
    certain = {
        "status": F.when(F.col("all") > 1, F.lit("clustered")).otherwise(F.col("status")),
        "size": F.col("all"),
        "best_score": F.when(repeats, one).otherwise(F.col("best_score")),
        "level": F.coalesce("level", F.lit(0.5)),
        "confidence": F.coalesce("confidence", one),
        "cluster_confidence": F.coalesce("cluster_confidence", one),
        "best_other_probability": F.coalesce("best_other_probability", F.lit(0.0)),
    }  # fmt: skip
    columns = [
        certain.get(field.name, F.col(field.name)).cast(field.dataType).alias(field.name)
        for field in fields
    ]  # fmt: skip
    return counted.select(*columns)


def pairs_with_duplicates(scored: DataFrame, repeated: DataFrame) -> DataFrame:
    """Give items that repeat another the pairs of that one, and a pair of score 1 with it.

    Two items that both repeat others have no pair: in a large group each would have one with every other.

    Parameters
    ----------
    scored : DataFrame (``schemas.SCORED_PAIRS``)
    repeated : DataFrame (``unlabelled_tables.DUPLICATES``)

    Returns
    -------
    DataFrame (``schemas.SCORED_PAIRS``)
        Lazy.
    """
    certain = repeated.select(F.col("same_as").alias("src"), F.col("item").alias("dst"), F.lit(1.0).alias("score"))
    pairs = scored.select(*_PAIR).unionAll(certain.select("src", "dst", F.col("score").cast("float")))
    for end, other in (_ENDS, _ENDS[::-1]):
        copies = repeated.select(F.col("same_as").alias(end), F.col("item").alias("copy"))
        of_copies = scored.join(copies, end, "inner").select("copy", F.col(other).alias("other"), "score")
        smaller, larger = F.least("copy", "other").alias("src"), F.greatest("copy", "other").alias("dst")
        pairs = pairs.unionAll(of_copies.select(smaller, larger, "score"))
    return pairs


def lists_with_duplicates(knn: DataFrame, repeated: DataFrame) -> DataFrame:
    """Add the lists of items that repeat another: that one alone, at similarity 1.

    Parameters
    ----------
    knn : DataFrame (``schemas.KNN``)
    repeated : DataFrame (``unlabelled_tables.DUPLICATES``)

    Returns
    -------
    DataFrame (``schemas.KNN``)
        Lazy.
    """
    of_copies = repeated.select("item", F.array("same_as"), F.array(F.lit(1.0).cast("float")))
    return knn.select("item", "neighbors", "similarities").unionAll(of_copies)
