"""consensus graph, labels -> soft labels: the few clusters that an item most probably belongs to, by diffusion.

Every item starts with its own cluster; in each round it passes its weights on along its pairs, each in proportion to
the pair's score, and keeps half of itself at its own cluster. Items at a border, and items that a cut has left alone,
so get the clusters around them. Weights are whole numbers, so that sums do not depend on their order.

Source: the paper's appendix (soft labels by diffusion); the restart at the own label is that of Zhou et al., Learning
with local and global consistency (2003).
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.types import LongType, StructField, StructType

SOFT_WEIGHTS = StructType([StructField(name, LongType()) for name in ("item", "root", "weight")])
"""What each item remembers: clusters by their smallest item, and weights relative to each other."""

ROUNDS = 3
KEPT = 3
"""Clusters that an item remembers."""

_WHOLE = 1 << 20
_STRONGEST = 1 << 16


def soft_labels(pairs_above: DataFrame, labelled: DataFrame) -> DataFrame:
    """Spread the labels over the consensus graph.

    Parameters
    ----------
    pairs_above : DataFrame (``schemas.SCORED_PAIRS``)
        Pairs above the threshold; a pair with score 0 or less passes nothing.
    labelled : DataFrame (``schemas.LABELLED_ITEMS``)

    Returns
    -------
    DataFrame (``SOFT_WEIGHTS``)
        Up to ``KEPT`` rows per item, weights relative to each other. Items with no pair and no cluster have none. Lazy.
    """
    strength = F.round(F.col("score").cast("double") * _STRONGEST).cast("long").alias("strength")
    there = pairs_above.select(F.col("src").alias("item"), F.col("dst").alias("other"), strength)
    back = pairs_above.select(F.col("dst").alias("item"), F.col("src").alias("other"), strength)
    edges = there.unionByName(back).where("strength > 0")
    degree = edges.groupBy("item").agg(F.sum("strength").alias("degree"))
    seeds = labelled.where("root is not null").select("item", "root", F.lit(_WHOLE // 2).cast("long").alias("weight"))
    state = seeds
    for _ in range(ROUNDS):
        state = _kept(seeds.unionByName(_passed_on(edges, degree, state)))
    return state


def _passed_on(edges: DataFrame, degree: DataFrame, state: DataFrame) -> DataFrame:
    """Return half of the mean of the neighbours' weights, by the strength of the pairs."""
    sent = edges.join(state.withColumnRenamed("item", "other"), "other", "inner")
    got = sent.groupBy("item", "root").agg(F.sum(F.col("strength") * F.col("weight")).alias("got"))
    return got.join(degree, "item", "inner").select("item", "root", F.expr("got div (2 * degree)").alias("weight"))


def _kept(weights: DataFrame) -> DataFrame:
    total = weights.groupBy("item", "root").agg(F.sum("weight").alias("weight")).where("weight > 0")
    order = Window.partitionBy("item").orderBy(F.desc("weight"), "root")
    placed = total.withColumn("place", F.row_number().over(order))
    return placed.where(F.col("place") <= KEPT).select(*SOFT_WEIGHTS.names)


def shares(weights: DataFrame, item: str, of: str) -> DataFrame:
    """Make one list per item out of its weights.

    Parameters
    ----------
    weights : DataFrame (item, of, weight: long)
    item, of : str
        Columns: whose weights they are, and of what.

    Returns
    -------
    DataFrame (item, soft_labels: array of (of, weight: float))
        Shares that add up to 1, the largest first, equal ones by ``of``. Lazy.
    """
    entries = F.sort_array(F.collect_list(F.struct((-F.col("weight")).alias("below"), of)))
    grouped = weights.groupBy(item).agg(entries.alias("entries"), F.sum("weight").alias("total"))

    def share(entry: Column) -> Column:
        weight = (-entry["below"] / F.col("total")).cast("float")
        return F.struct(entry[of].alias(of), weight.alias("weight"))

    return grouped.select(item, F.transform("entries", share).alias("soft_labels"))
