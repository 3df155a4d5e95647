"""Draw the charts of the models: recall, hubs, and what the members confirm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import altair as alt
import pandas as pd

from cdp_spark.report.drawing import (
    BELOW,
    INK,
    LINE,
    MARK,
    NAMES,
    SERIES,
    Chart,
    counted_bars,
    named,
    slant,
    svg_of,
)
from cdp_spark.report.figures import Agreement, Hubs
from cdp_spark.report.tables import Table
from cdp_spark.runs.run_json import Recall


def recall_chart(recall: Mapping[str, Recall]) -> Chart | None:
    """Draw the recall of each approximate graph with its interval and the target."""
    searched = {model: each for model, each in recall.items() if each.method != "exact"}
    if not searched:
        return None
    rows = [(model, each.recall, each.low, each.high) for model, each in searched.items()]
    table = pd.DataFrame(rows, columns=["model", "recall", "low", "high"])
    target = next((each.target for each in searched.values() if each.target is not None), None)
    low = min([*table["low"], *([target] if target is not None else [])])
    scale = alt.Scale(domain=[low - 0.01, 1.0], nice=False)
    x = alt.X("low:Q", title="recall", scale=scale, axis=alt.Axis(tickCount=5))
    y = alt.Y("model:N", sort=None, title=None, axis=NAMES)
    spans = alt.Chart(table).mark_rule(color=SERIES[0], strokeWidth=3).encode(x=x, x2="high:Q", y=y)
    dots = alt.Chart(table).mark_point(color=SERIES[0], size=70, filled=True, opacity=1).encode(x="recall:Q", y=y)
    drawn = spans + dots
    reading = "Each dot is the share of true neighbours that a graph contains; the bar is its 95 % interval"
    if target is not None:
        at = alt.Chart(pd.DataFrame({"target": [target]}))
        drawn = drawn + at.mark_rule(color=MARK, strokeDash=[4, 3]).encode(x="target:Q")
        reading += f" and should lie right of the dashed target, {target:g}"
    title = "Recall of the KNN graphs"
    columns = {"model": "text", "recall": "metric", "from": "metric", "to": "metric"}
    return Chart(title, f"{reading}.", svg_of(drawn, title, height=34 * len(rows) + 20), Table.of(title, columns, rows))


def degree_chart(hubs: Sequence[Hubs]) -> Chart:
    """Draw the in-degrees of the first models' graphs, in bins that double."""
    shown = hubs[: len(SERIES)]
    rows = [(name, each.model, share) for each in shown for name, share in _degree_shares(each.counts)]
    names = sorted({name for name, _, _ in rows}, key=lambda name: int(name.split("–")[0]))
    table = pd.DataFrame(rows, columns=["lists", "model", "share"])
    models = [each.model for each in shown]
    colors = named(models, SERIES)
    x = alt.X("lists:N", title="lists that contain the item", sort=names, axis=alt.Axis(labelAngle=slant(names)))
    y = alt.Y("share:Q", title="share of the items", axis=alt.Axis(format=".0%", tickCount=4))
    color = alt.Color("model:N", title=None, scale=colors, legend=BELOW)
    lines = alt.Chart(table).mark_line(strokeWidth=2, point={"size": 28, "filled": True}).encode(x=x, y=y, color=color)
    title = "How many lists contain an item"
    reading = (
        "Each line is one model. On the far right are hubs, which many lists contain; on the left, items in no list."
    )
    columns = {"lists": "text", "model": "text", "share of the items": "share"}
    return Chart(title, reading, svg_of(alt.layer(lines), title, height=220), Table.of(title, columns, rows))


def _degree_shares(counts: Sequence[tuple[int, int]]) -> list[tuple[str, float]]:
    total = sum(items for _, items in counts) or 1
    last = max((degree for degree, _ in counts), default=0).bit_length()
    shares = [0.0] * (last + 1)
    for degree, items in counts:
        shares[degree.bit_length()] += items / total
    bounds = [(1 << bits >> 1, (1 << bits) - 1) for bits in range(last + 1)]
    return [
        (f"{low}" if low == high else f"{low}–{high}", share) for (low, high), share in zip(bounds, shares, strict=True)
    ]


def votes_chart(agreement: Agreement) -> Chart:
    """Draw the base's pairs by votes and, with labels, the share that is right."""
    rows = [(str(count.votes), count.pairs, count.right) for count in agreement.votes]
    title = "Pairs by the number of members that confirm them"
    reading = "Each bar counts the base's pairs that this number of members confirm"
    columns = {"members": "text", "pairs": "count"} | ({"right": "share"} if agreement.labelled else {})
    drawn = counted_bars([(name, pairs) for name, pairs, _ in rows], "members that confirm", "pairs")
    if agreement.labelled:
        table = pd.DataFrame([(name, pairs, f"{right:.0%} right") for name, pairs, right in rows if right is not None],
                             columns=["name", "count", "text"])  # fmt: skip
        text = (
            alt.Chart(table)
            .mark_text(dy=-22, color=INK)
            .encode(x=alt.X("name:N", sort=None), y="count:Q", text="text:N")
        )
        drawn = drawn + text
        reading += "; above it is the share of right ones among those with labels"
    listed = Table.of(title, columns, [row[: len(columns)] for row in rows])
    return Chart(title, f"{reading}.", svg_of(drawn, title, height=220), listed)


def members_chart(agreement: Agreement) -> Chart:
    """Draw the share of right pairs that each member confirms, and does not confirm."""
    words = {"confirmed": "right", "not confirmed": "right_otherwise"}
    rows = [(each.model, word, getattr(each, name)) for each in agreement.members for word, name in words.items()]
    table = pd.DataFrame(rows, columns=["member", "pairs", "right"]).dropna()
    y = alt.Y("member:N", sort=None, title=None, axis=NAMES)
    x = alt.X(
        "right:Q",
        title="pairs of one identity",
        scale=alt.Scale(domain=[0, 1]),
        axis=alt.Axis(format=".0%", tickCount=5),
    )
    span = alt.Chart(table).mark_line(color=LINE, strokeWidth=4).encode(x=x, y=y, detail="member:N")
    dots = alt.Chart(table).mark_point(size=90, filled=True, opacity=1).encode(
        x=x, y=y, color=alt.Color("pairs:N", title=None, scale=named(words, SERIES), legend=BELOW),
        shape=alt.Shape("pairs:N", title=None, legend=BELOW,
                        scale=alt.Scale(domain=list(words), range=["circle", "diamond"])),
    )  # fmt: skip
    title = "What each member's vote is worth"
    reading = "The further apart a member's two marks are, the better it separates right pairs from wrong ones."
    columns = {"member": "text", "pairs": "text", "right": "share"}
    drawn = svg_of(span + dots, title, height=34 * len(agreement.members) + 20)
    return Chart(title, reading, drawn, Table.of(title, columns, rows))
