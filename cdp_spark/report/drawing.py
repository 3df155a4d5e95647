"""Draw charts as SVG in the page's colours, with their numbers as tables."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import pandas as pd
import vl_convert
from markupsafe import Markup, escape

from cdp_spark.report.tables import Table

SERIES = ("#010101", "#020202", "#030303", "#040404", "#050505", "#060606")
MARK, INK, SOFT, LINE = "#0a0a0a", "#0b0b0b", "#0c0c0c", "#0d0d0d"
_VARIABLES = dict(zip(SERIES, (f"--c{n}" for n in range(1, 7)), strict=True))
_VARIABLES |= {MARK: "--mark", INK: "--ink", SOFT: "--soft", LINE: "--line"}
"""The page's style variable for each drawn colour, so that one drawing serves both themes."""
FAINT = 0.45
BELOW = alt.Legend(orient="bottom", labelLimit=0, columns=2)
NAMES = alt.Axis(labelLimit=112)
"""Axis of rows with names, such as models and stages."""
_WIDTH, _HEIGHT = 360, 180
"""Small enough to stay readable on a phone, which shrinks a chart by an eighth."""
_LEVEL = 6
"""Largest number of names that fit below an axis without slanting."""
_UNDRAWN = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd]")
"""Characters that are not drawn; also surrogate pairs, such as emoji, which Vega cuts apart and then fails."""
_TAG = re.compile(r"<[^<>]*>")
"""A tag; the text between tags is the user's and stays unchanged."""


@dataclass(frozen=True)
class Chart:
    """One drawing.

    Attributes
    ----------
    title, reading : str
        ``reading`` explains in one sentence how to read it.
    svg : Markup
    table : Table
        The same numbers.
    """

    title: str
    reading: str
    svg: Markup
    table: Table


def named(names: Sequence[str] | Mapping[str, Any], values: Sequence[Any]) -> alt.Scale:
    """Map names to values in order."""
    return alt.Scale(domain=list(names), range=list(values[: len(names)]))


def slant(names: Sequence[Any]) -> int:
    """Return the angle of the names below an axis, slanted where they would overlap."""
    return -40 if len(names) > _LEVEL else 0


def counted_bars(rows: Sequence[tuple[str, int]], x_title: str, y_title: str) -> alt.LayerChart:
    """Draw bars of counts with the numbers above."""
    table = pd.DataFrame(rows, columns=["name", "count"])
    x = alt.X("name:N", title=x_title, sort=None, axis=alt.Axis(labelAngle=slant(rows)))
    y = alt.Y("count:Q", title=y_title, axis=alt.Axis(tickCount=4, format="~s"))
    bars = alt.Chart(table).mark_bar(color=SERIES[0]).encode(x=x, y=y)
    text = alt.Chart(table).mark_text(dy=-7, color=SOFT).encode(x=x, y=y, text=alt.Text("count:Q", format=".3~s"))
    drawn: alt.LayerChart = bars + text
    return drawn


def side(left: bool) -> dict[str, Any]:
    """Put a text left or right of a line."""
    return {"align": "right", "dx": -5} if left else {"align": "left", "dx": 5}


def svg_of(chart: alt.LayerChart | alt.FacetChart, title: str, *, height: int = _HEIGHT) -> Markup:
    """Draw a chart with the page's fonts and colours."""
    axis = {
        "grid": False, "domainColor": LINE, "tickColor": LINE, "titleFontWeight": "normal", "labelColor": SOFT,
        "titleColor": SOFT, "labelFontSize": 12, "titleFontSize": 12, "labelFlush": False,
    }  # fmt: skip
    styled = chart.properties(width=_WIDTH, height=height, autosize={"type": "fit-x", "contains": "padding"}).configure(
        font="system-ui, sans-serif", background="transparent", axis=axis, view={"stroke": None},
        legend={"labelColor": SOFT, "labelFontSize": 12, "symbolStrokeWidth": 2, "symbolSize": 60},
        text={"fontSize": 12}, padding=8,
    )  # fmt: skip
    return _of_page(vl_convert.vegalite_to_svg(drawable(styled.to_dict())), title)


def drawable(spec: Any) -> Any:
    """Replace characters that cannot be drawn: a control character ends the process."""
    if isinstance(spec, dict):
        return {drawable(key): drawable(value) for key, value in spec.items()}
    if isinstance(spec, list):
        return [drawable(value) for value in spec]
    return _UNDRAWN.sub("\ufffd", spec) if isinstance(spec, str) else spec


def _of_page(svg: str, title: str) -> Markup:
    """Add a title for screen readers, unique ids, and the page's colours."""
    own = re.sub(r"\W+", "-", title.lower())

    def restyled(match: re.Match[str]) -> str:
        tag = re.sub(r'(id="|url\(#)([^")]+)', rf"\g<1>{own}-\2", match[0])
        tag = re.sub(r'"(#0[0-9a-f]{5})"', lambda colour: f'"var({_VARIABLES[colour[1]]})"', tag)
        # A chart is one picture; screen readers would read its marks as hundreds of numbers.
        return re.sub(r' aria-(?:label|roledescription)="[^"]*"| role="graphics-(?:symbol|object)"', "", tag)

    svg = _TAG.sub(restyled, svg)
    svg = svg.replace("<svg ", f'<svg role="img" aria-labelledby="{own}-name" ', 1)
    return Markup(svg.replace(">", f'><title id="{own}-name">{escape(title)}</title>', 1))
