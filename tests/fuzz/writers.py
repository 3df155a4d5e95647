"""The writers of the report, SVG and HTML: whatever ids, labels and names are, they stay text."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

from hypothesis import strategies as st

from cdp_spark.report import charts, model_charts
from cdp_spark.report.figures import (
    DecidingPair,
    Figures,
    Hubs,
    MergedCluster,
    ShownCluster,
    SplitIdentity,
)
from cdp_spark.report.page import page
from tests.fuzz.readers import Reader, sound_texts
from tests.report import made_up


class _Seen(HTMLParser):
    """Counts elements; collects attributes and the text of scripts."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: set[str] = set()
        self.links: set[str] = set()
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes |= {name for name, _ in attrs}
        self.links |= {str(value) for name, value in attrs if name in ("href", "src", "xlink:href", "action")}


def hold(html: str, known: _Seen, *, counts: tuple[str, ...] = ()) -> None:
    """Compare with what harmless text gives: no other element, attribute or link, and as many of some."""
    html.encode()
    seen = _Seen(html)
    assert set(seen.tags) <= set(known.tags), set(seen.tags) - set(known.tags)
    assert seen.attributes <= known.attributes, seen.attributes - known.attributes
    assert all(link.startswith(("#", "data:image/")) for link in seen.links)
    assert {tag: seen.tags[tag] for tag in counts} == {tag: known.tags[tag] for tag in counts}


def figures_of(given: list[str]) -> Figures:
    """Put texts wherever the user's own may come: ids, labels, models, reasons, warnings, paths."""
    a, b, c, model = given
    whole = made_up.figures()
    plain = made_up.record()
    stage = {"name": f"knn/{model}", "rows": 3, "made_seconds": 0.5, "written_bytes": 9}
    record = made_up.record(
        warnings=[a, b],
        config={"output": c, "consensus": {"strategy": "mediator"}, "input": {"base": a}},
        counts={**plain.counts.model_dump(), "rows": {model: 3, "x": 3}, "quarantined": {model: {a: 12}}},
        recall={model: {"method": "ivf", "recall": 0.9, "low": 0.8, "high": 1.0, "target": 0.95}},
        dimensions={model: 64},
        stages=[stage, *plain.stages[:2]],
        components_engine={"components": a, "why": b},
    )
    return replace(
        whole, record=record, largest=[ShownCluster(0, 3, "3 items", [[a, b, c]])], uncertain=[], nearly_joined=[],
        other_labels=frozenset([a]), pictures={a: made_up.picture(3)}, suspects=whole.suspects[:1],
        pairs=[DecidingPair(a, b, 0.5, True, (2, 3), (c, a))], split=[SplitIdentity(a, 4, 2, 2, 0)],
        merged=[MergedCluster(0, 4, 2, 3, b)], hubs=[Hubs.of(model, [(0, 4), (9, 2)], sampled=False)],
    )  # fmt: skip


def write_page(given: list[str], place: Path) -> None:
    hold(
        page(given[2], figures_of(given)),
        _Seen(page("run", figures_of(["a", "b", "c", "model"]))),
        counts=("script", "style", "h1", "svg"),
    )


def drawn(model: str) -> list[str]:
    figures = figures_of(["a", "b", "c", model])
    recall = model_charts.recall_chart(figures.record.recall)
    assert recall is not None
    return [
        str(recall.svg),
        str(model_charts.degree_chart(figures.hubs).svg),
        str(charts.time_chart(figures.record.stages).svg),
    ]


def write_drawings(model: str, place: Path) -> None:
    for svg, plain in zip(drawn(model), plain_drawings(), strict=True):
        hold(svg, plain, counts=("svg", "title"))


@cache
def plain_drawings() -> list[_Seen]:
    return [_Seen(svg) for svg in drawn("model")]


WRITERS = {
    "SVG": Reader(sound_texts, write_drawings, at_once=10),
    "HTML": Reader(st.lists(sound_texts, min_size=4, max_size=4), write_page, at_once=10),
}
