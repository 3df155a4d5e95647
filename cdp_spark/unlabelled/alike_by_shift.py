"""Scored pairs and members' lists -> the items that halves of the committee give alike, by shift; a task per shift.

In: the pairs of the compared items, of which there are about 20,000, so that a task holds them all. Out: a number per
shift.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import reduce

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import DoubleType, LongType, StructField, StructType

from cdp_spark.agglomeration.kernels.agglomeration import Rule
from cdp_spark.base import schemas
from cdp_spark.base.numeric.dense_numbers import numbered
from cdp_spark.clusters.kernels.alike import items_alike
from cdp_spark.knn.shards import mapped_alone
from cdp_spark.networks.kernels.mlp import log_odds
from cdp_spark.spark.arrow import gathered
from cdp_spark.unlabelled.kernels.mediator import clusters_of
from cdp_spark.unlabelled.kernels.splits import Split, distinct_halves
from cdp_spark.unlabelled.sample import within

MOST_MEMBERS = 62
"""Members are the bits of a signed 64-bit number."""

MEMBER_PAIRS = StructType([*schemas.SCORED_PAIRS.fields, StructField("members", LongType())])
"""Bit m of ``members`` is set when member m lists the pair, either way."""

_ALIKE = StructType([StructField("shift", DoubleType()), StructField("alike", DoubleType())])


def member_pairs(scored: DataFrame, members: Sequence[DataFrame], sample: DataFrame | None) -> DataFrame:
    """Keep the scored pairs that a member lists, with those members.

    Parameters
    ----------
    scored : DataFrame (``schemas.SCORED_PAIRS``)
    members : sequence of DataFrame (``schemas.KNN``)
        ``MOST_MEMBERS`` at most.
    sample : DataFrame (item: long), optional
        Keep pairs inside it only.

    Returns
    -------
    DataFrame (``MEMBER_PAIRS``)
        Lazy.
    """
    lists = reduce(
        DataFrame.unionAll,
        (member.select("item", "neighbors", F.lit(1 << bit).alias("bit")) for bit, member in enumerate(members)),
    )
    pairs = scored.select(*schemas.SCORED_PAIRS.names)
    if sample is not None:
        lists, pairs = lists.join(F.broadcast(sample), "item", "left_semi"), within(pairs, sample)
    edges = lists.select("item", F.explode("neighbors").alias("other"), "bit")
    ends = edges.select(F.least("item", "other").alias("src"), F.greatest("item", "other").alias("dst"), "bit")
    listed = ends.groupBy("src", "dst").agg(F.bit_or("bit").alias("members"))
    return pairs.join(listed, ["src", "dst"], "inner").select(*MEMBER_PAIRS.names)


def alike_by_shift(
    pairs: DataFrame, splits: Sequence[Split], rule: Rule, shifts: Sequence[float], *, item_count: int
) -> dict[float, float]:
    """Cluster by every half at every shift, and count the items in clusters that both halves have (runs one job).

    Parameters
    ----------
    pairs : DataFrame (``MEMBER_PAIRS``)
        Stored: every task reads it.
    splits : sequence of (tuple of int, tuple of int)
        Members of both halves.
    rule : Rule
    shifts : sequence of float
    item_count : int
        Compared items, including those without a pair.

    Returns
    -------
    dict of float to float
        Mean over the splits; a shift is missing if there is no pair.
    """
    halves = distinct_halves(splits)
    masks = [sum(1 << member for member in half) for half in halves]
    compared = [(halves.index(one), halves.index(other)) for one, other in splits]

    def count(number: int, batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        src, dst, score, members = gathered((batch.select(MEMBER_PAIRS.names) for batch in batches), MEMBER_PAIRS)
        order = np.lexsort((dst, src))
        _, ends = numbered(np.concatenate([src[order], dst[order]]))
        src, dst = np.split(ends, 2)
        members, z = members[order], log_odds(score[order]) + np.float32(shifts[number])
        listed = [members & mask != 0 for mask in masks]
        roots = [clusters_of(src[kept], dst[kept], z[kept], rule, item_count) for kept in listed]
        alike = sum(items_alike(roots[one], roots[other]) for one, other in compared) / len(compared)
        yield pa.RecordBatch.from_pylist([{"shift": shifts[number], "alike": alike}], schema=to_arrow_schema(_ALIKE))

    rows = mapped_alone([pairs] * len(shifts), count, _ALIKE).collect()
    return {row["shift"]: row["alike"] for row in rows}
