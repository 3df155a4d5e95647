"""Draw the charts of scores, sizes, thresholds, time and memory."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import altair as alt
import pandas as pd

from cdp_spark.report.drawing import (
    BELOW,
    FAINT,
    MARK,
    SERIES,
    SOFT,
    Chart,
    counted_bars,
    drawable,
    named,
    side,
    svg_of,
)
from cdp_spark.report.figures import Covered
from cdp_spark.report.summaries import SCORE_BINS
from cdp_spark.report.tables import Table, sweep_table
from cdp_spark.runs.run_json import StageRecord

_DASHES = ([1, 0], [6, 3], [2, 2])
_RIGHT = 0.75
_SIZE_EDGES = (1, 2, 3, 4, 6, 11, 21, 51, 101, 501)


def coverage_chart(coverage: Sequence[Covered]) -> Chart:
    """Draw the metrics of the surest items against their share."""
    labelled = any(each.bcubed_f is not None for each in coverage)
    names = {"pairwise F": "pairwise_f", "BCubed F": "bcubed_f"} if labelled else {}
    names |= {"lowest confidence": "confidence"}
    rows = [(each.share, name, getattr(each, key)) for each in coverage for name, key in names.items()]
    table = pd.DataFrame(rows, columns=["share", "figure", "value"]).dropna()
    x = alt.X("share:Q", title="surest share of the items", axis=alt.Axis(format="%", tickCount=6))
    curves = alt.Chart(table).mark_line(strokeWidth=2, point=True).encode(
        x=x, y=alt.Y("value:Q", title=None, scale=alt.Scale(domain=[0, 1])),
        color=alt.Color("figure:N", title=None, legend=BELOW, scale=named(names, SERIES)),
        strokeDash=alt.StrokeDash("figure:N", title=None, legend=BELOW, scale=named(names, _DASHES)),
    )  # fmt: skip
    title = "The surest items"
    reading = (
        "Each point stands for a share of the items, taken from the most confident down; all items are on the right."
    )
    columns = {
        "share of the items": "share",
        "lowest confidence": "score",
        "pairwise F": "metric",
        "BCubed F": "metric",
    }
    cells = [(each.share, each.confidence, each.pairwise_f, each.bcubed_f) for each in coverage]
    return Chart(title, reading, svg_of(curves, title), Table.of(title, columns, cells))


def score_chart(
    scores: Sequence[tuple[int, int]], threshold: float, *, title: str, line: str = "threshold {:g}"
) -> Chart:
    """Draw the number of pairs by score, with a line at the threshold.

    ``line`` is the line's text.
    """
    rows = [(b / SCORE_BINS, (b + 1) / SCORE_BINS, count, (b + 0.5) / SCORE_BINS > threshold) for b, count in scores]
    table = pd.DataFrame(rows, columns=["from", "to", "pairs", "kept"])
    ticks = alt.Axis(format=".1f", values=[tick / 10 for tick in range(-10, 11)])
    bars = alt.Chart(table).mark_bar(color=SERIES[0]).encode(
        x=alt.X("from:Q", bin="binned", title="score of the pair", axis=ticks), x2="to:Q",
        y=alt.Y("pairs:Q", title="pairs", axis=alt.Axis(tickCount=4, format="~s")),
        opacity=alt.condition("datum.kept", alt.value(1.0), alt.value(FAINT)),
    )  # fmt: skip
    cut = pd.DataFrame({"threshold": [threshold], "text": [line.format(threshold)]})
    rule = alt.Chart(cut).mark_rule(color=MARK, strokeWidth=2).encode(x="threshold:Q")
    name = alt.Chart(cut).mark_text(color=MARK, y=8, **side(threshold > _RIGHT)).encode(x="threshold:Q", text="text:N")
    reading = "Each bar counts the pairs with this score. Pale bars, left of the line, are not kept."
    listed = Table.of(title, {"score from": "number", "to": "number", "pairs": "count"}, [row[:3] for row in rows])
    return Chart(title, reading, svg_of(bars + rule + name, title), listed)


def sweep_chart(sweep: Mapping[str, Any], current: float) -> Chart:
    """Draw the figures of each threshold.

    Each threshold has a hidden line, which the slider shows.
    """
    labelled = any(row["pairwise_f"] is not None for row in sweep["rows"])
    names = {"pairwise F": "pairwise_f", "BCubed F": "bcubed_f"} if labelled else {}
    names |= {"share clustered with others": "clustered_share"}
    rows = [(row["threshold"], name, row[key]) for row in sweep["rows"] for name, key in names.items()]
    table = pd.DataFrame(rows, columns=["threshold", "figure", "value"]).dropna()
    ticks = alt.Axis(tickCount=6, labelFlush=False, labelOverlap=True)
    x = alt.X("threshold:Q", title="threshold", scale=alt.Scale(zero=False, nice=False), axis=ticks)
    curves = alt.Chart(table).mark_line(strokeWidth=2).encode(
        x=x, y=alt.Y("value:Q", title=None, scale=alt.Scale(zero=False)),
        color=alt.Color("figure:N", title=None, legend=BELOW, scale=named(names, SERIES)),
        strokeDash=alt.StrokeDash("figure:N", title=None, legend=BELOW, scale=named(names, _DASHES)),
    )  # fmt: skip
    steps = alt.Chart(pd.DataFrame({"threshold": [row["threshold"] for row in sweep["rows"]]}), name="steps")
    hidden = steps.mark_rule(color=MARK, strokeWidth=2, opacity=0).encode(x=x)
    span = (sweep["rows"][0]["threshold"], sweep["rows"][-1]["threshold"])
    marks = [_marked(x, mark, row) for row, mark in enumerate(_marks(sweep["best"], current, span))]
    title = "Results by threshold"
    reading = (
        "Each line is one figure by threshold. Dashed vertical lines mark the run's own threshold and the best one."
    )
    drawn = svg_of(alt.layer(curves, *marks, hidden), title, height=240)
    return Chart(title, reading, drawn, sweep_table(sweep["rows"]))


class _Mark(NamedTuple):
    """A vertical line with a name on its left or right."""

    name: str
    at: float
    left: bool


def _marks(best: float | None, current: float, span: tuple[float, float]) -> list[_Mark]:
    """Name the thresholds to mark that lie on the chart, smaller first.

    Where there is room, the first name is left of its line and the second right, so that no line crosses a name.
    """
    both = {"current": current} | ({"best": best} if best is not None else {})
    if best == current:
        both = {"current and best": current}
    low, high = span
    known = sorted((at, name) for name, at in both.items() if low <= at <= high)
    room = (0.3, 0.7)
    return [_Mark(name, at, at > low + share * (high - low)) for (at, name), share in zip(known, room, strict=False)]


def _marked(x: alt.X, mark: _Mark, row: int) -> alt.LayerChart:
    """Draw a named vertical line; ``row`` is the line of text of its name."""
    table = pd.DataFrame({"threshold": [mark.at], "text": [f"{mark.name} {mark.at:g}"]})
    rule = alt.Chart(table).mark_rule(color=SOFT, strokeDash=[4, 3]).encode(x=x)
    text = alt.Chart(table).mark_text(color=SOFT, y=8 + 14 * row, **side(mark.left)).encode(x=x, text="text:N")
    drawn: alt.LayerChart = rule + text
    return drawn


def size_chart(sizes: Sequence[tuple[int, int]]) -> Chart:
    """Draw the number of clusters by size, in growing bins."""
    edges = [*_SIZE_EDGES, max(_SIZE_EDGES[-1], max(size for size, _ in sizes)) + 1]
    rows = []
    for low, high in pairwise(edges):
        name = f"{low}" if high == low + 1 else f"{low}–{high - 1}" if low < _SIZE_EDGES[-1] else f"{low:,}+"
        rows.append((name, sum(clusters for size, clusters in sizes if low <= size < high)))
    while rows[-1][1] == 0:
        rows.pop()
    title = "Sizes of the clusters"
    reading = "Each bar counts the clusters of this size; those of one item are singletons."
    drawn = svg_of(counted_bars(rows, "items in the cluster", "clusters"), title)
    return Chart(title, reading, drawn, Table.of(title, {"items": "text", "clusters": "count"}, rows))


def time_chart(stages: Sequence[StageRecord]) -> Chart:
    """Draw the time of each stage, paler where an earlier run made it."""
    rows = [_Bar(stage.name, stage.made_seconds, stage.reused) for stage in stages]
    reading = "Each bar is the time of one stage, in the order of the run. Pale stages were made by an earlier run."
    return _stage_chart("Seconds by stage", reading, rows, "seconds")


def memory_chart(stages: Sequence[StageRecord]) -> Chart | None:
    """Draw the peak memory of the Python workers of each stage that has one."""
    known = [(stage, stage.peak_worker_bytes) for stage in stages if stage.peak_worker_bytes is not None]
    rows = [_Bar(stage.name, peak / 2**20, stage.reused) for stage, peak in known]
    reading = "Each bar is the peak memory of one Python worker in this stage. Stages without Python workers have none."
    return _stage_chart("Peak memory by stage", reading, rows, "MiB") if rows else None


class _Bar(NamedTuple):
    """One stage of a stage chart."""

    stage: str
    value: float
    reused: bool


def _stage_chart(title: str, reading: str, rows: Sequence[_Bar], unit: str) -> Chart:
    # A stage may occur several times, such as rounds of a search, so bars are drawn by index.
    table = pd.DataFrame(
        [(index, *row) for index, row in enumerate(rows)], columns=["index", "stage", "value", "reused"]
    )
    names = alt.Axis(labelLimit=112, labelExpr=f"{json.dumps(drawable([row.stage for row in rows]))}[datum.value]")
    y = alt.Y("index:O", title=None, axis=names)
    # Leaves room for the numbers at the ends.
    x = alt.X("value:Q", title=unit, scale=alt.Scale(domain=[0, 1.15 * max(row.value for row in rows) or 1]))
    bars = alt.Chart(table).mark_bar(color=SERIES[0]).encode(
        x=x, y=y, opacity=alt.condition("datum.reused", alt.value(FAINT), alt.value(1.0))
    )  # fmt: skip
    text = alt.Chart(table).mark_text(align="left", dx=4, color=SOFT).encode(
        x=x, y=y, text=alt.Text("value:Q", format=",.1f" if unit == "seconds" else ",.0f")
    )  # fmt: skip
    listed = Table.of(title, {"stage": "text", unit: "seconds"}, [row[:2] for row in rows])
    return Chart(title, reading, svg_of(bars + text, title, height=20 * len(table)), listed)
