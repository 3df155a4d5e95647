"""The share of true pairs, and the threshold that fits it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from pyspark.sql import functions as F

from cdp_spark.config.sections import fingerprint
from cdp_spark.runs import register
from cdp_spark.runs.stage_store import StageResult, StageStore
from cdp_spark.scoring.kernels.data_shift import estimated_share, reweighted
from cdp_spark.scoring.mediator_folder import Mediator

_SCORE_BINS = 2_000


_POSITIVE_SHIFT = 0.2


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

    key = fingerprint(register.PRIOR.version, pairs.fingerprint, mediator.fingerprint, trained)
    share = store.facts(register.PRIOR, key, lambda: {"positive_share": estimated()})["positive_share"]
    stays = mediator.worlds is not None
    moved = chosen if stays else float(reweighted(np.array([chosen]), share, trained)[0])
    return {
        "positive_share": round(share, 4), "fitting_threshold": round(moved, 4),
        "trained_positive_share": trained, "trained_threshold": chosen,
    }  # fmt: skip


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
