"""Pairs of labelled worlds -> cross-fitted logits, clusters from these, and examples for a cluster mediator."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql.types import FloatType, LongType, StructField, StructType

from cdp_spark.agglomeration.kernels.agglomeration import Rule, agglomerated
from cdp_spark.agglomeration.kernels.links import ItemPairs
from cdp_spark.agglomeration.pieces_to_clusters import Arrived
from cdp_spark.base import schemas
from cdp_spark.base.numeric.dense_numbers import numbered, positions
from cdp_spark.networks.kernels.cross_fitting import Calibration, cross_fitted, fold_of
from cdp_spark.networks.kernels.mlp import Ensemble
from cdp_spark.scoring.kernels.world_model import pure_mixtures
from cdp_spark.spark.arrow import as_lists, in_batches, map_batches, matrix_of
from cdp_spark.training.kernels.cluster_examples import LabelledPairs, LinkExamples, link_examples

_EXAMPLE = schemas.table_of(schemas.WORLD_PAIRS, "world", "features")
EXAMPLES = StructType([*_EXAMPLE, StructField("same", FloatType()), StructField("weight", FloatType())])
ROOTS = StructType([StructField("item", LongType()), StructField("root", LongType())])


def cross_fitted_logits(pairs: DataFrame, halves: tuple[Ensemble, Ensemble], worlds: int, *, seed: int) -> DataFrame:
    """Score each pair by networks that have not seen its identities, weighted for the pair's world.

    Parameters
    ----------
    pairs : DataFrame (``schemas.WORLD_PAIRS``)
    halves : two of Ensemble
        Networks trained on fold 0 and on fold 1 of the identities.
    worlds : int
    seed : int
        Seed that divided the identities into folds.

    Returns
    -------
    DataFrame (``schemas.CROSS_FITTED_PAIRS``)
        Lazy.
    """
    mixtures = pure_mixtures(worlds)

    def score(batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        for batch in batches:
            rows = matrix_of(batch.column("features"))
            one, other = (fold_of(batch.column(f"{end}_identity").to_numpy(), seed=seed) for end in ("src", "dst"))
            world = batch.column("world").to_numpy()
            z = np.empty(len(rows), np.float64)
            for number in np.unique(world):
                here = world == number
                by_half = [replace(half, mixture=mixtures[number]).logits(rows[here]) for half in halves]
                z[here] = cross_fitted((by_half[0], by_half[1]), one[here], other[here])
            columns = [batch.column(name) for name in schemas.CROSS_FITTED_PAIRS.names[:-1]]
            yield pa.RecordBatch.from_arrays([*columns, pa.array(z)], names=schemas.CROSS_FITTED_PAIRS.names)

    return map_batches(pairs, score, schemas.CROSS_FITTED_PAIRS)


def examples(
    cross_fitted_pairs: DataFrame,
    calibrations: Sequence[Calibration],
    rules: Sequence[Rule],
    most: int,
    *,
    dimensions: Sequence[int] = (),
) -> DataFrame:
    """Agglomerate each world, and keep examples for a cluster mediator.

    Parameters
    ----------
    cross_fitted_pairs : DataFrame (``schemas.CROSS_FITTED_PAIRS``)
        With vectors if the rules read them (``with_vectors``).
    calibrations : sequence of Calibration
        One per world.
    rules : sequence of Rule
        Rules that drive the merges, one per world.
    most : int
        Largest number of examples of a world; more are thinned at even distances.
    dimensions : sequence of int
        Lengths of the models' vectors, if the rules read them.

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
            learned = link_examples(pairs, rule, arrived.centroids(items))
            yield from in_batches(_examples(world, learned, most))

    return map_batches(cross_fitted_pairs.repartition(len(each), "world"), learn, EXAMPLES)


def roots(
    cross_fitted_pairs: DataFrame, calibration: Calibration, rule: Rule, *, dimensions: Sequence[int] = ()
) -> DataFrame:
    """Cluster one world by its cross-fitted logits.

    Parameters
    ----------
    cross_fitted_pairs : DataFrame (``schemas.CROSS_FITTED_PAIRS``)
        Pairs of one world, with vectors if the rule reads them.
    calibration : Calibration
    rule : Rule
    dimensions : sequence of int
        Lengths of the models' vectors, if the rules read them.

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
            item_pairs = ItemPairs(pairs.src, pairs.dst, pairs.z, len(items))
            merged = agglomerated(item_pairs, rule, centroids=near)
            columns = [pa.array(items), pa.array(items[merged.root])]
            yield from in_batches(pa.RecordBatch.from_arrays(columns, names=ROOTS.names))

    return map_batches(cross_fitted_pairs, cluster, ROOTS, one_task=True)


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
    a, b = positions(items, src), positions(items, dst)
    identity, crowd = np.empty(len(items), np.int64), np.empty(len(items), bool)
    for position, end in ((a, "src"), (b, "dst")):
        identity[position] = rows.column(f"{end}_identity").to_numpy()
        crowd[position] = rows.column(f"{end}_crowd").to_numpy()
    return items, LabelledPairs(a, b, calibration(rows.column("z").to_numpy()), identity, ~crowd)


def _examples(world: int, learned: LinkExamples, most: int) -> pa.RecordBatch:
    total = len(learned.same)
    kept = np.arange(total) if total <= most else np.linspace(0, total - 1, most).astype(np.int64)
    columns = [
        pa.array(np.full(len(kept), world, np.int32)), as_lists(learned.features[kept]), pa.array(learned.same[kept]),
        pa.array(learned.weight[kept]),
    ]  # fmt: skip
    return pa.RecordBatch.from_arrays(columns, names=EXAMPLES.names)
