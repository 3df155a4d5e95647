"""Format tables for the terminal."""

from __future__ import annotations

from typing import Any


def metrics_table(figures: dict[str, dict[str, Any]]) -> str:
    """Format the metrics of ``evaluate`` as a table."""
    lines = [f"{'':<20} {'kept':>10} {'removed':>10}   unclustered items kept as clusters of one, or removed"]
    for name in figures["kept"]:
        cells = [figures[way][name] for way in ("kept", "removed")]
        shown = ["-" if cell is None else f"{cell:.4f}" if isinstance(cell, float) else f"{cell:,}" for cell in cells]
        lines.append(f"{name:<20} {shown[0]:>10} {shown[1]:>10}")
    return "\n".join(lines)


def trust_line(record: dict[str, Any]) -> str | None:
    """Say how far clusters without labels are to be trusted; None for other runs.

    >>> trust_line({"without_labels": {"agreement": 0.853, "shift": -1.5, "predicted_precision": 0.931,
    ...                                "halves": "models", "granularity": 0.5}})
    'agreement of halves of the models .85 at shift -1.5, granularity +0.5; predicted precision .93'
    """
    if (way := record.get("without_labels")) is None:
        return None
    precision = way["predicted_precision"]
    moved = f", granularity {way['granularity']:+g}" if way["granularity"] else ""
    return (
        f"agreement of halves of the {way['halves']} {_share(way['agreement'])} at shift {way['shift']:g}{moved}; "
        f"predicted precision {'unknown: nothing was joined' if precision is None else _share(precision)}"
    )


def shift_line(record: dict[str, Any]) -> str | None:
    """Say how the log odds of a trained mediator were shifted; None for other runs.

    >>> shift_line({"mediator": {"shift": -1.0, "alike": {"0": 400.0, "-1": 410.5}, "compared_items": 1000}})
    '-1: 41% of the compared items are alike by halves of the committee'
    >>> shift_line({"mediator": {"shift": 0.5, "alike": {}}})
    '+0.5'
    """
    mediator = record.get("mediator") or {}
    if "shift" not in mediator:
        return None
    shift, alike = f"{mediator['shift']:+g}" if mediator["shift"] else "0", mediator["alike"]
    if not alike:
        return f"{shift}: {mediator['why_not']}" if "why_not" in mediator else shift
    share = alike[f"{mediator['shift']:g}"] / max(1, mediator["compared_items"])
    return f"{shift}: {share:.0%} of the compared items are alike by halves of the committee"


def _share(value: float) -> str:
    """Write a number from -1 to 1 without its zero.

    >>> _share(0.5), _share(-0.25), _share(1.0)
    ('.50', '-.25', '1.00')
    """
    return f"{value:.2f}".replace("0.", ".", 1)
