"""Figures of a run -> the HTML of its report: charts as SVG, pictures inside, nothing from a network."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from importlib.resources import files
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import altair as alt
import jinja2
import pandas as pd
import vl_convert
import yaml
from markupsafe import Markup

from cdp_spark.stages.summaries import SCORE_BINS

if TYPE_CHECKING:
    from cdp_spark.tasks.report import Figures

_BAR, _MARK, _FAINT = "#4c7fb8", "#c8553d", 0.4
_WIDTH, _HEIGHT = 460, 190
_WIDE = 920
_LINES = [_BAR, "#6aa67c", "#b0b7bf"]
_RIGHT = 0.75
_BELOW = alt.Legend(orient="bottom", labelLimit=0)
_SIZE_EDGES = (1, 2, 3, 4, 6, 11, 21, 51, 101, 501)


def page(run: str, figures: Figures) -> str:
    """Render the report.

    Parameters
    ----------
    run : str
        Output folder, as the reader knows it.
    figures : Figures
    """
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["n"] = lambda number: "–" if number is None else f"{number:,}"
    environment.filters["f"] = lambda number: "–" if number is None else f"{number:.4f}"
    environment.filters["bytes"] = lambda number: "–" if number is None else f"{number / 2**20:,.0f} MiB"
    record = figures.record
    return environment.from_string(_text("report.html")).render(
        style=Markup(_text("report.css")),
        run=run,
        record=record,
        when=datetime.datetime.fromtimestamp(record["finished"], datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        models=list(record["counts"]["rows"]),
        tiles=_tiles(record),
        scores=score_chart(figures.scores, record["threshold"]) if figures.scores else None,
        sizes=size_chart(figures.sizes) if figures.sizes else None,
        sweep=figures.sweep,
        sweep_chart=sweep_chart(figures.sweep, record["threshold"]) if figures.sweep else None,
        times=time_chart(record["stages"]),
        quarantined=[
            (model, reason, rows)
            for model, reasons in record["counts"]["quarantined"].items()
            for reason, rows in reasons.items()
        ],
        largest=figures.largest,
        uncertain=figures.uncertain,
        config=yaml.safe_dump(record["config"], sort_keys=False),
    )


def _text(name: str) -> str:
    return files("cdp_spark.tasks").joinpath(name).read_text(encoding="utf-8")


def _tiles(record: Any) -> list[tuple[str, str]]:
    """The numbers that one looks for first."""
    counts, metrics = record["counts"], record["metrics"]
    statuses, items = counts["statuses"], counts["items"]
    share = statuses.get("clustered", 0) / items if items else 0.0
    tiles = [
        ("items", f"{items:,}"),
        ("clusters", f"{counts['clusters']:,}"),
        ("together with others", f"{share:.1%}"),
        ("largest cluster", f"{counts['largest']:,}"),
        ("no cluster", f"{statuses.get('discarded', 0) + statuses.get('unlabelled', 0):,}"),
    ]
    if metrics:
        kept = metrics["kept"]
        tiles += [
            (name, "–" if kept[key] is None else f"{kept[key]:.3f}")
            for name, key in (("pairwise F", "pairwise_f"), ("BCubed F", "bcubed_f"))
        ]
    return tiles


def score_chart(scores: Sequence[tuple[int, int]], threshold: float) -> Markup:
    """Draw how many pairs have which score, and where the threshold cuts."""
    rows = [(b / SCORE_BINS, (b + 1) / SCORE_BINS, count, (b + 0.5) / SCORE_BINS > threshold) for b, count in scores]
    table = pd.DataFrame(rows, columns=["from", "to", "pairs", "kept"])
    ticks = alt.Axis(format=".1f", values=[tick / 10 for tick in range(-10, 11)])
    bars = alt.Chart(table).mark_bar(color=_BAR).encode(
        x=alt.X("from:Q", bin="binned", title="score of the pair", axis=ticks), x2="to:Q",
        y=alt.Y("pairs:Q", title="pairs", axis=alt.Axis(tickCount=4, format="~s")),
        opacity=alt.condition("datum.kept", alt.value(1.0), alt.value(_FAINT)),
    )  # fmt: skip
    cut = pd.DataFrame({"threshold": [threshold], "text": [f"threshold {threshold:g}"]})
    line = alt.Chart(cut).mark_rule(color=_MARK, strokeWidth=2).encode(x="threshold:Q")
    name = alt.Chart(cut).mark_text(color=_MARK, y=8, **_beside(threshold)).encode(x="threshold:Q", text="text:N")
    return _svg(bars + line + name)


def sweep_chart(sweep: Mapping[str, Any], current: float) -> Markup:
    """Draw what each threshold would give, with the best and the current one marked."""
    judged = any(row["pairwise_f"] is not None for row in sweep["rows"])
    lines = {"pairwise F": "pairwise_f", "BCubed F": "bcubed_f"} if judged else {}
    lines |= {"share together with others": "clustered_share"}
    rows = [(row["threshold"], name, row[key]) for row in sweep["rows"] for name, key in lines.items()]
    table = pd.DataFrame(rows, columns=["threshold", "figure", "value"]).dropna()
    curves = alt.Chart(table).mark_line(strokeWidth=2).encode(
        x=alt.X("threshold:Q", title="threshold", scale=alt.Scale(zero=False), axis=alt.Axis(labelOverlap=True)),
        y=alt.Y("value:Q", title=None),
        color=alt.Color("figure:N", title=None, sort=list(lines), legend=_BELOW, scale=alt.Scale(range=_LINES)),
    )  # fmt: skip
    at = [("current", current)] + ([("best", sweep["best"])] if sweep["best"] is not None else [])
    marks = pd.DataFrame([(f"{name} {value:g}", value, 8 + 12 * i) for i, (name, value) in enumerate(at)],
                         columns=["text", "threshold", "y"])  # fmt: skip
    rule = alt.Chart(marks).mark_rule(color=_MARK, strokeDash=[4, 3]).encode(x="threshold:Q")
    text = alt.Chart(marks).mark_text(color=_MARK, **_beside(current)).encode(
        x="threshold:Q", y=alt.Y("y:Q", scale=None), text="text:N"
    )  # fmt: skip
    return _svg(curves + rule + text, width=_WIDE)


def _beside(threshold: float) -> dict[str, Any]:
    """Put a text on that side of a line where there is room."""
    return {"align": "right", "dx": -5} if threshold > _RIGHT else {"align": "left", "dx": 5}


def size_chart(sizes: Sequence[tuple[int, int]]) -> Markup:
    """Draw how many clusters have which size, in bins that grow."""
    edges = [*_SIZE_EDGES, max(_SIZE_EDGES[-1], max(size for size, _ in sizes)) + 1]
    rows = []
    for low, high in pairwise(edges):
        name = f"{low}" if high == low + 1 else f"{low}–{high - 1}" if low < _SIZE_EDGES[-1] else f"{low:,}+"
        rows.append((name, sum(clusters for size, clusters in sizes if low <= size < high)))
    while rows[-1][1] == 0:
        rows.pop()
    table = pd.DataFrame(rows, columns=["size", "clusters"])
    x = alt.X("size:N", title="items in the cluster", sort=None, axis=alt.Axis(labelAngle=0))
    bars = alt.Chart(table).mark_bar(color=_BAR).encode(
        x=x, y=alt.Y("clusters:Q", title="clusters", axis=alt.Axis(tickCount=4, format="~s"))
    )  # fmt: skip
    text = alt.Chart(table).mark_text(dy=-6).encode(x=x, y="clusters:Q", text=alt.Text("clusters:Q", format=","))
    return _svg(bars + text)


def time_chart(stages: Sequence[dict[str, Any]]) -> Markup:
    """Draw how long each stage took when it was made, in the order of the run; paler where that was an earlier run."""
    rows = [(stage["name"], stage["made_seconds"], stage["reused"]) for stage in stages]
    table = pd.DataFrame(rows, columns=["stage", "seconds", "reused"])
    y = alt.Y("stage:N", sort=None, title=None, axis=alt.Axis(labelLimit=180))
    bars = alt.Chart(table).mark_bar(color=_BAR).encode(
        x=alt.X("seconds:Q", title="seconds", axis=alt.Axis(tickCount=5)), y=y,
        opacity=alt.condition("datum.reused", alt.value(_FAINT), alt.value(1.0)),
    )  # fmt: skip
    text = alt.Chart(table).mark_text(align="left", dx=4).encode(
        x="seconds:Q", y=y, text=alt.Text("seconds:Q", format=".1f")
    )  # fmt: skip
    return _svg(bars + text, height=18 * len(table))


def _svg(chart: alt.LayerChart, *, width: int = _WIDTH, height: int = _HEIGHT) -> Markup:
    quiet = {"grid": False, "domainColor": "#8a94a0", "tickColor": "#8a94a0", "titleFontWeight": "normal"}
    styled = chart.properties(width=width, height=height).configure(
        font="system-ui, sans-serif", background="transparent", axis=quiet, view={"stroke": None}
    )
    svg: str = vl_convert.vegalite_to_svg(styled.to_dict())
    # A chart shrinks with a narrow page; the colours of its text come from the page's style.
    return Markup(svg.replace("<svg ", '<svg role="img" ', 1))
