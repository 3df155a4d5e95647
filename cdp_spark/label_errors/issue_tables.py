"""flagged items -> tables for the user: issues with their evidence, a summary per label, corrected labels."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    DataType,
    DoubleType,
    LongType,
    NumericType,
    StringType,
    StructField,
    StructType,
)

from cdp_spark.label_errors.kernels.doubt import UNIT
from cdp_spark.pairs.pair_ends import from_either_end
from cdp_spark.spark.dense_rank import dense_rank

ISSUES = (
    "wrong_label", "outlier", "duplicate_identities", "merged_identity", "near_duplicates", "unsure",
)  # fmt: skip
_EXAMPLES = 3
_EVIDENCE = ("given_pairs", "given_score", "suggested_pairs", "suggested_score")


def issues_schema(id_type: DataType, label_type: DataType) -> StructType:
    """Return the schema of the issue table: one row per item and issue.

    ``given_pairs`` and ``suggested_pairs`` count the item's pairs above the run's threshold with items of that label;
    ``given_score`` and ``suggested_score`` are the sums of their scores. ``examples`` are the nearest items of the
    suggested label (or else of the given one) whose own labels are not in doubt.
    """
    kinds: list[tuple[str, DataType]] = [
        ("id", id_type), ("issue", StringType()), ("given", label_type), ("suggested", label_type),
        ("score", DoubleType()), ("given_pairs", LongType()), ("given_score", DoubleType()),
        ("suggested_pairs", LongType()), ("suggested_score", DoubleType()), ("cluster", LongType()),
        ("examples", ArrayType(id_type)),
    ]  # fmt: skip
    return StructType([StructField(name, kind) for name, kind in kinds])


def names_schema(label_type: DataType) -> StructType:
    """Return the schema of :func:`label_names`."""
    return StructType([StructField("label", LongType()), StructField("name", label_type)])


def summary_schema(label_type: DataType) -> StructType:
    """Return the schema of the summary: one row per label."""
    counts = ("items", *ISSUES, "joining")
    return StructType([StructField("label", label_type), *(StructField(name, LongType()) for name in counts)])


def scores_schema(id_type: DataType, label_type: DataType) -> StructType:
    """Return the schema of the scores: one row per item with a label."""
    kinds: list[tuple[str, DataType]] = [
        ("id", id_type), ("given", label_type), ("issue", StringType()), ("score", DoubleType()),
    ]  # fmt: skip
    return StructType([StructField(name, kind) for name, kind in kinds])


def cleaned_schema(id_type: DataType, label_type: DataType) -> StructType:
    """Return the schema of the cleaned labels: one row per given label."""
    kinds: list[tuple[str, DataType]] = [
        ("id", id_type), ("given", label_type), ("label", label_type), ("issue", StringType()), ("score", DoubleType()),
    ]  # fmt: skip
    return StructType([StructField(name, kind) for name, kind in kinds])


def label_names(items: DataFrame, labels: DataFrame, labelled: DataFrame) -> DataFrame:
    """Return the name of each label: (label: long, name)."""
    first = labelled.where(F.col("item") == F.col("label")).select("item").join(items, "item", "inner")
    return first.join(labels, "id", "inner").select(F.col("item").alias("label"), F.col("label").alias("name"))


def examples(flagged: DataFrame, pairs: DataFrame, verdicts: DataFrame) -> DataFrame:
    """Find the nearest items of the suggested label, or else of the given one, for each flagged item.

    Parameters
    ----------
    flagged : DataFrame (``FLAGGED``)
    pairs : DataFrame (``LABELLED_PAIRS``)
    verdicts : DataFrame (``VERDICTS``)
        Items whose label is in doubt are not examples.

    Returns
    -------
    DataFrame (item: long, wanted: long, place: int, other: long)
        Up to three, by descending score. Lazy.
    """
    asked = flagged.select("item", F.coalesce("suggested", "label").alias("wanted")).distinct()
    seen = from_either_end(pairs, "score").withColumnRenamed("label", "wanted")
    doubtful = verdicts.where(F.col("issue").isNotNull()).select(F.col("item").alias("other"))
    near = seen.join(asked, ["item", "wanted"], "left_semi").join(doubtful, "other", "left_anti")
    order = Window.partitionBy("item", "wanted").orderBy(F.desc("score"), "other")
    placed = near.withColumn("place", F.row_number().over(order))
    return placed.where(F.col("place") <= _EXAMPLES).select("item", "wanted", "place", "other")


def evidence(flagged: DataFrame, supported: DataFrame) -> DataFrame:
    """Add the number and scores of the pairs that support either label of each flagged item.

    Parameters
    ----------
    flagged : DataFrame (``FLAGGED``)
    supported : DataFrame (``SUPPORTS``)

    Returns
    -------
    DataFrame (``FLAGGED`` and given_pairs, given_score, suggested_pairs, suggested_score)
        Lazy.
    """
    with_evidence = flagged
    supported = supported.join(flagged.select("item").distinct(), "item", "left_semi")
    for name, label in (("given", "label"), ("suggested", "suggested")):
        sums = supported.select(
            "item", F.col("label").alias(label), F.col("pairs").alias(f"{name}_pairs"),
            (F.col("scores") / UNIT).alias(f"{name}_score"),
        )  # fmt: skip
        with_evidence = with_evidence.join(sums, ["item", label], "left")
    shown = (F.coalesce(name, F.lit(0 if name.endswith("pairs") else 0.0)).alias(name) for name in _EVIDENCE)
    return with_evidence.select(*flagged.columns, *shown)


def issues(known: DataFrame, near: DataFrame, names: DataFrame, items: DataFrame, clusters: DataFrame) -> DataFrame:
    """Format issues for the user.

    Parameters
    ----------
    known : DataFrame
        Result of :func:`evidence`.
    near : DataFrame
        Result of :func:`examples`.
    names : DataFrame (label: long, name)
    items : DataFrame (id, item: long)
    clusters : DataFrame (id, cluster: long, ...)

    Returns
    -------
    DataFrame (:func:`issues_schema`)
        In no order. Lazy.
    """
    ids = items.select(F.col("item").alias("other"), F.col("id").alias("example"))
    entries = F.sort_array(F.collect_list(F.struct("place", "example")))
    lists = near.join(ids, "other", "inner").groupBy("item", "wanted").agg(entries.alias("entries"))
    given = names.select("label", F.col("name").alias("given"))
    suggested = names.select(F.col("label").alias("suggested"), F.col("name").alias("better"))
    joined = (
        known.withColumn("wanted", F.coalesce("suggested", "label"))
        .join(lists, ["item", "wanted"], "left")
        .join(given, "label", "inner")
        .join(suggested, "suggested", "left")
        .join(items, "item", "inner")
        .join(clusters.select("id", "cluster"), "id", "left")
    )
    shown = F.coalesce(F.col("entries.example"), F.array().cast(ArrayType(items.schema["id"].dataType)))
    return joined.select(
        "id", "issue", "given", F.col("better").alias("suggested"), "score", *_EVIDENCE, "cluster",
        shown.alias("examples"),
    )  # fmt: skip


def scores(verdicts: DataFrame, names: DataFrame, items: DataFrame) -> DataFrame:
    """Return how probably each given label is wrong, of all items.

    Parameters
    ----------
    verdicts : DataFrame (``VERDICTS``)
    names : DataFrame (label: long, name)
    items : DataFrame (id, item: long)

    Returns
    -------
    DataFrame (:func:`scores_schema`)
        ``issue`` is null where nothing is listed. Lazy.
    """
    joined = verdicts.join(names, "label", "inner").join(items, "item", "inner")
    return joined.select("id", F.col("name").alias("given"), "issue", "score")


def summary(labels: DataFrame, listed: DataFrame) -> DataFrame:
    """Count the issues of each label.

    Parameters
    ----------
    labels : DataFrame (id, label)
        Items with an embedding.
    listed : DataFrame
        Result of :func:`issues`.

    Returns
    -------
    DataFrame (label, items: long, one column of long per issue, joining: long)
        ``joining`` counts items of other labels that are suggested to belong here. Lazy.
    """
    sizes = labels.groupBy("label").agg(F.count("*").alias("items"))
    counted = (F.count(F.when(F.col("issue") == issue, 1)).alias(issue) for issue in ISSUES)
    of_given = listed.groupBy(F.col("given").alias("label")).agg(*counted)
    wrong = listed.where(F.col("issue") == "wrong_label")
    joining = wrong.groupBy(F.col("suggested").alias("label")).agg(F.count("*").alias("joining"))
    counts = (F.coalesce(name, F.lit(0)).alias(name) for name in (*ISSUES, "joining"))
    return sizes.join(of_given, "label", "left").join(joining, "label", "left").select("label", "items", *counts)


def cleaned_labels(labels: DataFrame, flagged: DataFrame, names: DataFrame, *, applied: Sequence[str]) -> DataFrame:
    """Correct labels, and keep the given ones beside them.

    A wrong label becomes the suggested one, an outlier gets none, a double the larger label, a fragment of a merged
    identity a label of its own: for numbers the next after the largest, for text the old one with ``#`` and a number.

    Parameters
    ----------
    labels : DataFrame (id, item: long, label)
        Labels as given; ``item`` is null without an embedding.
    flagged : DataFrame (``FLAGGED``)
    names : DataFrame (label: long, name)
    applied : sequence of str
        Issues of ``ISSUES`` to correct; the others change nothing.

    Returns
    -------
    DataFrame (id, given, label, issue: string, score: double)
        One row per label; ``issue`` and ``score`` where it was changed: the first of wrong label, outlier, merged
        identity, duplicate identities. Runs small jobs to number new labels.
    """
    kind = labels.schema["label"].dataType
    mended = [name for name in ("wrong_label", "outlier", "merged_identity", "duplicate_identities") if name in applied]
    wanted = flagged.where(F.col("issue").isin(mended))
    order = F.array_position(F.lit(mended), F.col("issue")) if mended else F.lit(0)
    first = wanted.groupBy("item").agg(F.min(F.struct(order.alias("order"), *_CHANGE)).alias("change"))
    better = names.select(F.col("label").alias("suggested"), F.col("name").alias("better"))
    changes = (
        first.select("item", "change.*")
        .join(better, "suggested", "left")
        .join(_new_labels(labels, wanted, kind), "part", "left")
    )
    joined = labels.select("id", "item", F.col("label").alias("given")).join(changes, "item", "left")
    new = joined["given"].cast(StringType())
    split = F.concat(new, F.lit("#"), F.col("number").cast("string")) if kind == StringType() else F.col("number")
    label = (
        F.when(F.col("issue").isNull(), F.col("given"))
        .when(F.col("issue") == "outlier", F.lit(None))
        .when(F.col("issue") == "merged_identity", split.cast(kind))
        .otherwise(F.col("better"))
    )
    return joined.select("id", "given", label.alias("label"), "issue", "score")


_CHANGE = ("issue", "suggested", "part", "score")


def _new_labels(labels: DataFrame, wanted: DataFrame, kind: DataType) -> DataFrame:
    """Number the fragments that get a new label: (part: long, number: long)."""
    split_off = wanted.where(F.col("issue") == "merged_identity").select("part").distinct()
    first: Column = F.lit(2)
    ranked = dense_rank(split_off, "part", "rank")
    if isinstance(kind, NumericType):
        largest = labels.agg(F.max("label")).collect()[0][0]
        first = F.lit(0 if largest is None else int(largest) + 1)
    return ranked.select("part", (F.col("rank") + first).cast("long").alias("number"))
