"""Whether a mediator fits the data that it scores."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median
from typing import Any

import numpy as np
from pyspark.sql import functions as F

from cdp_spark.config.sections import fingerprint
from cdp_spark.knn.flow import Graph
from cdp_spark.runs import register
from cdp_spark.runs.stage_store import StageResult, StageStore
from cdp_spark.scoring.densities import sampled_densities
from cdp_spark.scoring.kernels.data_shift import SHIFTED, odds, population_stability
from cdp_spark.scoring.mediator_folder import Mediator

_UNEXPLAINED = 0.2
"""Share of the items; on the worlds themselves at most .01."""


def fit_of(
    store: StageStore, pairs: StageResult, mediator: Mediator, prior: Mapping[str, float], threshold: float
) -> tuple[dict[str, Any], list[str]]:
    """Compare the run's pairs with those of the training; return the figures, and a warning for each misfit."""
    key = fingerprint(register.MEDIATOR_FIT.version, pairs.fingerprint, mediator.fingerprint, threshold)
    factor = odds(prior["positive_share"]) / odds(prior["trained_positive_share"])
    figures = store.facts(register.MEDIATOR_FIT, key, lambda: _figures(pairs, mediator, threshold, factor))
    warnings = _feature_warnings if mediator.worlds is None else _worlds_warnings
    return figures, warnings(figures["stability"])


def _feature_warnings(stability: Mapping[str, float]) -> list[str]:
    return [
        f"mediator: feature {name} is distributed otherwise than in training (population stability {shift:.2f}, "
        f"more than {SHIFTED}): its scores may mislead; train on data like these"
        for name, shift in stability.items()
        if shift > SHIFTED
    ]


def _worlds_warnings(stability: Mapping[str, float]) -> list[str]:
    """Warn when most features are shifted: with other shares of the worlds some are, with data of another kind most.

    Mediators of worlds had a median of .02 to .16 on data of the same kind (glyphs, faces, Omniglot and its long tail),
    of .33 to 1.29 on another of these.
    """
    if not stability or (middle := median(stability.values())) <= SHIFTED:
        return []
    return [
        "mediator: most features are distributed otherwise than in the worlds that it has learned from (median "
        f"population stability {middle:.2f}, more than {SHIFTED}): its clusters may mislead; train on data like these"
    ]


def _figures(pairs: StageResult, mediator: Mediator, threshold: float, factor: float) -> dict[str, Any]:
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
    probability = factor * score / (factor * score + 1 - score)  # scoring.kernels.data_shift.reweighted
    kept = F.when(score > threshold, probability)
    row = pairs.table.agg(
        F.sum(probability).alias("true"),
        F.sum(kept).alias("found"),
        F.avg(kept).alias("precision"),
    ).collect()[0]
    return {
        "stability": stability,
        "sampled_pairs": len(sample),
        "pair_precision_estimate": row["precision"],
        "pair_recall_estimate": (row["found"] or 0.0) / row["true"] if row["true"] else None,
    }


def fitted(
    store: StageStore, graphs: Mapping[str, Graph], mediator: Mediator, k: int
) -> tuple[Mediator, dict[str, Any], list[str]]:
    """Fit a mediator that has learned from worlds to the items at hand: which worlds they are like.

    Returns
    -------
    Mediator
        Its networks weigh the worlds as these items ask; others are returned as they are.
    dict
        Shares of the worlds, and the share of the items that none explains.
    list of str
        A warning where these are many.
    """
    if (known := mediator.worlds) is None:
        return mediator, {}, []

    def found() -> dict[str, Any]:
        sample = sampled_densities(graphs, k)
        shares = [round(float(share), 4) for share in known.shares(sample)]
        return {"shares": shares, "unexplained": round(known.unexplained(sample), 4), "sampled_items": len(sample)}

    names = [graph.fingerprint for graph in graphs.values()]
    figures = store.facts(
        register.WORLD_SHARES, fingerprint(register.MEDIATOR_FIT.version, names, known.classifier.digest), found
    )
    fits = mediator.fitted(figures["shares"])
    warning = (
        f"mediator: the neighbourhoods of {figures['unexplained']:.0%} of the items are like none of the worlds "
        "that it has learned from: its clusters may mislead; train on data like these"
    )
    return fits, {"worlds": figures}, [warning] if figures["unexplained"] > _UNEXPLAINED else []
