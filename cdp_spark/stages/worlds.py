"""Simulated worlds of labelled data: who is in each, its labelled pairs, honest logits, and what clusters teach.

Every world has KNN graphs and pairs of its own. Rows of all worlds lie in one table, each with the number of its world.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    BooleanType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    StructField,
    StructType,
)

from cdp_spark.base import schemas
from cdp_spark.kernels import worlds as kernel
from cdp_spark.kernels.agglomeration import Rule, agglomerated
from cdp_spark.kernels.cluster_training import LabelledPairs, LinkExamples, link_examples
from cdp_spark.kernels.cross_fitting import Calibration, half_of, honest
from cdp_spark.kernels.lists import flat
from cdp_spark.kernels.mlp import Ensemble
from cdp_spark.kernels.neighborhoods import Neighborhoods
from cdp_spark.kernels.numbering import numbered, places
from cdp_spark.stages.arrow import as_lists, gathered, in_batches, map_batches, matrix_of
from cdp_spark.stages.embeddings import Arrived
from cdp_spark.stages.pair_ends import with_ends

_WORLD = StructField("world", IntegerType())
_FEATURES = StructField("features", ArrayType(FloatType()))
_ENDS = [schemas.SCORED_PAIRS["src"], schemas.SCORED_PAIRS["dst"]]
_IDENTITIES = [StructField(f"{end}_identity", LongType()) for end in ("src", "dst")]

PEOPLE = StructType([StructField("item", LongType()), StructField("identity", LongType())])
MEMBERS = StructType([_WORLD, StructField("item", LongType())])
DENSITIES = StructType([StructField("item", LongType()), _FEATURES])
_CROWD = StructField("crowd", BooleanType())
LABELLED = StructType([_WORLD, *_ENDS, *_IDENTITIES, _CROWD, StructField("same", BooleanType()), _FEATURES])
"""``crowd`` says that one end has no label."""

HONEST = StructType([_WORLD, *_ENDS, *_IDENTITIES, _CROWD, StructField("z", DoubleType())])
"""Pairs with the logit, not calibrated, of networks that have seen neither of the two identities."""

EXAMPLES = StructType([_WORLD, _FEATURES, StructField("same", FloatType()), StructField("weight", FloatType())])
ROOTS = StructType([StructField("item", LongType()), StructField("root", LongType())])


def members(people: DataFrame, gammas: Sequence[float], *, seed: int, crowd: DataFrame | None = None) -> DataFrame:
    """List the items of each world.

    Parameters
    ----------
    people : DataFrame (item: long, identity: long)
    gammas : sequence of float
        How strongly each world is thinned.
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
            kept = item[kernel.world_members(identity, item, gamma, seed=seed)]
            columns = [pa.array(np.full(len(kept), world, np.int32)), pa.array(kept)]
            yield from in_batches(pa.RecordBatch.from_arrays(columns, names=MEMBERS.names))

    chosen = map_batches(people.select(*PEOPLE.names).repartition("identity"), choose, MEMBERS)
    if crowd is None:
        return chosen
    every = F.explode(F.array(*(F.lit(world).cast("int") for world, _ in wanted))).alias("world")
    return chosen.unionByName(crowd.select(every, "item"))


def densities(graphs: Sequence[DataFrame], k: int) -> DataFrame:
    """Describe how near the neighbours of items are in every model.

    Parameters
    ----------
    graphs : sequence of DataFrame (``schemas.KNN``)
        Base first; items that the first lacks are left out.
    k : int

    Returns
    -------
    DataFrame (``DENSITIES``)
        Lazy.
    """
    joined = graphs[0].select("item", F.col("similarities").alias("model_0"))
    for number, graph in enumerate(graphs[1:], 1):
        joined = joined.join(graph.select("item", F.col("similarities").alias(f"model_{number}")), "item", "inner")

    def describe(batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        none = np.empty(0, np.int64)
        for batch in batches:
            lists = [flat(column) for column in batch.columns[1:]]
            found = kernel.density_features(
                [Neighborhoods(offsets, none, values.to_numpy()) for offsets, values in lists], k
            )
            yield pa.RecordBatch.from_arrays([batch.column("item"), as_lists(found)], names=DENSITIES.names)

    return map_batches(joined, describe, DENSITIES)


def labelled(features: DataFrame, people: DataFrame, *, world: int, crowd: DataFrame | None = None) -> DataFrame:
    """Name the identities of the pairs of one world.

    Parameters
    ----------
    features : DataFrame (src: long, dst: long, features: array of float)
    people : DataFrame (item: long, identity: long)
    world : int
    crowd : DataFrame (item: long), optional
        Items that are of no identity of ``people``: each is one of its own. Pairs between two of them are left out,
        since who they are is not known; of those with one of them every second is kept, by its hash: a pair of two
        labelled items is met from either end, these from one, so that all would make a match seem half as likely.

    Returns
    -------
    DataFrame (``LABELLED``)
        Lazy.
    """
    named = people.select("item", "identity", F.lit(False).alias("crowd"))
    if crowd is not None:
        own = F.xxhash64(F.lit("crowd"), "item").alias("identity")
        named = named.unionByName(crowd.select("item", own, F.lit(True).alias("crowd")))
    joined = with_ends(features, named, "identity", "crowd").where("not (src_crowd and dst_crowd)")
    joined = joined.withColumn("crowd", F.col("src_crowd") | F.col("dst_crowd"))
    joined = joined.where(~F.col("crowd") | (F.pmod(F.xxhash64(F.lit("half"), "src", "dst"), F.lit(2)) == 0))
    same = F.col("src_identity") == F.col("dst_identity")
    return joined.withColumn("world", F.lit(world)).withColumn("same", same).select(*LABELLED.names)


def honest_logits(pairs: DataFrame, halves: tuple[Ensemble, Ensemble], worlds: int, *, seed: int) -> DataFrame:
    """Judge each pair by what has not seen its identities, as data are judged that are all of the pair's world.

    Parameters
    ----------
    pairs : DataFrame (``LABELLED``)
    halves : two of Ensemble
        Of half 0 and of half 1 of the identities.
    worlds : int
    seed : int
        By which identities were halved.

    Returns
    -------
    DataFrame (``HONEST``)
        Lazy.
    """
    mixtures = kernel.pure_mixtures(worlds)

    def judge(batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        for batch in batches:
            rows = matrix_of(batch.column("features"))
            one, other = (half_of(batch.column(f"{end}_identity").to_numpy(), seed=seed) for end in ("src", "dst"))
            world = batch.column("world").to_numpy()
            z = np.empty(len(rows), np.float64)
            for number in np.unique(world):
                here = world == number
                by_half = [replace(half, mixture=mixtures[number]).logits(rows[here]) for half in halves]
                z[here] = honest((by_half[0], by_half[1]), one[here], other[here])
            columns = [batch.column(name) for name in HONEST.names[:-1]]
            yield pa.RecordBatch.from_arrays([*columns, pa.array(z)], names=HONEST.names)

    return map_batches(pairs, judge, HONEST)


def examples(
    honest_pairs: DataFrame,
    calibrations: Sequence[Calibration],
    rules: Sequence[Rule],
    most: int,
    *,
    dimensions: Sequence[int] = (),
) -> DataFrame:
    """Agglomerate each world, and keep what a cluster mediator learns from.

    Parameters
    ----------
    honest_pairs : DataFrame (``HONEST``)
        Where vectors are read, they come along (``stages.embeddings.with_vectors``).
    calibrations : sequence of Calibration
        One per world.
    rules : sequence of Rule
        That drive the merges, one per world.
    most : int
        Examples of a world; of more, as many are taken at even distances.
    dimensions : sequence of int
        Lengths of the models' vectors, where they come along.

    Returns
    -------
    DataFrame (``EXAMPLES``)
        Lazy; a task holds all pairs of a world.
    """
    each, widths = list(zip(calibrations, rules, strict=True)), tuple(dimensions)

    def learn(batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        arrived = Arrived(widths)
        for world, rows in _by_world(arrived.taken(batches)):
            calibration, rule = each[world]
            items, pairs = _pairs_of(rows, calibration)
            found = link_examples(pairs, rule, arrived.centroids(items))
            yield from in_batches(_examples(world, found, most))

    return map_batches(honest_pairs.repartition(len(each), "world"), learn, EXAMPLES)


def roots(
    honest_pairs: DataFrame, calibration: Calibration, rule: Rule, *, dimensions: Sequence[int] = ()
) -> DataFrame:
    """Cluster one world by its honest logits.

    Parameters
    ----------
    honest_pairs : DataFrame (``HONEST``)
        Of one world; where the rule reads vectors, they come along.
    calibration : Calibration
    rule : Rule
    dimensions : sequence of int
        Lengths of the models' vectors, where they come along.

    Returns
    -------
    DataFrame (``ROOTS``)
        Each item that has a pair, and the smallest item of its cluster. Lazy; one task holds all pairs.
    """

    widths = tuple(dimensions)

    def cluster(batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        arrived = Arrived(widths)
        for _, rows in _by_world(arrived.taken(batches)):
            items, pairs = _pairs_of(rows, calibration)
            near = arrived.centroids(items)
            found = agglomerated(pairs.src, pairs.dst, pairs.z, rule, count=len(items), centroids=near)
            columns = [pa.array(items), pa.array(items[found.root])]
            yield from in_batches(pa.RecordBatch.from_arrays(columns, names=ROOTS.names))

    return map_batches(honest_pairs.coalesce(1), cluster, ROOTS)


def _by_world(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[int, pa.Table]]:
    arrived = list(batches)
    if not arrived:
        return
    table = pa.Table.from_batches(arrived)
    for world in sorted(pa.compute.unique(table.column("world")).to_pylist()):
        yield world, table.filter(pa.compute.equal(table.column("world"), world))


def _pairs_of(rows: pa.Table, calibration: Calibration) -> tuple[NDArray[np.int64], LabelledPairs]:
    src, dst = rows.column("src").to_numpy(), rows.column("dst").to_numpy()
    items, _ = numbered(np.concatenate([src, dst]))
    a, b = places(items, src), places(items, dst)
    identity = np.empty(len(items), np.int64)
    identity[a], identity[b] = rows.column("src_identity").to_numpy(), rows.column("dst_identity").to_numpy()
    return items, LabelledPairs(a, b, calibration(rows.column("z").to_numpy()), identity)


def _examples(world: int, found: LinkExamples, most: int) -> pa.RecordBatch:
    total = len(found.same)
    kept = np.arange(total) if total <= most else np.linspace(0, total - 1, most).astype(np.int64)
    columns = [
        pa.array(np.full(len(kept), world, np.int32)), as_lists(found.features[kept]), pa.array(found.same[kept]),
        pa.array(found.weight[kept]),
    ]  # fmt: skip
    return pa.RecordBatch.from_arrays(columns, names=EXAMPLES.names)
