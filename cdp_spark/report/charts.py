"""Figures -> the charts of scores, sizes, thresholds, time and memory."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import altair as alt
import pandas as pd

from cdp_spark.report.drawing import BELOW, FAINT, MARK, SERIES, SOFT, Chart, counted_bars, drawable, named, svg_of
from cdp_spark.report.figures import Covered
from cdp_spark.report.summaries import SCORE_BINS
from cdp_spark.report.tables import Table, sweep_table
from cdp_spark.runs.run_json import StageRecord

_DASHES = ([1, 0], [6, 3], [2, 2])
_RIGHT = 0.75
_SIZE_EDGES = (1, 2, 3, 4, 6, 11, 21, 51, 101, 501)


def coverage_chart(coverage: Sequence[Covered]) -> Chart:
    """Draw how good the surest items are, by how many of them are taken."""
    judged = any(each.bcubed_f is not None for each in coverage)
    names = {"pairwise F": "pairwise_f", "BCubed F": "bcubed_f"} if judged else {}
    names |= {"least confidence": "confidence"}
    rows = [(each.share, name, getattr(each, key)) for each in coverage for name, key in names.items()]
    table = pd.DataFrame(rows, columns=["share", "figure", "value"]).dropna()
    x = alt.X("share:Q", title="surest share of the items", axis=alt.Axis(format="%", tickCount=6))
    curves = alt.Chart(table).mark_line(strokeWidth=2, point=True).encode(
        x=x, y=alt.Y("value:Q", title=None, scale=alt.Scale(domain=[0, 1])),
        color=alt.Color("figure:N", title=None, legend=BELOW, scale=named(names, SERIES)),
        strokeDash=alt.StrokeDash("figure:N", title=None, legend=BELOW, scale=named(names, _DASHES)),
    )  # fmt: skip
    title = "The sure part"
    reading = (
        "Each point is the share of the items whose confidence is highest: on the right all, further left the surest."
    )
    columns = {"share of the items": "share", "least confidence": "score", "pairwise F": "metric", "BCubed F": "metric"}
    cells = [(each.share, each.confidence, each.pairwise_f, each.bcubed_f) for each in coverage]
    return Chart(title, reading, svg_of(curves, title), Table.of(title, columns, cells))


def score_chart(
    scores: Sequence[tuple[int, int]], threshold: float, *, title: str, line: str = "threshold {:g}"
) -> Chart:
    """Draw how many pairs have which score, and where the threshold cuts; ``line`` names it."""
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
    name = alt.Chart(cut).mark_text(color=MARK, y=8, **_side(threshold > _RIGHT)).encode(x="threshold:Q", text="text:N")
    reading = "Each bar is the number of pairs of that score; the pale ones, left of the line, are not believed."
    listed = Table.of(title, {"score from": "number", "to": "number", "pairs": "count"}, [row[:3] for row in rows])
    return Chart(title, reading, svg_of(bars + rule + name, title), listed)


def sweep_chart(sweep: Mapping[str, Any], current: float) -> Chart:
    """Draw what each threshold would give; for the slider there is a line at each, not seen until it is chosen."""
    judged = any(row["pairwise_f"] is not None for row in sweep["rows"])
    names = {"pairwise F": "pairwise_f", "BCubed F": "bcubed_f"} if judged else {}
    names |= {"share together with others": "clustered_share"}
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
    marks = [_marked(x, mark, place) for place, mark in enumerate(_marks(sweep["best"], current, span))]
    title = "What each threshold would give"
    reading = (
        "Each line is one figure over the thresholds; dashed upright lines are the run's own threshold and the best."
    )
    drawn = svg_of(alt.layer(curves, *marks, hidden), title, height=240)
    return Chart(title, reading, drawn, sweep_table(sweep["rows"]))


def _marks(best: float | None, current: float, span: tuple[float, float]) -> list[tuple[str, float, bool]]:
    """Name the thresholds to mark, those on the chart, the smaller first, and say whether the name stands left of it.

    The first stands left and the second right, so that neither line crosses a name, where there is room for it.
    """
    both = {"current": current} | ({"best": best} if best is not None else {})
    if best == current:
        both = {"current and best": current}
    low, high = span
    known = sorted((at, name) for name, at in both.items() if low <= at <= high)
    room = (0.3, 0.7)
    return [(name, at, at > low + share * (high - low)) for (at, name), share in zip(known, room, strict=False)]


def _marked(x: alt.X, mark: tuple[str, float, bool], place: int) -> alt.LayerChart:
    """Draw a named upright line."""
    name, at, left = mark
    table = pd.DataFrame({"threshold": [at], "text": [f"{name} {at:g}"]})
    rule = alt.Chart(table).mark_rule(color=SOFT, strokeDash=[4, 3]).encode(x=x)
    text = alt.Chart(table).mark_text(color=SOFT, y=8 + 14 * place, **_side(left)).encode(x=x, text="text:N")
    drawn: alt.LayerChart = rule + text
    return drawn


def _side(left: bool) -> dict[str, Any]:
    """Put a text left or right of a line."""
    return {"align": "right", "dx": -5} if left else {"align": "left", "dx": 5}


def size_chart(sizes: Sequence[tuple[int, int]]) -> Chart:
    """Draw how many clusters have which size, in bins that grow."""
    edges = [*_SIZE_EDGES, max(_SIZE_EDGES[-1], max(size for size, _ in sizes)) + 1]
    rows = []
    for low, high in pairwise(edges):
        name = f"{low}" if high == low + 1 else f"{low}–{high - 1}" if low < _SIZE_EDGES[-1] else f"{low:,}+"
        rows.append((name, sum(clusters for size, clusters in sizes if low <= size < high)))
    while rows[-1][1] == 0:
        rows.pop()
    title = "Sizes of the clusters"
    reading = "Each bar is the number of clusters of that many items; the first are singletons."
    drawn = svg_of(counted_bars(rows, "items in the cluster", "clusters"), title)
    return Chart(title, reading, drawn, Table.of(title, {"items": "text", "clusters": "count"}, rows))


def time_chart(stages: Sequence[StageRecord]) -> Chart:
    """Draw how long each stage took when it was made; paler where that was an earlier run."""
    rows = [(stage.name, stage.made_seconds, stage.reused) for stage in stages]
    reading = (
        "Each bar is the time that one stage took, in the order of the run; pale ones were made by an earlier run."
    )
    return _stage_chart("Seconds by stage", reading, rows, "seconds")


def memory_chart(stages: Sequence[StageRecord]) -> Chart | None:
    """Draw the peak memory of each stage's Python workers, where one was measured."""
    known = [(stage, stage.peak_worker_bytes) for stage in stages if stage.peak_worker_bytes is not None]
    rows = [(stage.name, peak / 2**20, stage.reused) for stage, peak in known]
    reading = "Each bar is the most that one Python worker held in that stage; stages of Spark alone have none."
    return _stage_chart("Peak memory by stage", reading, rows, "MiB") if rows else None


def _stage_chart(title: str, reading: str, rows: Sequence[tuple[str, float, bool]], unit: str) -> Chart:
    # One stage may come several times, such as rounds of a search: the place keeps them apart.
    table = pd.DataFrame(
        [(place, *row) for place, row in enumerate(rows)], columns=["place", "stage", "value", "reused"]
    )
    names = alt.Axis(labelLimit=112, labelExpr=f"{json.dumps(drawable([row[0] for row in rows]))}[datum.value]")
    y = alt.Y("place:O", title=None, axis=names)
    # Room for the numbers at the ends.
    x = alt.X("value:Q", title=unit, scale=alt.Scale(domain=[0, 1.15 * max(row[1] for row in rows) or 1]))
    bars = alt.Chart(table).mark_bar(color=SERIES[0]).encode(
        x=x, y=y, opacity=alt.condition("datum.reused", alt.value(FAINT), alt.value(1.0))
    )  # fmt: skip
    text = alt.Chart(table).mark_text(align="left", dx=4, color=SOFT).encode(
        x=x, y=y, text=alt.Text("value:Q", format=",.1f" if unit == "seconds" else ",.0f")
    )  # fmt: skip
    listed = Table.of(title, {"stage": "text", unit: "seconds"}, [row[:2] for row in rows])
    return Chart(title, reading, svg_of(bars + text, title, height=20 * len(table)), listed)
