"""Scored pairs by a trained mediator, and whether that mediator fits the data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from pyspark.sql import functions as F

from cdp_spark.base.config import RunConfig, fingerprint
from cdp_spark.kernels.domain import SHIFTED, population_stability
from cdp_spark.runtime.mediators import Mediator, load_mediator
from cdp_spark.runtime.storage import StageResult, StageStore
from cdp_spark.stages import mediator as stage
from cdp_spark.tasks.intake import Intake
from cdp_spark.tasks.knn import Graph
from cdp_spark.tasks.pairs import Join, judged_pairs

VERSION = 1
_SAMPLED = 50_000
_POSITIVE_SHIFT = 0.2


def mediator_of(config: RunConfig) -> Mediator | None:
    """Load the run's mediator, if it has one, before any work.

    Raises
    ------
    ConfigError
        If it does not fit the run.
    """
    if config.consensus.strategy != "mediator" or config.consensus.mediator is None:
        return None
    models = [source.model for source in (config.input.base, *config.input.committee)]
    return load_mediator(config.consensus.mediator, models=models, k=config.knn.k)


def mediated_pairs(
    store: StageStore, intake: Intake, graphs: Mapping[str, Graph], config: RunConfig, mediator: Mediator
) -> StageResult:
    """Score every candidate pair."""
    card = mediator.card
    every = max(1, intake.item_count * config.knn.k // _SAMPLED)
    judge = stage.scoring(mediator.mlp, mediator.columns, sample_every=every, engine=config.consensus.engine)
    key = fingerprint(VERSION, mediator.fingerprint, every, config.consensus.engine)
    join = Join(card["feature_set"], card["candidates"], judge, stage.SAMPLED_PAIRS, key)
    return judged_pairs(store, "scored_pairs", graphs, config.knn, join)


def fit_of(
    store: StageStore, pairs: StageResult, mediator: Mediator, threshold: float
) -> tuple[dict[str, Any], list[str]]:
    """Compare the run's pairs with those of the training; return the figures, and a warning for each misfit."""
    key = fingerprint(VERSION, pairs.fingerprint, mediator.fingerprint, threshold)
    figures = store.facts("mediator_fit", key, lambda: _figures(pairs, mediator, threshold))
    warnings = [
        f"mediator: feature {name} is distributed otherwise than in training (population stability {shift:.2f}, "
        f"more than {SHIFTED}): its scores may mislead; train on data like these"
        for name, shift in figures["stability"].items()
        if shift > SHIFTED
    ]
    here, there = figures["positive_share"], figures["trained_positive_share"]
    if here is not None and abs(here - there) > _POSITIVE_SHIFT:
        warnings.append(
            f"mediator: {here:.0%} of the candidate pairs look like one identity, {there:.0%} were in training: "
            "the threshold chosen there may not suit; sweep, or train on data like these"
        )
    return figures, warnings


def _figures(pairs: StageResult, mediator: Mediator, threshold: float) -> dict[str, Any]:
    rows = pairs.table.where("features is not null").select("features").toArrow().column("features")
    names = mediator.card["features"]
    flat = rows.combine_chunks().flatten().to_numpy() if len(rows) else np.empty(0, np.float32)
    sample = flat.reshape(-1, len(names))
    stability = {
        name: population_stability(known, sample[:, place])
        for place, (name, known) in enumerate(zip(names, mediator.card["domain"], strict=True))
        if len(sample)
    }
    score = F.col("score").cast("double")
    kept = F.when(score > threshold, score)
    row = pairs.table.agg(
        F.avg(score).alias("all"),
        F.sum(score).alias("true"),
        F.sum(kept).alias("found"),
        F.avg(kept).alias("precision"),
    ).collect()[0]
    return {
        "stability": stability,
        "sampled_pairs": len(sample),
        "positive_share": row["all"],
        "trained_positive_share": mediator.card["held_out"]["positive_share"],
        "pair_precision_estimate": row["precision"],
        "pair_recall_estimate": (row["found"] or 0.0) / row["true"] if row["true"] else None,
    }
