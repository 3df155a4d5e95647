"""Make the texts of the threshold slider, which the page's script only inserts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cdp_spark.runs.run_json import ClusterRecord

_COUNTS = {
    "clusters": "clusters",
    "singletons": "singletons",
    "unclustered": "discarded",
    "largest cluster": "largest",
}
_SHARES = {"clustered with others": "clustered_share"}
_METRICS = {"pairwise F": "pairwise_f", "BCubed F": "bcubed_f"}


def what_if(sweep: Mapping[str, Any], record: ClusterRecord) -> dict[str, Any]:
    """Make the texts of every step.

    Parameters
    ----------
    sweep : mapping
        As in ``commands.sweep.Sweep``.
    record : ClusterRecord
        Figures of the run itself; changes are relative to these.

    Returns
    -------
    dict
        ``names``, ``own`` (the run's figures), ``start`` (index of the step nearest the run's threshold) and
        ``steps``: one per threshold with ``threshold`` and the lists of texts ``figures`` and ``changes``.
    """
    rows = sweep["rows"]
    labelled = record.metrics is not None and any(row["pairwise_f"] is not None for row in rows)
    keys = _COUNTS | _SHARES | (_METRICS if labelled else {})
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
    """Return the run's figures under the names that a sweep's rows use."""
    counts, statuses = record.counts, record.counts.statuses
    together = statuses.get("clustered", 0) + statuses.get("forced", 0)
    figures = {
        "clusters": counts.clusters,
        "singletons": statuses.get("singleton", 0),
        "discarded": statuses.get("discarded", 0),
        "largest": counts.largest,
        "clustered_share": together / max(1, counts.items),
    }
    kept = record.metrics["kept"] if record.metrics else {}
    return figures | {key: kept.get(key) for key in _METRICS.values()}


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
