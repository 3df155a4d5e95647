"""Simulated worlds of labelled data: the items of each world, and its pairs.

Every world has its own KNN graphs and pairs. One table holds the rows of all worlds, with the number of the world.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import LongType, StructField, StructType

from cdp_spark.base import schemas
from cdp_spark.pairs.pair_ends import with_ends
from cdp_spark.spark.arrow import gathered, in_batches, map_batches
from cdp_spark.training.kernels.thinning import world_members

PEOPLE = StructType([StructField("item", LongType()), StructField("identity", LongType())])
MEMBERS = StructType([schemas.WORLD_PAIRS["world"], StructField("item", LongType())])


def members(people: DataFrame, gammas: Sequence[float], *, seed: int, crowd: DataFrame | None = None) -> DataFrame:
    """List the items of each world.

    Parameters
    ----------
    people : DataFrame (item: long, identity: long)
    gammas : sequence of float
        Degree of thinning of each world.
    seed : int
    crowd : DataFrame (item: long), optional
        Items that are in all worlds.

    Returns
    -------
    DataFrame (``MEMBERS``)
        Lazy.
    """
    wanted = list(enumerate(gammas))

    def choose(batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        item, identity = gathered(batches, PEOPLE)
        for world, gamma in wanted:
            kept = item[world_members(identity, item, gamma, seed=seed)]
            columns = [pa.array(np.full(len(kept), world, np.int32)), pa.array(kept)]
            yield from in_batches(pa.RecordBatch.from_arrays(columns, names=MEMBERS.names))

    chosen = map_batches(people.select(*PEOPLE.names).repartition("identity"), choose, MEMBERS)
    if crowd is None:
        return chosen
    every = F.explode(F.array(*(F.lit(world).cast("int") for world, _ in wanted))).alias("world")
    return chosen.unionByName(crowd.select(every, "item"))


def labelled(features: DataFrame, people: DataFrame, *, world: int, crowd: DataFrame | None = None) -> DataFrame:
    """Name the identities of the pairs of one world.

    Parameters
    ----------
    features : DataFrame (src: long, dst: long, features: array of float)
    people : DataFrame (item: long, identity: long)
    world : int
    crowd : DataFrame (item: long), optional
        Items without an identity in ``people``; each counts as a separate identity. Pairs inside the crowd are kept if
        both ends have a labelled neighbour: about as many as the labelled set has, for any size of the crowd.

    Returns
    -------
    DataFrame (``schemas.WORLD_PAIRS``)
        Lazy.
    """
    named = people.select("item", "identity", F.lit(False).alias("crowd"))
    if crowd is not None:
        own = F.xxhash64(F.lit("crowd"), "item").alias("identity")
        named = named.unionByName(crowd.select("item", own, F.lit(True).alias("crowd")))
    pairs = with_ends(features, named, "identity", "crowd")
    if crowd is not None:
        pairs = _around_the_labelled(pairs)
    same = F.col("src_identity") == F.col("dst_identity")
    return pairs.withColumn("world", F.lit(world)).withColumn("same", same).select(*schemas.WORLD_PAIRS.names)


def _around_the_labelled(pairs: DataFrame) -> DataFrame:
    met = F.when(F.col("src_crowd"), F.col("src")).otherwise(F.col("dst"))
    near = pairs.where("src_crowd <> dst_crowd").select(met.alias("item")).distinct()
    inside = pairs.where("src_crowd and dst_crowd")
    for end in ("src", "dst"):
        inside = inside.join(near.select(F.col("item").alias(end)), end, "left_semi")
    return pairs.where("not (src_crowd and dst_crowd)").unionByName(inside)


def teaching(pairs: DataFrame) -> DataFrame:
    """Keep the pairs with known truth, in the proportions of real data.

    Parameters
    ----------
    pairs : DataFrame (src: long, dst: long, src_crowd: boolean, dst_crowd: boolean, ...)

    Returns
    -------
    DataFrame
        No pairs inside the crowd, and half of the pairs with one crowd item, by hash. A pair of labelled items can be
        found from either end, a pair with a crowd item only from one: all of them would halve the apparent share of
        matches. Lazy.
    """
    second = F.pmod(F.xxhash64(F.lit("half"), "src", "dst"), F.lit(2)) == 0
    labelled_only = ~F.col("src_crowd") & ~F.col("dst_crowd")
    return pairs.where(labelled_only | ((F.col("src_crowd") != F.col("dst_crowd")) & second))
