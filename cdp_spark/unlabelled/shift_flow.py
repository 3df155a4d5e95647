"""Log odds of the whole -> the shift at which halves agree most, durable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import partial, reduce
from typing import Any

import numpy as np
from pyspark.sql import DataFrame

from cdp_spark.agglomeration.pieces_to_clusters import PIECES
from cdp_spark.base import schemas
from cdp_spark.clusters.cut_and_number import edges_above, whole_components
from cdp_spark.clusters.forest.components import choose_engine, components
from cdp_spark.clusters.forest.grow import grown_forest
from cdp_spark.config.sections import KnnConfig, fingerprint
from cdp_spark.intake.flow import Vectors
from cdp_spark.runs import register
from cdp_spark.runs.stage_store import StageResult, StageStore
from cdp_spark.unlabelled import agreements as stage
from cdp_spark.unlabelled import sample as sampling
from cdp_spark.unlabelled.coordinates import vectors_at_coordinates
from cdp_spark.unlabelled.kernels.shift import SHIFTS, TRUSTED, Agreement, Curve, shift_by_agreement, split_weights
from cdp_spark.unlabelled.kernels.splits import Split, coordinate_halves, coordinate_splits
from cdp_spark.unlabelled.looks_flow import Models, Shipped, View, Wanted, joint_view, log_odds, searched, vectors_of
from cdp_spark.unlabelled.self_training import first_scores
from cdp_spark.unlabelled.unlabelled_tables import COMPARED, SAMPLE

_VERSION = register.AGREEMENT_CURVE.version

_PROBABLE = -2.0
"""Log odds above which pieces of a sample hang together: minus the highest shift, so that no shift joins two pieces."""


@dataclass(frozen=True)
class Sizes:
    """Bounds that change results.

    Attributes
    ----------
    compared : int
        Most items of a set whose clusterings are compared whole.
    sampled : int
        Items of the sample of a larger set. On 52,720 characters three samples of 20,000 chose the whole's shift or the
        next, three of 10,000 spread over 1.5 (``benchmarks/sample_size.py``).
    piece : int
        Most items of a piece of that sample.
    task_edges : int
        Most edges of a forest that one task holds.
    """

    compared: int = 20_000
    sampled: int = 20_000
    piece: int = 5_000
    task_edges: int = 50_000_000


@dataclass(frozen=True)
class Chosen:
    """The shift, and why.

    Attributes
    ----------
    shift : float
    halves : {"models", "coordinates"}
        What was divided into halves.
    agreement : float
        Agreement of the halves where the pairs agree best; the shift may lie below that (``Curve.trust``).
    curve : Curve
    strengths : tuple of (float, float)
        Strengths of the halves of each split.
    compared : int
        Items among which clusterings were compared.
    """

    shift: float
    halves: str
    agreement: float
    curve: Curve
    strengths: tuple[tuple[float, float], ...]
    compared: int


@dataclass(frozen=True)
class Whole:
    """The pairs of all models, and the items among which clusterings are compared; None: all."""

    view: View
    log_odds: StageResult
    sample: StageResult | None

    @property
    def models(self) -> Models:
        """All models."""
        return self.view.models

    @property
    def compared(self) -> int:
        """Number of items that are compared."""
        return self.models.items if self.sample is None else self.sample.rows

    @property
    def pairs(self) -> DataFrame:
        """Log odds of the pairs inside the sample."""
        table = self.log_odds.table
        return table if self.sample is None else sampling.within(table, self.sample.table)


def sampled(store: StageStore, view: View, whole: StageResult, items: DataFrame, sizes: Sizes) -> StageResult | None:
    """Choose the items among which clusterings are compared; None where there are few."""
    count = view.models.items
    if count <= sizes.compared:
        return None
    wanted = min(sizes.sampled, sizes.compared)
    key = fingerprint("sample", _VERSION, whole.fingerprint, [wanted, sizes.piece, sizes.task_edges])
    pieces = _pieces(store, whole, count, sizes, key)
    build = partial(sampling.sampled_items, items, pieces.table, wanted / count)
    return store.stage(register.SAMPLE, key, build, schema=SAMPLE)


def _pieces(store: StageStore, whole: StageResult, count: int, sizes: Sizes, key: str) -> StageResult:
    def materialise(name: str, table: DataFrame) -> tuple[DataFrame, int]:
        written = store.stage(
            register.SAMPLE_FOREST.of(name.rpartition("/")[2]), key, lambda: table, schema=table.schema
        )
        return written.table, written.rows

    probable = edges_above(first_scores(whole.table, -_PROBABLE), 0.5)
    grown = grown_forest(
        probable, item_count=count, pair_count=whole.rows, task_edges=sizes.task_edges, materialise=materialise
    )
    edges, one_task = grown.table, grown.complete
    if not grown.complete:
        engine, _ = choose_engine("auto", grown.rows, sizes.task_edges, store.spark)
        partitions = max(2, -(-grown.rows // sizes.task_edges))
        labelled = store.stage(
            register.SAMPLE_COMPONENTS, key,
            lambda: components(edges, engine=engine, checkpoint_folder=store.workspace(), partitions=partitions),
            schema=schemas.COMPONENTS,
        )  # fmt: skip
        store.clear_workspace()
        edges = whole_components(edges, labelled.table, partitions)
    build = partial(sampling.pieces, edges, most=sizes.piece, one_task=one_task)
    return store.stage(register.SAMPLE_PIECES, key, build, schema=PIECES)


def by_models(store: StageStore, whole: Whole, splits: Sequence[Split], shipped: Shipped) -> Chosen:
    """Compare halves of the models: subsets of the joint view, from number 1 on."""
    numbers = tuple(range(1, len(whole.view.subsets)))
    halves = log_odds(store, whole.view, Wanted("halves", numbers, whole.sample), shipped)
    number_of = {subset: number for number, subset in enumerate(whole.view.subsets) if number}
    compared = [(number_of[one], number_of[other]) for one, other in splits]
    return _chosen(store, whole, halves, compared, (shipped, "models"))


def by_coordinates(store: StageStore, whole: Whole, knn: KnnConfig, shipped: Shipped) -> Chosen:
    """Compare halves of every model's coordinates, which are searched by themselves."""
    count, coordinate_models = len(whole.models.graphs), []
    splits = coordinate_splits(count)
    for split in range(splits):
        each = [coordinate_halves(d, 100 * split + number) for number, d in enumerate(whole.models.dimensions)]
        coordinate_models += [
            _at_coordinates(graph.vectors, vectors_of(graph), halves[half], f"{split}{half}")
            for half in (0, 1)
            for graph, halves in zip(whole.models.graphs, each, strict=True)
        ]
    models = searched(store, coordinate_models, knn, "coordinates")
    halves = tuple(tuple(range(half * count, (half + 1) * count)) for half in range(2 * splits))
    view = joint_view(store, models, ((), *halves))
    wanted = Wanted("coordinates", tuple(range(1, 2 * splits + 1)), whole.sample)
    compared = [(2 * split + 1, 2 * split + 2) for split in range(splits)]
    return _chosen(store, whole, log_odds(store, view, wanted, shipped), compared, (shipped, "coordinates"))


def _at_coordinates(vectors: Vectors, table: DataFrame, coordinates: np.ndarray, name: str) -> Vectors:
    key = fingerprint("coordinates", _VERSION, vectors.fingerprint, coordinates.tolist())
    chosen = vectors_at_coordinates(table, vectors.dimension, coordinates)
    dimension = len(coordinates) or vectors.dimension
    return Vectors(chosen, vectors.rows, key, f"{vectors.model}-half-{name}", dimension)


def _chosen(
    store: StageStore, whole: Whole, halves: StageResult, splits: stage.Splits, how: tuple[Shipped, str]
) -> Chosen:
    """Choose the shift; every round of shifts is one job."""
    shipped, kind = how
    key = fingerprint(
        "agreement",
        _VERSION,
        whole.log_odds.fingerprint,
        halves.fingerprint,
        [list(s) for s in splits],
    )
    compared = store.stage(
        register.COMPARED.of(kind), key,
        lambda: reduce(DataFrame.unionAll, [table.select(*COMPARED.names) for table in (whole.pairs, halves.table)]),
        schema=COMPARED,
    )  # fmt: skip
    pairs = compared.table
    shares = store.facts(
        register.STRENGTHS_OF_HALVES.of(kind), key, lambda: {"strengths": stage.strengths(pairs, splits)}
    )
    strengths = tuple((float(one), float(other)) for one, other in shares["strengths"])

    def looked_at(indices: Sequence[int]) -> dict[int, list[Agreement]]:
        return stage.agreements(pairs, splits, shipped.mediator, indices, item_count=whole.compared)

    def likeness(top: int, indices: Sequence[int]) -> dict[int, list[float]]:
        return stage.likeness(pairs, splits, shipped.mediator, (top, indices), item_count=whole.compared)

    def curve() -> dict[str, Any]:
        chosen = shift_by_agreement(looked_at, likeness, split_weights(strengths))
        return {field.name: getattr(chosen, field.name).tolist() for field in fields(Curve)}

    known = store.facts(register.AGREEMENT_CURVE.of(kind), key, curve)
    again = Curve(**{name: np.array(values) for name, values in known.items()})
    return Chosen(float(SHIFTS[again.chosen]), kind, again.trust, again, strengths, whole.compared)


def chosen_shift(store: StageStore, whole: Whole, splits: Sequence[Split], knn: KnnConfig, shipped: Shipped) -> Chosen:
    """Choose the shift by halves of the models; where these do not agree enough, by halves of the coordinates."""
    if splits:
        chosen = by_models(store, whole, splits, shipped)
        if chosen.agreement >= TRUSTED:
            return chosen
    return by_coordinates(store, whole, knn, shipped)
