"""Few labelled embeddings -> a mediator that starts from the one that ships, instead of from nothing.

It reads features that need no labels, so it takes any models, like the one that it starts from. Learning is bounded: of
more labelled items a hash sample of whole identities is taken, and one process holds them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import DataFrame

from cdp_spark.base.errors import InputError
from cdp_spark.base.numeric.unit_vectors import decode
from cdp_spark.base.versions import installed_versions
from cdp_spark.config.sections import MediatorConfig
from cdp_spark.config.whole import TrainConfig
from cdp_spark.intake.flow import Intake, Vectors
from cdp_spark.runs.stage_store import StageResult, StageStore
from cdp_spark.spark.hashed_sample import hashed_sample
from cdp_spark.training.kernels.fine_tuning import Tuned, fine_tuned, labelled_worlds
from cdp_spark.unlabelled.kernels.mediator import UnlabelledMediator
from cdp_spark.unlabelled.kernels.splits import distinct_models, distinct_rows
from cdp_spark.unlabelled.shipped import load_unlabelled, write_unlabelled

Longs = NDArray[np.int64]

CROSSOVER = 900
"""Smallest number of identities, of those measured, at which a mediator trained from nothing is ahead: on faces. Up to
300 the tuned one was ahead or level on all sets (``benchmarks/few_labels.py``)."""
MOST_ITEMS = 20_000
"""Labelled items that are learned from."""


@dataclass(frozen=True)
class TunedMediator:
    """A mediator that needs no labels, and its card."""

    mediator: UnlabelledMediator
    card: dict[str, Any]


def starts_from_shipped(settings: MediatorConfig, identities: int) -> bool:
    """Return whether a training starts from the mediator that ships.

    ``auto`` is the mediator that ships below ``CROSSOVER`` identities, unless a setting is given that only a training
    from nothing reads.

    >>> [starts_from_shipped(MediatorConfig(), identities) for identities in (5, 900)]
    [True, False]
    >>> starts_from_shipped(MediatorConfig(crowd=True), 5), starts_from_shipped(MediatorConfig(start="shipped"), 999)
    (False, True)
    """
    if settings.start == "auto":
        return identities < CROSSOVER and not settings.asked_of_nothing
    return settings.start == "shipped"


def start_of(settings: MediatorConfig, identities: int) -> dict[str, Any]:
    """Describe the start for a card: what it was, and why."""
    start = "shipped" if starts_from_shipped(settings, identities) else "none"
    return {"from": start, "asked": settings.start, "identities": identities, "crossover": CROSSOVER}


def tuned_mediator(
    store: StageStore, intake: Intake, people: StageResult, config: TrainConfig, identities: int
) -> TunedMediator:
    """Tune the mediator that ships on labelled items, and write it.

    Parameters
    ----------
    store : StageStore
    intake : Intake
    people : StageResult (item: long, identity: long)
    config : TrainConfig
    identities : int

    Raises
    ------
    InputError
        If no item is left.
    """
    shipped, known = load_unlabelled()
    chosen = _chosen(people)
    rows = chosen.toArrow().combine_chunks().sort_by("item")
    if not rows.num_rows:
        raise InputError("labels: no labelled item is left to learn from: check the ids of the labels")
    item, identity = (rows.column(name).to_numpy() for name in ("item", "identity"))
    models = [_vectors(vectors, chosen, item) for vectors in intake.vectors.values()]
    models = [models[number] for number in distinct_models(models)]
    kept, _ = distinct_rows(models)
    settings = config.mediator
    worlds = labelled_worlds(
        [vectors[kept] for vectors in models], identity[kept], shipped, settings.worlds, seed=settings.seed
    )
    tuned = fine_tuned(shipped, worlds)
    store.progress.say(_report(tuned, len(worlds)))
    card = {
        "start": start_of(settings, identities) | {"sha256": known["sha256"]},
        "training": {"items": len(kept), "worlds": len(worlds), "pairs": tuned.pairs, "seed": settings.seed},
        "slope": round(tuned.slope, 4), "labelled_shift": round(tuned.shift, 4), "shift": "by agreement",
        "weights_tuned": tuned.weights,
        "held_out": {"log_loss": _rounded(tuned.loss), "tuned_log_loss": _rounded(tuned.tuned_loss)},
        "versions": installed_versions(("numpy", "numba")),
    }  # fmt: skip
    store.guard()
    write_unlabelled(config.output, tuned.mediator, card)
    return TunedMediator(tuned.mediator, card)


def _chosen(people: StageResult) -> DataFrame:
    """Take whole identities, by hash, until there are about ``MOST_ITEMS`` items; one huge identity is cut."""
    rows = people.table.select("item", "identity")
    if people.rows <= MOST_ITEMS:
        return rows
    some = hashed_sample(rows, "identity", salt="few labels", below=MOST_ITEMS / people.rows)
    return some.orderBy("item").limit(2 * MOST_ITEMS)


def _vectors(vectors: Vectors, chosen: DataFrame, item: Longs) -> NDArray[np.float16]:
    """Bring the chosen items' vectors to the driver, in the order of the items."""
    joined = vectors.table.join(chosen.select("item"), "item", "left_semi").select("item", "vector").toArrow()
    rows = joined.combine_chunks().sort_by("item")
    if not np.array_equal(rows.column("item").to_numpy(), item):
        raise InputError(f"model {vectors.model}: labelled items are not those of the other models: run again")
    return decode(rows.column("vector").combine_chunks(), vectors.dimension)


def _report(tuned: Tuned, worlds: int) -> str:
    if not worlds:
        return "the labelled pairs are too few, or all of one kind: the mediator that ships stays as it is"
    weights = "weights tuned" if tuned.weights else "weights stay"
    return (
        f"{tuned.pairs:,} labelled pairs in {worlds} worlds: scale {tuned.slope:.2f}, shift {tuned.shift:+.2f}; "
        f"{weights} (log loss on held-out identities {tuned.loss:.4f}, tuned {tuned.tuned_loss:.4f})"
    )


def _rounded(loss: float) -> float | None:
    return None if math.isnan(loss) else round(loss, 4)
