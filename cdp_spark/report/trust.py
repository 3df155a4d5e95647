"""The record of a run -> how its shift was chosen: agreement of halves without labels, items alike when trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import altair as alt
import pandas as pd

from cdp_spark.report.drawing import BELOW, MARK, SERIES, SOFT, Chart, named, side, svg_of
from cdp_spark.report.tables import Table
from cdp_spark.runs.run_json import WithoutLabels
from cdp_spark.unlabelled.kernels.shift import LEAST_RECALL, TRUSTED
from cdp_spark.unlabelled.trained_shift import GAIN

_AGREEMENT, _SCORE = "agreement", "score"
_MIDDLE = -3.0
_MIDDLE_OF_TRAINED = -2.0


def agreement_chart(way: WithoutLabels) -> Chart | None:
    """Draw the agreement of clusterings by two halves at each shift, with the chosen shift; None without a curve."""
    seen = [point for point in way.curve if point.looked_at]
    rows = [
        (point.shift, name, value)
        for point in seen
        for name, value in ((_AGREEMENT, point.agreement), (_SCORE, point.score))
    ]
    if not rows:
        return None
    table = pd.DataFrame(rows, columns=["shift", "figure", "value"])
    names = (_AGREEMENT, _SCORE)
    x = alt.X("shift:Q", title="shift of the log odds", scale=alt.Scale(domain=_span(way)))
    lines = alt.Chart(table).mark_line(strokeWidth=2, point=True).encode(
        x=x, y=alt.Y("value:Q", title=None, scale=alt.Scale(domain=[min(0.0, table["value"].min()), 1])),
        color=alt.Color("figure:N", title=None, legend=BELOW, scale=named(names, SERIES)),
        strokeDash=alt.StrokeDash("figure:N", title=None, legend=BELOW, scale=named(names, ([1, 0], [6, 3]))),
    )  # fmt: skip
    chosen = _chosen(way.shift, x, _MIDDLE)
    low = alt.Chart(pd.DataFrame({"value": [TRUSTED]})).mark_rule(color=SOFT, strokeDash=[4, 3]).encode(y="value:Q")
    title = "Agreement by shift"
    reading = (
        f"At each shift, the items are clustered twice, by two halves of the {_halves(way)}, whose agreement is shown. "
        "The score, which chooses the shift, also includes their agreement with the whole. Below the dashed line, "
        f"{TRUSTED:g}, look at some clusters before you trust any."
    )
    cells = [(f"{point.shift:g}", point.agreement, point.score) for point in seen]
    listed = Table.of(title, {"shift": "text", "agreement": "score", "score": "score"}, cells)
    return Chart(title, reading, svg_of(alt.layer(lines, low, *chosen), title, height=220), listed)


def alike_chart(mediator: Mapping[str, Any] | None) -> Chart | None:
    """Draw the items that halves of the committee give alike at each shift of a trained mediator; None without any."""
    alike = (mediator or {}).get("alike")
    if mediator is None or not alike:
        return None
    table = pd.DataFrame(sorted((float(shift), count) for shift, count in alike.items()), columns=["shift", "items"])
    x = alt.X("shift:Q", title="shift of the log odds")
    line = alt.Chart(table).mark_line(strokeWidth=2, point=True).encode(x=x, y=alt.Y("items:Q", title="items alike"))
    chosen = _chosen(float(mediator["shift"]), x, _MIDDLE_OF_TRAINED)
    title = "Items alike by shift"
    reading = (
        "A mediator learns how many pairs are true in its own data; elsewhere its log odds are off by about a number. "
        "At each shift, the items are clustered by two halves of the committee. The shift with most items in clusters "
        f"that both halves give alike is taken if it gains {GAIN:.0%}, of {mediator['compared_items']:,} items that "
        "were compared. At 0 the mediator is as it was trained."
    )
    cells = [(f"{shift:g}", round(items)) for shift, items in table.itertuples(index=False)]
    listed = Table.of(title, {"shift": "text", "items alike": "count"}, cells)
    return Chart(title, reading, svg_of(alt.layer(line, *chosen), title, height=220), listed)


def _chosen(shift: float, x: alt.X, middle: float) -> tuple[alt.Chart, alt.Chart]:
    """Mark the chosen shift: a rule, and its text on the side with more room."""
    mark = alt.Chart(pd.DataFrame({"shift": [shift], "text": [f"chosen {shift:g}"]}))
    text = mark.mark_text(color=MARK, y=8, **side(shift > middle)).encode(x=x, text="text:N")
    return mark.mark_rule(color=MARK, strokeWidth=2).encode(x=x), text


def _halves(way: WithoutLabels) -> str:
    return "coordinates of every model" if way.halves == "coordinates" else "models"


def _span(way: WithoutLabels) -> list[float]:
    shifts = [point.shift for point in way.curve]
    return [min(shifts), max(shifts)]


def trust_table(way: WithoutLabels) -> Table:
    """List the figures of trust."""
    halves = f"of the {_halves(way)}: {_strengths(way)}"
    recall = way.predicted_recall
    low = recall is not None and recall < LEAST_RECALL
    rows = [
        (
            "agreement of the halves",
            f"{way.agreement:.3f}{'' if way.agreement >= TRUSTED else f', below {TRUSTED:g}'}",
        ),
        ("precision predicted", f"{_figure(way.predicted_precision)}, before self-training"),
        ("recall predicted", f"{_figure(recall)}, before self-training{f', below {LEAST_RECALL:g}' if low else ''}"),
        ("shift of the log odds", f"{way.shift:g}"),
        ("self-training", "yes" if way.self_trained else "no: there was too little to learn from"),
        ("halves compared", halves),
    ]
    if way.granularity:
        rows.insert(3, ("granularity", f"{way.granularity:+g}: {'coarser' if way.granularity > 0 else 'finer'}"))
    if way.repeated_items:
        rows.append(("items that repeat another", f"{way.repeated_items:,}, identical in all models"))
    rows += [(f"model {name}", f"identical to {other}: counts once") for name, other in way.same_as.items()]
    return Table.of("How far to trust these clusters", {"figure": "text", "value": "text"}, rows)


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _strengths(way: WithoutLabels) -> str:
    """Describe the strength of the halves of each split.

    >>> _strengths(WithoutLabels(strengths=[[0.5, 0.625], [0.5, 0.5]]))
    '.50 and .62; .50 and .50 of the pairs of the whole'
    """
    if not way.strengths:
        return "none"
    each = [" and ".join(f"{half:.2f}".lstrip("0") for half in split) for split in way.strengths]
    return f"{'; '.join(each)} of the pairs of the whole"
