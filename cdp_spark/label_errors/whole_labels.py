"""Issues of whole labels, and of the same image twice: duplicate identities, merged identities, near duplicates."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import DoubleType, LongType, StringType, StructField, StructType

from cdp_spark.label_errors.kernels.doubt import UNIT
from cdp_spark.label_errors.kernels.split_labels import fragments_of_labels
from cdp_spark.label_errors.support import LABELLED_PAIRS, strength
from cdp_spark.spark.arrow import gathered, in_batches, map_batches

_LONG = LongType()
DUPLICATES = StructType(
    [StructField("label", _LONG), StructField("suggested", _LONG), StructField("score", DoubleType())]
)
"""Labels that are another label's identity: the smaller one, the larger, and the score."""

FLAGGED = StructType(
    [
        StructField("item", _LONG), StructField("issue", StringType()), StructField("label", _LONG),
        StructField("suggested", _LONG), StructField("part", _LONG), StructField("score", DoubleType()),
    ]
)  # fmt: skip
"""One row per item and issue. ``part`` is the smallest item of a fragment of a merged identity, else null."""

_FRAGMENTS = StructType(
    [StructField("item", _LONG), StructField("label", _LONG), StructField("part", _LONG),
     StructField("score", DoubleType())]
)  # fmt: skip
_INSIDE = StructType(
    [StructField("label", _LONG), StructField("src", _LONG), StructField("dst", _LONG), StructField("strength", _LONG)]
)
# Smallest density and share at which an item counts as support for another label.
_LEAST_DENSITY = 0.02
_LEAST_SHARE = 0.1


def duplicates(supported: DataFrame, of_items: DataFrame, *, least: float) -> DataFrame:
    """Find labels that are one identity.

    An item is evidence that two labels are one identity if another label supports it as densely, per item, as its own.
    The score is the smaller of the two labels' shares of such items. A single wrong item is also evidence, but it is a
    small share of its own label.

    Parameters
    ----------
    supported : DataFrame (``SUPPORTS``)
    of_items : DataFrame (``ITEM_SUPPORTS``)
    least : float
        Smallest score.

    Returns
    -------
    DataFrame (``DUPLICATES``)
        One row per label that has a larger double (of equal sizes, one whose number is smaller); labels of one item are
        left out, since a wrong item and a double of one item look alike. Lazy.
    """
    sizes = of_items.where(F.col("item") == F.col("label")).select("label", F.col("size").alias("other_size"))
    of_item = of_items.where(F.col("size") >= 2).select("item", "size", "own")
    shown = (
        supported.where(F.col("label") != F.col("given"))
        .join(of_item, "item", "inner")
        .join(sizes.where(F.col("other_size") >= 2), "label", "inner")
        .withColumn("share", _shown())
        .where(F.col("share") >= _LEAST_SHARE)
    )
    total = F.sum(F.round(F.col("share") * UNIT).cast("long")) / (F.col("size") * UNIT)
    one_way = shown.groupBy("given", "label", "size", "other_size").agg(total.alias("score"))
    back = one_way.select(
        F.col("label").alias("given"), F.col("given").alias("label"), F.col("score").alias("back_score")
    )
    score = F.least("score", "back_score")
    equal = (F.col("size") == F.col("other_size")) & (F.col("given") > F.col("label"))
    smaller = (F.col("size") < F.col("other_size")) | equal
    doubles = one_way.join(back, ["given", "label"], "inner").where(smaller & (score >= F.lit(float(least))))
    best = F.max(F.struct(score.alias("score"), (-F.col("label")).alias("negated"))).alias("best")
    return doubles.groupBy(F.col("given").alias("label")).agg(best).select(
        "label", (-F.col("best.negated")).alias("suggested"), "best.score"
    )  # fmt: skip


def _shown() -> Column:
    other = F.col("support") / (F.col("other_size") * UNIT)
    own = F.col("own") / ((F.col("size") - 1) * UNIT)
    return F.when(other >= _LEAST_DENSITY, F.least(F.lit(1.0), other / F.greatest(own, F.lit(_LEAST_DENSITY))))


def merged(pairs: DataFrame, verdicts: DataFrame, strengths: Sequence[int], *, k: int, tasks: int) -> DataFrame:
    """Find labels that are two identities or more.

    Parameters
    ----------
    pairs : DataFrame (``LABELLED_PAIRS``)
    verdicts : DataFrame (``VERDICTS``)
        Items whose label is more probably wrong than right are left out first.
    strengths : sequence of int
    k : int
        Neighbours of an item.
    tasks : int
        A label's pairs go to one task; affects speed, never the result.

    Returns
    -------
    DataFrame (item: long, label: long, part: long, score: double)
        Items of each label's fragments, without its main one. Lazy.
    """
    wrong = verdicts.where(F.col("score") >= 0.5)
    inside = pairs.select(*LABELLED_PAIRS.names).where(F.col("src_label") == F.col("dst_label"))
    for end in ("src", "dst"):
        inside = inside.join(wrong.select(F.col("item").alias(end)), end, "left_anti")
    weighed = inside.select(F.col("src_label").alias("label"), "src", "dst", strength(strengths).alias("strength"))

    def find(batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        label, src, dst, weight = gathered(batches, _INSIDE)
        split = fragments_of_labels(label, src, dst, weight / UNIT, k=k)
        columns = [pa.array(column) for column in (split.items, split.labels, split.roots, split.scores)]
        return in_batches(pa.RecordBatch.from_arrays(columns, names=_FRAGMENTS.names))

    return map_batches(weighed.repartition(tasks, "label"), find, _FRAGMENTS)


def near_duplicates(knn: DataFrame, labelled: DataFrame, *, similarity: float) -> DataFrame:
    """Find images that occur twice.

    Parameters
    ----------
    knn : DataFrame (``schemas.KNN``)
        The base's KNN graph.
    labelled : DataFrame (``LABELLED``)
    similarity : float
        From this similarity on two images are the same.

    Returns
    -------
    DataFrame (item: long, suggested: long, score: double)
        Labelled items with such a neighbour that comes before them; the label of the first of these (null: it has
        none), and the similarity. Lazy.
    """
    least = F.lit(similarity)
    near = knn.where(F.get("similarities", F.lit(0)).cast("double") >= least)
    entries = near.select("item", F.explode(F.arrays_zip("neighbors", "similarities")).alias("entry"))
    twice = entries.select("item", F.col("entry.neighbors").alias("other"), F.col("entry.similarities").alias("score"))
    both = twice.unionByName(
        twice.select(F.col("other").alias("item"), F.col("item").alias("other"), "score")
    ).where((F.col("other") < F.col("item")) & (F.col("score").cast("double") >= least))  # fmt: skip
    first = both.groupBy("item").agg(F.min(F.struct("other", "score")).alias("first"))
    labels = labelled.select("item", "label")
    partners = labels.select(F.col("item").alias("other"), F.col("label").alias("suggested"))
    named = first.select("item", "first.other", F.col("first.score").cast("double").alias("score"))
    return named.join(labels.select("item"), "item", "left_semi").join(partners, "other", "left").select(
        "item", "suggested", F.least("score", F.lit(1.0)).alias("score")
    )  # fmt: skip


def flagged(verdicts: DataFrame, doubles: DataFrame, split: DataFrame, twice: DataFrame, *, least: float) -> DataFrame:
    """Bring all issues together.

    Parameters
    ----------
    verdicts : DataFrame (``VERDICTS``)
    doubles : DataFrame (``DUPLICATES``)
        An item of one of two such labels is not called wrong for belonging to the other.
    split, twice : DataFrame
        From :func:`merged` and :func:`near_duplicates`.
    least : float
        Smallest score of a merged identity.

    Returns
    -------
    DataFrame (``FLAGGED``)
        Lazy.
    """
    one_way = doubles.select("label", "suggested")
    either = one_way.unionByName(one_way.select(F.col("suggested").alias("label"), F.col("label").alias("suggested")))
    items = verdicts.where(F.col("issue").isNotNull()).join(either, ["label", "suggested"], "left_anti")
    of_label = verdicts.select("item", "label")
    tables = [
        _rows(items),
        _rows(of_label.join(doubles, "label", "inner"), "duplicate_identities"),
        _rows(split.where(F.col("score") >= F.lit(float(least))), "merged_identity"),
        _rows(of_label.join(twice, "item", "inner"), "near_duplicates"),
    ]
    return tables[0].unionByName(tables[1]).unionByName(tables[2]).unionByName(tables[3])


def _rows(table: DataFrame, issue: str | None = None) -> DataFrame:
    given = {"issue": F.lit(issue)} if issue is not None else {}
    absent = {name: F.lit(None) for name in ("suggested", "part") if name not in table.columns}
    columns = {field.name: F.col(field.name) for field in FLAGGED.fields} | given | absent
    return table.select(*(columns[field.name].cast(field.dataType).alias(field.name) for field in FLAGGED.fields))
