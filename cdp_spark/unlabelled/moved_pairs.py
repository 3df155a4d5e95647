"""Scored pairs -> the same pairs with a number added to their log odds, durable."""

from __future__ import annotations

from cdp_spark.base import schemas
from cdp_spark.config.sections import fingerprint
from cdp_spark.runs.register import Stage
from cdp_spark.runs.stage_store import StageResult, StageStore
from cdp_spark.unlabelled.self_training import moved_scores


def moved_pairs(store: StageStore, stage: Stage, what: str, pairs: StageResult, by: float) -> StageResult:
    """Add a number to the log odds of all pairs; at 0 they stay as they are.

    Parameters
    ----------
    store : StageStore
    stage : Stage
        Holds the moved pairs.
    what : str
        Name of the number, for the fingerprint.
    pairs : StageResult (``schemas.SCORED_PAIRS``)
    by : float
    """
    if not by:
        return pairs
    key = fingerprint(what, stage.version, pairs.fingerprint, float(by))
    return store.stage(stage, key, lambda: moved_scores(pairs.table, by), schema=schemas.SCORED_PAIRS)
