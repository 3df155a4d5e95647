"""Pairs scored by a trained mediator -> the shift at which halves of the committee give most items alike, durable.

A mediator learns how many pairs are true in its own data. Elsewhere all its log odds are off by about one number. It
reads all models at once, so no half of them can score a pair: a half keeps the pairs that any of its members lists,
with the log odds of all models.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from pyspark.sql import DataFrame

from cdp_spark.agglomeration.flow import ClusterMediator
from cdp_spark.config.sections import fingerprint
from cdp_spark.config.whole import RunConfig
from cdp_spark.runs import register
from cdp_spark.runs.stage_store import StageStore
from cdp_spark.scoring.flow import Scored
from cdp_spark.spark.keyed_table import KeyedTable
from cdp_spark.unlabelled import alike_by_shift as stage
from cdp_spark.unlabelled.kernels.splits import model_splits
from cdp_spark.unlabelled.moved_pairs import moved_pairs
from cdp_spark.unlabelled.sample_flow import Sizes, sampled
from cdp_spark.unlabelled.self_training import moved_scores

_VERSION = register.ALIKE_BY_SHIFT.version
SHIFTS = tuple(np.arange(-8.0, 4.01, 1.0).tolist())
"""All shifts that may be chosen."""
GAIN = 0.02
"""Least gain of items alike for which a mediator is shifted: differences as small as that come from the sample."""


def at_agreed_shift(store: StageStore, scored: Scored, config: RunConfig, sizes: Sizes | None = None) -> Scored:
    """Shift the log odds of a trained mediator, for the rule ``learned``.

    Parameters
    ----------
    store : StageStore
    scored : Scored
        Anything but a trained mediator's pairs for the rule ``learned`` comes back as it is.
    config : RunConfig
        ``consensus.shift`` is the shift, or ``auto``.
    sizes : Sizes, optional
        Default: those of the config.
    """
    clusters = scored.decision.clusters
    if scored.section != "mediator" or clusters is None:
        return scored
    facts: dict[str, Any] = {"shift": 0.0, "alike": {}}
    if config.consensus.shift != "auto":
        facts["shift"] = float(config.consensus.shift)
    elif not (why_not := _why_not(scored, clusters)):
        facts = _agreed(store, scored, clusters, config, sizes or Sizes(task_edges=config.forest.task_edges))
    else:
        facts["why_not"] = why_not
    pairs = moved_pairs(store, register.SHIFTED_PAIRS, "shifted", scored.pairs, facts["shift"])
    return replace(scored, pairs=pairs, facts={**scored.facts, **facts})


def _why_not(scored: Scored, clusters: ClusterMediator) -> str:
    """Say why halves cannot be compared; empty if they can."""
    members = len(scored.graphs) - 1
    if members < 2:
        return f"the committee has {members} members, and halves need two"
    if members > stage.MOST_MEMBERS:
        return f"the committee has {members} members, more than {stage.MOST_MEMBERS}"
    if clusters.embeddings is not None:
        return "its cluster mediator reads embeddings"
    return ""


def _agreed(
    store: StageStore, scored: Scored, clusters: ClusterMediator, config: RunConfig, sizes: Sizes
) -> dict[str, Any]:
    """Choose the shift."""
    base, *members = scored.graphs.values()
    pairs, rule = scored.pairs, clusters.rule(config.knn.k)
    splits = model_splits(len(members))
    highest = KeyedTable(moved_scores(pairs.table, SHIFTS[-1]), pairs.rows, pairs.fingerprint)
    sample = sampled(store, (base.table, base.vectors.rows), highest, sizes)
    key = fingerprint(
        _VERSION, pairs.fingerprint, [each.fingerprint for each in members], sample and sample.fingerprint
    )

    def compared() -> DataFrame:
        among = None if sample is None else sample.table
        return stage.member_pairs(pairs.table, [each.table for each in members], among)

    listed = store.stage(register.MEMBER_PAIRS, key, compared, schema=stage.MEMBER_PAIRS)
    count = base.vectors.rows if sample is None else sample.rows

    def alike_at(shifts: Sequence[float]) -> dict[float, float]:
        return stage.alike_by_shift(listed.table, splits, rule, shifts, item_count=count)

    key = fingerprint(key, clusters.fingerprint, config.knn.k, SHIFTS, splits)
    known = store.facts(register.ALIKE_BY_SHIFT, key, lambda: {"alike": alike(alike_at)})["alike"]
    return {"shift": chosen(known), "alike": known, "compared_items": count}


def chosen(alike_by: Mapping[str, float]) -> float:
    """Return the shift with most items alike, or 0 where that gains next to nothing.

    >>> chosen({"0": 1000.0, "2": 1015.0}), chosen({"0": 1000.0, "2": 1021.0})
    (0.0, 2.0)
    """
    best = _best(alike_by)
    return best if alike_by[f"{best:g}"] > (1 + GAIN) * alike_by["0"] else 0.0


def alike(alike_at: Callable[[Sequence[float]], Mapping[float, float]]) -> dict[str, float]:
    """Climb from 0 by twos until both sides are lower, then look beside; keys are shifts as text, as JSON has them.

    >>> alike(lambda shifts: {shift: 9 - abs(shift - 3.0) for shift in shifts})
    {'-2': 4.0, '0': 6.0, '2': 8.0, '4': 8.0, '1': 7.0, '3': 9.0}
    """
    known: dict[str, float] = {}
    for step in (2.0, 1.0):
        while wanted := [shift for shift in _around(known, step) if f"{shift:g}" not in known]:
            seen = alike_at(wanted)
            known |= {f"{shift:g}": seen.get(shift, 0.0) for shift in wanted}
    return known


def _around(known: Mapping[str, float], step: float) -> list[float]:
    best = _best(known) if known else 0.0
    return [shift for shift in (best - step, best, best + step) if shift in SHIFTS]


def _best(alike_by: Mapping[str, float]) -> float:
    """Return the shift with most items alike, nearest 0 among equals, then the lower."""
    return max(map(float, alike_by), key=lambda shift: (alike_by[f"{shift:g}"], -abs(shift), -shift))
