"""KNN graphs -> how often items are neighbours of others, and which of the base's pairs the members have, too.

Both are counts over all lists; a share of the items or pairs, chosen by hash, bounds what is shuffled and held.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from cdp_spark.stages.shards import hashed_sample

MOST_MEMBERS = 62
"""A pair's members travel as the bits of one long."""


def in_degrees(graphs: Sequence[DataFrame], *, share: float = 1.0) -> DataFrame:
    """Count the items of each graph by the number of lists that they are in.

    Parameters
    ----------
    graphs : sequence of DataFrame (``schemas.KNN``)
    share : float
        Share of the items, by hash, that are counted; the lists of all items are read.

    Returns
    -------
    DataFrame (graph: int, in_degree: long, items: long)
        ``graph`` is the place in ``graphs``. Items in no list count, with 0. For each graph at most as many rows as the
        square root of twice its edges. Lazy.
    """
    # Each item once itself: then those that nobody names are there, too.
    named = (
        graph.select(F.lit(place).alias("graph"), F.explode(F.concat(F.array("item"), "neighbors")).alias("item"))
        for place, graph in enumerate(graphs)
    )
    every = _sampled(reduce(DataFrame.unionAll, named), share, "item")
    counted = every.groupBy("graph", "item").agg((F.count("*") - 1).alias("in_degree"))
    return counted.groupBy("graph", "in_degree").agg(F.count("*").alias("items"))


def confirmed_pairs(
    base: DataFrame, members: Sequence[DataFrame], labels: DataFrame | None, *, share: float = 1.0
) -> DataFrame:
    """Count the base's pairs by the members that confirm them.

    A member confirms a pair when it has an edge that the base has in the same direction: as in the vote.

    Parameters
    ----------
    base : DataFrame (``schemas.KNN``)
    members : sequence of DataFrame (``schemas.KNN``)
        At most ``MOST_MEMBERS``.
    labels : DataFrame (item: long, label), optional
        No nulls.
    share : float
        Share of the pairs, by hash, that are counted; every task holds these.

    Returns
    -------
    DataFrame (members: long, same: boolean, pairs: long)
        Bit m of ``members`` is set when member m confirms; ``same`` tells whether both ends have one label, null where
        one has none. Lazy.
    """
    edges = base.select("item", F.explode("neighbors").alias("other"))
    pairs = edges.select("*", F.least("item", "other").alias("src"), F.greatest("item", "other").alias("dst"))
    chosen = _sampled(pairs, share, "src", "dst")
    lists = reduce(
        DataFrame.unionAll,
        (member.select("item", "neighbors", F.lit(1 << bit).alias("bit")) for bit, member in enumerate(members)),
    )
    has = F.when(F.array_contains("neighbors", F.col("other")), F.col("bit")).otherwise(0)
    # Broadcast: the members' lists, which are many, stay where they are.
    votes = lists.join(F.broadcast(chosen), "item", "inner").select("src", "dst", has.cast("long").alias("bit"))
    found = votes.groupBy("src", "dst").agg(F.bit_or("bit").alias("members"))
    return _with_same(found, labels).groupBy("members", "same").agg(F.count("*").alias("pairs"))


def _with_same(pairs: DataFrame, labels: DataFrame | None) -> DataFrame:
    if labels is None:
        return pairs.withColumn("same", F.lit(None).cast("boolean"))
    src, dst = (labels.select(F.col("item").alias(end), F.col("label").alias(f"of_{end}")) for end in ("src", "dst"))
    joined = pairs.join(src, "src", "left").join(dst, "dst", "left")
    return joined.select("members", (F.col("of_src") == F.col("of_dst")).alias("same"))


def _sampled(table: DataFrame, share: float, *columns: str) -> DataFrame:
    return table if share >= 1 else hashed_sample(table, *columns, salt="figures", below=share)
