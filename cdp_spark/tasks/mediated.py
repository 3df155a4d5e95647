"""Scored pairs by a trained mediator, and whether that mediator fits the data."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median
from typing import Any

import numpy as np
from pyspark.sql import functions as F

from cdp_spark.base.config import RunConfig
from cdp_spark.base.parts import fingerprint
from cdp_spark.kernels.domain import SHIFTED, estimated_share, odds, population_stability, reweighted
from cdp_spark.runtime.mediators import Mediator, load_mediator, require_cluster_net
from cdp_spark.runtime.storage import StageResult, StageStore
from cdp_spark.stages import mediator as stage
from cdp_spark.tasks.agglomeration import ClusterMediator, Embeddings
from cdp_spark.tasks.consensus import Decision
from cdp_spark.tasks.intake import Intake
from cdp_spark.tasks.knn import Graph
from cdp_spark.tasks.pairs import Join, judged_pairs
from cdp_spark.tasks.worlds import sampled_densities

VERSION = 2
_SAMPLED = 50_000
_SCORE_BINS = 2_000
_POSITIVE_SHIFT = 0.2
_MUCH_DISCARDED = 0.5
_UNEXPLAINED = 0.2
"""Share of the items; on the worlds themselves at most .01."""


def mediator_of(config: RunConfig) -> Mediator | None:
    """Load the run's own mediator, if it has one, before any work.

    Raises
    ------
    ConfigError
        If it does not fit the run.
    """
    if config.consensus.strategy != "mediator" or config.consensus.mediator is None:
        return None
    if config.consensus.without_labels:  # fits every run
        return None
    found = load_mediator(config.consensus.mediator, models=config.input.models, k=config.knn.k)
    if config.clusters.rule == "learned":
        require_cluster_net(found, config.consensus.mediator)
    return found


def with_rule(config: RunConfig, mediator: Mediator | None) -> RunConfig:
    """Choose the rule where the config says ``auto``: learned, if the mediator can and no threshold is given."""
    if config.clusters.rule != "auto":
        return config
    able = config.consensus.without_labels or (mediator is not None and mediator.cluster_net is not None)
    rule = "learned" if able and config.consensus.threshold == "auto" else "code"
    return config.model_copy(update={"clusters": config.clusters.chosen(rule=rule)})


def mediated_pairs(
    store: StageStore, intake: Intake, graphs: Mapping[str, Graph], config: RunConfig, mediator: Mediator
) -> StageResult:
    """Score every candidate pair."""
    card = mediator.card
    every = max(1, intake.item_count * config.knn.k // _SAMPLED)
    judge = stage.scoring(mediator.pairs, mediator.columns, sample_every=every, engine=config.consensus.engine)
    key = fingerprint(VERSION, mediator.fingerprint, every, config.consensus.engine)
    join = Join(card["feature_set"], card["candidates"], judge, stage.SAMPLED_PAIRS, key)
    return judged_pairs(store, "scored_pairs", graphs, config.knn, join)


def prior_of(store: StageStore, pairs: StageResult, mediator: Mediator) -> dict[str, float]:
    """Estimate the share of true pairs in these data, and where that moves the threshold that training chose.

    A mediator that has learned from worlds has met other shares already: its threshold stays.
    """
    trained = float(mediator.card["held_out"]["positive_share"])
    chosen = float(mediator.card["threshold"])

    def estimated() -> float:
        # Whole counts: sums of floats would depend on the partitions.
        place = F.least(F.floor(F.col("score").cast("double") * _SCORE_BINS), F.lit(_SCORE_BINS - 1)).cast("int")
        counts = np.zeros(_SCORE_BINS, np.int64)
        for row in pairs.table.groupBy(place.alias("bin")).count().collect():
            counts[row["bin"]] = row["count"]
        return estimated_share(counts, trained)

    key = fingerprint(VERSION, pairs.fingerprint, mediator.fingerprint, trained)
    share = store.facts("prior", key, lambda: {"positive_share": estimated()})["positive_share"]
    stays = mediator.worlds is not None
    moved = chosen if stays else float(reweighted(np.array([chosen]), share, trained)[0])
    return {
        "positive_share": round(share, 4), "fitting_threshold": round(moved, 4),
        "trained_positive_share": trained, "trained_threshold": chosen,
    }  # fmt: skip


def decided(config: RunConfig, prior: Mapping[str, float], mediator: Mediator, intake: Intake) -> Decision:
    """Say what is done with the scores: the threshold of the config, or for ``auto`` the one that fits these data."""
    if not config.clusters.has_threshold:
        embeddings = Embeddings.of(intake.vectors) if mediator.with_embeddings else None
        net = mediator.cluster_net
        return Decision(0.5, None if net is None else ClusterMediator(net, mediator.trust, embeddings))
    auto = config.consensus.threshold == "auto"
    return Decision(prior["fitting_threshold"] if auto else float(config.consensus.threshold))


def discard_warnings(counts: Mapping[str, Any]) -> list[str]:
    """Warn when a mediator leaves much of the data without a cluster."""
    share = counts["statuses"].get("discarded", 0) / max(1, counts["items"])
    if share <= _MUCH_DISCARDED:
        return []
    return [
        f"mediator: {share:.0%} of the items are discarded, more than {_MUCH_DISCARDED:.0%}: "
        "lower consensus.threshold, or train on data like these"
    ]


def prior_warnings(prior: Mapping[str, float], threshold: float) -> list[str]:
    """Tell when the data are much richer or poorer in true pairs than those of the training."""
    here, there = prior["positive_share"], prior["trained_positive_share"]
    if prior["fitting_threshold"] == prior["trained_threshold"]:
        return []
    if abs(here - there) <= _POSITIVE_SHIFT:
        return []
    fitting = prior["fitting_threshold"]
    advice = (
        f"the threshold was moved from {prior['trained_threshold']:g} to {fitting:g}"
        if threshold == fitting
        else f"a threshold of {fitting:g} would fit"
    )
    return [
        f"mediator: about {here:.0%} of the candidate pairs are one identity, {there:.0%} were in training: {advice}"
    ]


def fit_of(
    store: StageStore, pairs: StageResult, mediator: Mediator, prior: Mapping[str, float], threshold: float
) -> tuple[dict[str, Any], list[str]]:
    """Compare the run's pairs with those of the training; return the figures, and a warning for each misfit."""
    key = fingerprint(VERSION, pairs.fingerprint, mediator.fingerprint, threshold)
    factor = odds(prior["positive_share"]) / odds(prior["trained_positive_share"])
    figures = store.facts("mediator_fit", key, lambda: _figures(pairs, mediator, threshold, factor))
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
    probability = factor * score / (factor * score + 1 - score)  # kernels.domain.reweighted
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
    figures = store.facts("worlds", fingerprint(VERSION, names, known.classifier.digest), found)
    fits = mediator.fitted(figures["shares"])
    warning = (
        f"mediator: the neighbourhoods of {figures['unexplained']:.0%} of the items are like none of the worlds "
        "that it has learned from: its clusters may mislead; train on data like these"
    )
    return fits, {"worlds": figures}, [warning] if figures["unexplained"] > _UNEXPLAINED else []
