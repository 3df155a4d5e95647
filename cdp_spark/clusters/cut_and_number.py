"""forest, components -> clusters: oversize components are cut, clusters numbered, every item gets its row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.types import LongType, StructField, StructType

from cdp_spark.base import schemas
from cdp_spark.base.numeric.dense_numbers import numbered, positions
from cdp_spark.base.statuses import STATUSES
from cdp_spark.clusters.kernels.dendrogram import Dendrogram
from cdp_spark.clusters.kernels.pruning import Limits, Pruned, cut_by_code, prune_by_paper
from cdp_spark.config.sections import ClustersConfig
from cdp_spark.spark.arrow import gathered, in_batches, map_batches
from cdp_spark.spark.dense_rank import dense_rank


def edges_above(edges: DataFrame, threshold: float) -> DataFrame:
    """Keep the pairs of the consensus graph: score > threshold."""
    return edges.where(F.col("score").cast("double") > F.lit(float(threshold)))


def graph_facts(pairs_above: DataFrame, components: DataFrame) -> DataFrame:
    """Aggregate the consensus graph.

    Parameters
    ----------
    pairs_above : DataFrame (``schemas.SCORED_PAIRS``)
    components : DataFrame (``schemas.COMPONENTS``)

    Returns
    -------
    DataFrame (start: double, largest: long)
        One row: the smallest score (null if there is no pair) and the size of the largest component.
    """
    sizes = components.groupBy("component").agg(F.count("*").alias("size"))
    return pairs_above.agg(F.min("score").cast("double").alias("start")).crossJoin(
        sizes.agg(F.coalesce(F.max("size"), F.lit(0)).alias("largest"))
    )


def whole_components(edges: DataFrame, components: DataFrame, tasks: int) -> DataFrame:
    """Bring the edges of each component into one partition; a partition has several components.

    Parameters
    ----------
    edges : DataFrame (``schemas.FOREST``)
        Edges of components that are left out are dropped.
    components : DataFrame (``schemas.COMPONENTS``)
    tasks : int
        Number of partitions; affects speed, never the result.
    """
    return owned_edges(edges, components).repartition(tasks, "component").select(*schemas.FOREST.names)


def owned_edges(edges: DataFrame, components: DataFrame) -> DataFrame:
    """Return the edges with their component: (component: long, src: long, dst: long, score: float)."""
    owner = components.select(F.col("item").alias("src"), "component")
    return edges.join(owner, "src", "inner").select("component", *schemas.FOREST.names)


def labelled_by_code(grouped: DataFrame, config: ClustersConfig, *, start: float) -> DataFrame:
    """Label items by the rule of the authors' code.

    Parameters
    ----------
    grouped : DataFrame (``schemas.FOREST``)
        Edges of the forest, or of a superset, above the threshold: see :func:`whole_components`.
    config : ClustersConfig
    start : float
        Smallest score over all pairs above the threshold.

    Returns
    -------
    DataFrame (``schemas.LABELLED_ITEMS``)
        One row per item that has an edge. Lazy.
    """
    limits = limits_of(config)

    def prune(src: NDArray[np.int64], dst: NDArray[np.int64], score: NDArray[np.float32]) -> Pruned:
        return cut_by_code(Dendrogram.of_edges(src, dst, score), -np.inf, start=start, limits=limits)

    return _pruned(grouped, prune)


def labelled_by_paper(
    pairs_above: DataFrame, forest_above: DataFrame, components: DataFrame, config: ClustersConfig, *, tasks: int
) -> DataFrame:
    """Label items by the paper's rule; only the pairs of oversize components are read whole.

    Parameters
    ----------
    pairs_above : DataFrame (``schemas.SCORED_PAIRS``)
        All pairs above the threshold.
    forest_above : DataFrame (``schemas.FOREST``)
        Edges of the forest, or of a superset, above the threshold.
    components : DataFrame (``schemas.COMPONENTS``)
    config : ClustersConfig
    tasks : int
        Number of tasks that cut whole components; affects speed, never the result.

    Returns
    -------
    DataFrame (``schemas.LABELLED_ITEMS``)
        One row per item that has an edge. Lazy.
    """
    limits = limits_of(config)
    sizes = components.groupBy("component").agg(F.count("*").alias("size"))
    large = components.join(sizes.where(F.col("size") > config.max_cluster_size), "component", "left_semi")
    small = components.join(sizes.where(F.col("size") <= config.max_cluster_size), "component", "inner")

    def prune(src: NDArray[np.int64], dst: NDArray[np.int64], score: NDArray[np.float32]) -> Pruned:
        return prune_by_paper(src, dst, score, limits=limits)

    cut = _pruned(whole_components(pairs_above, large, tasks), prune)
    return cut.unionByName(_untouched(pairs_above, forest_above, small))


def _untouched(pairs_above: DataFrame, forest_above: DataFrame, small: DataFrame) -> DataFrame:
    """Label components that are small enough from the start; their level is their smallest score."""
    owned = pairs_above.join(small.select(F.col("item").alias("src"), "component"), "src", "inner")
    level = owned.groupBy("component").agg(F.min("score").cast("double").alias("level"))
    ends = forest_above.select(F.explode(F.array("src", "dst")).alias("item"), "score")
    best = ends.groupBy("item").agg(F.max("score").alias("best_score"))
    return (
        small.join(level, "component", "inner")
        .join(best, "item", "inner")
        .select(
            "item", F.col("component").alias("root"), F.lit(STATUSES[0]).alias("status"), "size", "best_score", "level"
        )
    )


def clusters(
    items: DataFrame, labelled: DataFrame, soft: DataFrame | None = None, *, at_most: int | None = None
) -> DataFrame:
    """Number the clusters and give every item its row.

    Parameters
    ----------
    items : DataFrame (id, item: long)
    labelled : DataFrame (``schemas.LABELLED_ITEMS`` or ``schemas.CONFIDENT_ITEMS``)
    soft : DataFrame (item: long, root: long, weight: long), optional
        Becomes the column ``soft_labels``.
    at_most : int, optional
        Upper bound of the number of clusters, if known.

    Returns
    -------
    DataFrame (``schemas.clusters``)
        One row per item, clusters numbered from 0 by their smallest id. Runs small jobs if there are many clusters.
    """
    roots = labelled.where(F.col("item") == F.col("root")).select("root")
    numbered = dense_rank(roots, "root", "cluster", at_most=at_most)
    known = labelled.join(numbered, "root", "left")
    joined = items.join(known, "item", "left")

    def among_clustered(column: str, otherwise: Column) -> Column:
        return F.when(F.col("cluster").isNotNull(), F.col(column)).otherwise(otherwise).alias(column)

    given: list[Column | str] = []
    if "confidence" in labelled.columns:
        others = numbered.select(F.col("root").alias("best_other"), F.col("cluster").alias("other"))
        joined = joined.join(others, "best_other", "left")
        given += ["confidence", "cluster_confidence", F.col("other").alias("best_other"), "best_other_probability"]
    if soft is not None:
        joined = joined.join(shares(soft.join(numbered, "root", "inner"), "item", "cluster"), "item", "left")
        given.append("soft_labels")
    return joined.select(
        "id",
        F.coalesce("cluster", F.lit(-1)).cast("long").alias("cluster"),
        F.coalesce("status", F.lit("discarded")).alias("status"),
        among_clustered("size", F.lit(0)).cast("long").alias("size"),
        "best_score",
        among_clustered("level", F.lit(None)).cast("double").alias("level"),
        *given,
    )


def limits_of(config: ClustersConfig) -> Limits:
    """Return the limits of pruning that a config sets."""
    return Limits(config.max_cluster_size, config.threshold_step, config.max_iter)


def _pruned(edges: DataFrame, prune) -> DataFrame:  # type: ignore[no-untyped-def]
    def label(batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        src, dst, score = gathered(batches, schemas.FOREST)
        if len(src):
            yield from _rows(src, dst, score, prune(src, dst, score))

    return map_batches(edges, label, schemas.LABELLED_ITEMS)


def _rows(
    src: NDArray[np.int64], dst: NDArray[np.int64], score: NDArray[np.float32], pruned: Pruned
) -> Iterator[pa.RecordBatch]:
    best = np.full(len(pruned.items), -np.inf, np.float32)
    for ends in (src, dst):
        np.maximum.at(best, positions(pruned.items, ends), score)
    index = numbered(pruned.root)[1]
    size = np.where(pruned.root < 0, 0, np.bincount(index)[index])
    status = pa.array(STATUSES).take(pa.array(pruned.status))
    none = pruned.root < 0
    columns = [
        pa.array(pruned.items), pa.array(pruned.root, mask=none), status, pa.array(size), pa.array(best),
        pa.array(pruned.level, mask=none),
    ]  # fmt: skip
    whole = pa.RecordBatch.from_arrays(columns, names=schemas.LABELLED_ITEMS.names)
    return in_batches(whole)


SOFT_WEIGHTS = StructType([StructField(name, LongType()) for name in ("item", "root", "weight")])
"""Clusters that each item remembers, by their smallest item, with relative weights."""

ROUNDS = 3
KEPT = 3
"""Number of clusters that an item remembers."""

_WHOLE = 1 << 20
_STRONGEST = 1 << 16


def soft_labels(pairs_above: DataFrame, labelled: DataFrame) -> DataFrame:
    """Spread the labels over the consensus graph.

    Parameters
    ----------
    pairs_above : DataFrame (``schemas.SCORED_PAIRS``)
        Pairs above the threshold; a pair with score 0 or less passes no weight.
    labelled : DataFrame (``schemas.LABELLED_ITEMS``)

    Returns
    -------
    DataFrame (``SOFT_WEIGHTS``)
        Up to ``KEPT`` rows per item, with relative weights. Items with no pair and no cluster have no row. Lazy.
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
    """Collect the weights of each item into one list.

    Parameters
    ----------
    weights : DataFrame (item, of, weight: long)
    item, of : str
        Column of the owner of the weights, and of the thing weighed.

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
