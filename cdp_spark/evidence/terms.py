"""Terms of the score of a pair in a run without labels; items that repeat another in all models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pyspark.sql import functions as F

from cdp_spark.evidence.strongest_path import among
from cdp_spark.runs import register
from cdp_spark.runs.finished_run import FinishedRun
from cdp_spark.unlabelled.self_training import log_odds_of

Ends = tuple[int, int]
Terms = Mapping[str, float | None]


@dataclass(frozen=True)
class Repeats:
    """For each asked item, the smaller item that it is identical to, if any, and its copies."""

    same_as: Mapping[int, int]
    copies: Mapping[int, int]

    @classmethod
    def of(cls, run: FinishedRun, items: Sequence[int]) -> Repeats:
        """Look up a few items."""
        if (repeated := run.repeated_items) is None:
            return cls({}, {})
        same_as = {row["item"]: row["same_as"] for row in repeated.where(among("item", items)).collect()}
        firsts = [same_as.get(item, item) for item in items]
        counted = repeated.where(among("same_as", firsts)).groupBy("same_as").count().collect()
        return cls(same_as, {row["same_as"]: row["count"] for row in counted})


def terms(run: FinishedRun, ends: Sequence[Ends], scores: Sequence[float | None]) -> list[Terms]:
    """List the terms of scores.

    Parameters
    ----------
    run : FinishedRun
        A run without labels.
    ends : sequence of (int, int)
    scores : sequence of float or None

    Returns
    -------
    list of dict
        ``joint_similarity`` (None if neither end has the other in its joint list) and, for scored pairs,
        ``log_odds``, ``mediator``, ``shift``, ``self_training`` (None without self-training) and ``granularity``
        (None if it is 0). ``log_odds`` is ``(mediator + shift + self_training) / 2 + granularity``.
    """
    way = run.record.without_labels
    if way is None or not ends:
        return [{} for _ in ends]
    pairs = [(min(pair), max(pair)) for pair in ends]
    joint, mediator = _joint(run, pairs), _mediator(run, pairs)
    terms: list[Terms] = []
    for pair, score in zip(pairs, scores, strict=True):
        if score is None or pair not in mediator:
            terms.append({"joint_similarity": joint.get(pair)})
            continue
        odds = float(log_odds_of(np.array([score], np.float32))[0])
        again = 2 * (odds - way.granularity) - mediator[pair] - way.shift if way.self_trained else None
        terms.append(
            {
                "joint_similarity": joint.get(pair), "log_odds": odds, "mediator": mediator[pair],
                "shift": way.shift, "self_training": again, "granularity": way.granularity or None,
            }
        )  # fmt: skip
    return terms


def _joint(run: FinishedRun, pairs: Sequence[Ends]) -> dict[Ends, float]:
    """Return joint similarities, in units of the background, as either end has them; the greater counts."""
    items = sorted({item for pair in pairs for item in pair})
    lists = run.table(register.JOINT_VIEW.of("models")).where("subset = 0").where(among("item", items))
    entries = lists.select("item", F.explode(F.arrays_zip("neighbors", "similarities")).alias("entry"))
    wanted = set(pairs)
    terms: dict[Ends, float] = {}
    for row in entries.select("item", "entry.neighbors", "entry.similarities").collect():
        pair = (min(row[0], row[1]), max(row[0], row[1]))
        if pair in wanted:
            terms[pair] = max(row[2], terms.get(pair, -np.inf))
    return terms


def _mediator(run: FinishedRun, pairs: Sequence[Ends]) -> dict[Ends, float]:
    sources, targets = zip(*pairs, strict=True)
    table = run.table(register.LOG_ODDS.of("whole")).where("subset = 0")
    rows = table.where(among("src", sources) & among("dst", targets)).select("src", "dst", "z").collect()
    wanted = set(pairs)
    return {(row["src"], row["dst"]): row["z"] for row in rows if (row["src"], row["dst"]) in wanted}
