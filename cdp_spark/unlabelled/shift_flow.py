"""Log odds of the whole -> the shift at which halves agree most, durable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import reduce
from typing import Any

import numpy as np
from pyspark.sql import DataFrame

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
from cdp_spark.unlabelled.unlabelled_tables import COMPARED

_VERSION = register.AGREEMENT_CURVE.version


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
