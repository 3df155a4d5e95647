"""scored_pairs, labels -> how much each item is supported by each label, and a verdict on every given label.

Inside, a label is a number: the smallest item that has it. An item and its own label's other items are never the same
item, for no pair joins an item with itself; no table has a row for an item and a label without a pair between them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import DoubleType, FloatType, LongType, StringType, StructField, StructType

from cdp_spark.label_errors.kernels import doubt as kernel
from cdp_spark.pairs.pair_ends import from_either_end, with_ends
from cdp_spark.spark.arrow import map_batches

_LONG = LongType()
LABELLED = StructType([StructField(name, _LONG) for name in ("item", "label", "size")])
"""One row per labelled item: its label, and how many items have it."""

LABELLED_PAIRS = StructType(
    [
        StructField("src", _LONG), StructField("dst", _LONG), StructField("score", FloatType()),
        StructField("src_label", _LONG), StructField("dst_label", _LONG),
    ]
)  # fmt: skip
"""The scored pairs whose ends both have a label."""

SUPPORTS = StructType([StructField(name, _LONG) for name in ("item", "given", "label", "support", "pairs", "scores")])
"""One row per item and label that pairs join: the strengths of the pairs (see ``kernels.doubt``), how many have a
score above the threshold, and the sum of those scores, in ``kernels.doubt.UNIT``."""

ITEM_SUPPORTS = StructType(
    [StructField(name, _LONG) for name in ("item", "label", "size", "own", "other", "suggested")]
)
"""One row per labelled item: support by its own label and the best by another, and which that is (null: none)."""

VERDICTS = StructType(
    [
        StructField("item", _LONG), StructField("label", _LONG), StructField("issue", StringType()),
        StructField("suggested", _LONG), StructField("score", DoubleType()),
    ]
)  # fmt: skip
"""One row per labelled item: the probability that its label is wrong; ``issue`` is null where nothing is."""

_SUGGESTED = 0.2
_UNSURE = 0.2
"""From this probability on an item is listed."""


def labelled_items(items: DataFrame, labels: DataFrame) -> DataFrame:
    """Number the labels.

    Parameters
    ----------
    items : DataFrame (id, item: long)
    labels : DataFrame (id, label)
        One row per id; null labels are left out.

    Returns
    -------
    DataFrame (``LABELLED``)
        Lazy.
    """
    named = items.join(labels.where(F.col("label").isNotNull()), "id", "inner").select("item", "label")
    numbers = named.groupBy("label").agg(F.min("item").alias("number"), F.count("*").alias("size"))
    joined = named.join(numbers, "label", "inner")
    return joined.select("item", F.col("number").alias("label"), "size")


def labelled_pairs(pairs: DataFrame, labelled: DataFrame) -> DataFrame:
    """Give both ends of each pair their labels; pairs with an unlabelled end say nothing and go.

    Parameters
    ----------
    pairs : DataFrame (``schemas.SCORED_PAIRS``)
    labelled : DataFrame (``LABELLED``)

    Returns
    -------
    DataFrame (``LABELLED_PAIRS``)
        Lazy.
    """
    return with_ends(pairs, labelled, "label").select(*LABELLED_PAIRS.names)


def agreement(pairs: DataFrame) -> DataFrame:
    """Count pairs, and those with one label at both ends, by score: (bin: int, pairs: long, agreeing: long)."""
    agree = (F.col("src_label") == F.col("dst_label")).cast("long")
    return pairs.groupBy(_score_bin().alias("bin")).agg(F.count("*").alias("pairs"), F.sum(agree).alias("agreeing"))


def supports(pairs: DataFrame, strengths: Sequence[int], threshold: float) -> DataFrame:
    """Sum up by which labels each item is supported.

    Parameters
    ----------
    pairs : DataFrame (``LABELLED_PAIRS``)
    strengths : sequence of int
        By bin of the score, see ``kernels.doubt.strengths``.
    threshold : float
        The run's: pairs with score > threshold are those it accepts.

    Returns
    -------
    DataFrame (``SUPPORTS``)
        Lazy.
    """
    accepted = F.col("score").cast("double") > F.lit(float(threshold))
    score = F.round(F.col("score").cast("double") * kernel.UNIT).cast("long")
    weighed = pairs.select(
        "src", "dst", "src_label", "dst_label",
        strength(strengths).alias("support"),
        accepted.cast("long").alias("pairs"),
        F.when(accepted, score).otherwise(F.lit(0)).cast("long").alias("scores"),
    ).where("support > 0 or pairs > 0")  # fmt: skip
    sums = ("support", "pairs", "scores")
    grouped = from_either_end(weighed, *sums).groupBy("item", "given", "label")
    return grouped.agg(*(F.sum(name).alias(name) for name in sums)).select(*SUPPORTS.names)


def strength(strengths: Sequence[int]) -> Column:
    """Look up the strength of a pair by its score."""
    return F.get(F.lit(list(strengths)), _score_bin()).cast("long")


def _score_bin() -> Column:
    number = F.floor((F.col("score").cast("double") + 1) * (kernel.SCORE_BINS // 2))
    return F.greatest(F.lit(0), F.least(F.lit(kernel.SCORE_BINS - 1), number)).cast("int")


def item_supports(supported: DataFrame, labelled: DataFrame) -> DataFrame:
    """Set the support of each item by its own label beside the best by another.

    Parameters
    ----------
    supported : DataFrame (``SUPPORTS``)
    labelled : DataFrame (``LABELLED``)

    Returns
    -------
    DataFrame (``ITEM_SUPPORTS``)
        One row per labelled item; of equal others the smaller label. Lazy.
    """
    same = F.col("label") == F.col("given")
    other = F.when(~same & (F.col("support") > 0), F.struct("support", (-F.col("label")).alias("negated")))
    sums = supported.groupBy("item").agg(
        F.sum(F.when(same, F.col("support")).otherwise(F.lit(0))).alias("own"), F.max(other).alias("best")
    )
    return labelled.join(sums, "item", "left").select(
        "item", "label", "size",
        F.coalesce("own", F.lit(0)).cast("long").alias("own"),
        F.coalesce("best.support", F.lit(0)).cast("long").alias("other"),
        (-F.col("best.negated")).cast("long").alias("suggested"),
    )  # fmt: skip


def opportunities(k: int) -> Column:
    """Return the items that could support an item's own label."""
    return F.least(F.col("size") - 1, F.lit(k)).cast("long")


def totals(of_items: DataFrame, k: int) -> DataFrame:
    """Count items by opportunities: (opportunities: long, items: long, own: decimal)."""
    grouped = of_items.groupBy(opportunities(k).alias("opportunities"))
    return grouped.agg(F.count("*").alias("items"), F.sum(F.col("own").cast("decimal(38,0)")).alias("own"))


def best_supports(of_items: DataFrame) -> DataFrame:
    """Count items by their best support by any label: (bin: long, items: long)."""
    number = F.expr(f"greatest(own, other) * {kernel.SUPPORT_BINS} div {kernel.UNIT}")
    return of_items.groupBy(number.alias("bin")).agg(F.count("*").alias("items"))


def doubt_counts(of_items: DataFrame, k: int, expected: float) -> DataFrame:
    """Count items by doubt: (elsewhere: long, bin: long, items: long)."""
    schema = StructType([StructField("elsewhere", _LONG), StructField("bin", _LONG)])

    def count(batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        for batch in batches:
            doubts, elsewhere = _doubts(batch, k, expected)
            columns = [pa.array(elsewhere.astype(np.int64)), pa.array(kernel.doubt_bins(doubts))]
            yield pa.RecordBatch.from_arrays(columns, names=schema.names)

    binned = map_batches(of_items.select(*ITEM_SUPPORTS.names), count, schema)
    return binned.groupBy("elsewhere", "bin").agg(F.count("*").alias("items"))


def verdicts(of_items: DataFrame, model: kernel.DoubtModel, k: int) -> DataFrame:
    """Give each item the probability that its label is wrong, and the issue that follows.

    Parameters
    ----------
    of_items : DataFrame (``ITEM_SUPPORTS``)
    model : DoubtModel
    k : int
        Neighbours of an item.

    Returns
    -------
    DataFrame (``VERDICTS``)
        Lazy.
    """

    def decide(batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        for batch in batches:
            doubts, elsewhere = _doubts(batch, k, model.expected)
            score, sure = model.probability(doubts, elsewhere), model.called_wrong(doubts, elsewhere)
            issue = np.where(sure, np.where(elsewhere, "wrong_label", "outlier"), "unsure")
            listed = sure | (score >= _UNSURE)
            named = listed & (issue != "outlier") & (batch.column("other").to_numpy() >= _SUGGESTED * kernel.UNIT)
            columns = [
                batch.column("item"), batch.column("label"), pa.array(issue, pa.string(), mask=~listed),
                pc.if_else(pa.array(named), batch.column("suggested"), None), pa.array(score),
            ]  # fmt: skip
            yield pa.RecordBatch.from_arrays(columns, names=VERDICTS.names)

    return map_batches(of_items.select(*ITEM_SUPPORTS.names), decide, VERDICTS)


def _doubts(batch: pa.RecordBatch, k: int, expected: float) -> tuple[kernel.Floats, np.ndarray]:
    own, other = (batch.column(name).to_numpy() / kernel.UNIT for name in ("own", "other"))
    could = np.minimum(batch.column("size").to_numpy() - 1, k).astype(np.float64)
    return kernel.doubt(own, other, could, expected), other >= kernel.ELSEWHERE
