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
