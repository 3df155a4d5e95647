"""The page of benchmarks: what ``benchmarks/history.jsonl`` holds, a chart per figure, each with its command."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

HISTORY = Path(__file__).parents[1] / "benchmarks" / "history.jsonl"
_HEAD = """# Benchmarks over time

Each point is one measurement, the oldest first. Lines join those of one class of machine. The machines are shared, so
seconds vary from day to day: compare ratios and CPU seconds first. `benchmarks/README.md` has all other figures. Add a
measurement:

```
.venv/bin/python -m benchmarks.history -m benchmarks.cold_start
```
"""
_STYLE = """<style>
.history { --c1: #2a6fbb; --c2: #c0562b; --c3: #3f8f4f; --c4: #8a5fb0; --c5: #a0792c; --c6: #4f8f98;
  --mark: #c0562b; --ink: #1f2328; --soft: #59636e; --line: #c9ced4;
  display: grid; grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); gap: 1rem; }
.history figure { margin: 0; } .history figcaption { font-size: .85rem; } .history svg { width: 100%; height: auto; }
@media (prefers-color-scheme: dark) { body:not([data-theme="light"]) .history {
  --c1: #6aa9ee; --c2: #ea8a5f; --ink: #e6e9ec; --soft: #a8b0b8; --line: #4a5058; } }
body[data-theme="dark"] .history { --c1: #6aa9ee; --c2: #ea8a5f; --ink: #e6e9ec; --soft: #a8b0b8; --line: #4a5058; }
</style>
"""

Line = dict[str, Any]


def history(file: Path = HISTORY) -> list[Line]:
    """Return the measurements, the oldest first."""
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]


def benchmarks() -> str:
    """Return the page."""
    lines = sorted(history(), key=lambda line: (line["benchmark"], line["command"]))
    parts = [_HEAD, _STYLE]
    for benchmark, of_benchmark in groupby(lines, key=lambda line: line["benchmark"]):
        parts.append(f"## {benchmark}\n")
        for command, found in groupby(of_benchmark, key=lambda line: line["command"]):
            parts.append(_section(command, list(found)))
    return "\n".join(parts)


def _section(command: str, lines: Sequence[Line]) -> str:
    names = list(dict.fromkeys(name for line in lines for name in line["figures"]))
    charts = "\n".join(f"<figure><figcaption>{name}</figcaption>{_chart(name, lines)}</figure>" for name in names)
    return f'```\n{command}\n```\n\n<div class="history">\n{charts}\n</div>\n\n{_table(names, lines)}\n'


def _table(names: Iterable[str], lines: Sequence[Line]) -> str:
    """Return the same numbers as a table, a column for each measurement."""
    versions = [", ".join(f"{name} {version}" for name, version in line["versions"].items()) for line in lines]
    rows = [
        ["", *(f"{line['date']} {line['commit']}" for line in lines)], ["---"] * (len(lines) + 1),
        ["machine", *(line["machine"] for line in lines)], ["versions", *versions],
        *([name, *(f"{line['figures'].get(name, '')}" for line in lines)] for name in names),
    ]  # fmt: skip
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _chart(name: str, lines: Sequence[Line]) -> str:
    import altair as alt
    import pandas as pd

    from cdp_spark.report.drawing import BELOW, SERIES, named, svg_of

    rows = [
        (f"{number + 1}: {line['date']}", line["figures"][name], line["machine"])
        for number, line in enumerate(lines)
        if name in line["figures"]
    ]
    table = pd.DataFrame(rows, columns=["when", "value", "machine"])
    machines = list(dict.fromkeys(machine for _, _, machine in rows))
    base = alt.Chart(table).encode(
        x=alt.X("when:N", title=None, sort=None, axis=alt.Axis(labelAngle=-30)),
        y=alt.Y("value:Q", title=None, axis=alt.Axis(tickCount=4, format="~s"), scale=alt.Scale(zero=True)),
        color=alt.Color("machine:N", title=None, scale=named(machines, SERIES), legend=BELOW),
    )
    return svg_of(base.mark_line() + base.mark_circle(size=60, opacity=1), name, height=120)
