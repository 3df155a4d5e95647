"""A sweep -> what the threshold slider shows: the texts of every step, which the page's script only has to place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cdp_spark.runs.run_json import ClusterRecord

_COUNTS = {
    "clusters": "clusters",
    "singletons": "singletons",
    "without cluster": "discarded",
    "largest cluster": "largest",
}
_SHARES = {"together with others": "clustered_share"}
_METRICS = {"pairwise F": "pairwise_f", "BCubed F": "bcubed_f"}


def what_if(sweep: Mapping[str, Any], record: ClusterRecord) -> dict[str, Any]:
    """Put a sweep into words.

    Parameters
    ----------
    sweep : mapping
        As ``tasks.sweep.Sweep``.
    record : ClusterRecord
        What the run itself gave, against which changes are told.

    Returns
    -------
    dict
        ``names``, ``own`` (the run's figures), ``start`` (the step nearest the run's threshold) and ``steps``: one per
        threshold with ``threshold``, ``figures`` and ``changes``, lists of texts.
    """
    rows = sweep["rows"]
    judged = record.metrics is not None and any(row["pairwise_f"] is not None for row in rows)
    keys = _COUNTS | _SHARES | (_METRICS if judged else {})
    own = _own(record)
    current = float(record.threshold)
    steps = [
        {
            "threshold": f"{row['threshold']:g}",
            "figures": [_text(key, row[key]) for key in keys.values()],
            "changes": [_change(key, row[key], own[key]) for key in keys.values()],
        }
        for row in rows
    ]
    start = min(range(len(rows)), key=lambda step: abs(rows[step]["threshold"] - current))
    return {"names": list(keys), "own": [_text(key, own[key]) for key in keys.values()], "start": start, "steps": steps}


def _own(record: ClusterRecord) -> dict[str, Any]:
    """Return the run's figures by the names of a sweep's row."""
    counts, statuses = record.counts, record.counts.statuses
    together = statuses.get("clustered", 0) + statuses.get("forced", 0)
    found = {
        "clusters": counts.clusters,
        "singletons": statuses.get("singleton", 0),
        "discarded": statuses.get("discarded", 0),
        "largest": counts.largest,
        "clustered_share": together / max(1, counts.items),
    }
    kept = record.metrics["kept"] if record.metrics else {}
    return found | {key: kept.get(key) for key in _METRICS.values()}


def _text(key: str, value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,}" if key in _COUNTS.values() else f"{value:.1%}" if key in _SHARES.values() else f"{value:.4f}"


def _change(key: str, value: float | None, own: float | None) -> str:
    if value is None or own is None:
        return "–"
    change = value - own
    if key in _COUNTS.values():
        return f"{change:+,}" if change else "same"
    if abs(change) < 0.00005:
        return "same"
    return f"{100 * change:+.1f} points" if key in _SHARES.values() else f"{change:+.4f}"
