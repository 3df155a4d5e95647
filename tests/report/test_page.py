"""The page as text: escaped, small, without a network, with names for those who do not see it."""

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import pytest

pytest.importorskip("altair", reason="the extra report is not installed")

from cdp_spark.report.charts import _marks
from cdp_spark.report.figures import Figures, ShownCluster
from cdp_spark.report.page import _text, page
from tests.report import made_up

VOID = {"meta", "link", "img", "input", "br", "wbr", "path", "line", "rect"}


class Outline(HTMLParser):
    """Tags in order, and those that were opened and not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def all(self, *names: str):
        return [(tag, attributes) for tag, attributes in self.tags if tag in names]


@pytest.fixture(scope="module")
def full():
    return page("demo", made_up.figures())


@pytest.fixture(scope="module", params=["full", "bare"])
def any_page(request):
    return page("demo", getattr(made_up, "figures" if request.param == "full" else "bare")())


def test_ids_and_labels_show_as_text(full):
    outline = Outline(full)
    assert not outline.open
    assert [attributes.get("type") for _, attributes in outline.all("script")] == ["application/json", None]
    assert all(attributes.get("src", "").startswith("data:image/") for _, attributes in outline.all("img"))
    assert not any(name.startswith("on") for _, attributes in outline.tags for name in attributes)
    assert "&lt;script&gt;alert(" in full


def test_nothing_leads_outside(any_page):
    for _, attributes in Outline(any_page).tags:
        for name in ("src", "href", "srcset", "action", "data"):
            assert (attributes.get(name) or "#").startswith(("#", "data:image/"))
    # Names of the SVG namespaces are no addresses to be fetched.
    assert set(re.findall(r"https?://[^\"' )<]+", any_page)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    assert "@import" not in any_page


def policy_of(outline: Outline) -> str:
    return next(attributes["content"] for _, attributes in outline.all("meta") if attributes.get("http-equiv"))


def test_the_browser_may_run_our_script_and_no_other(full):
    policy = policy_of(Outline(full))
    text = re.search(r"<script>(.*?)</script>", full, re.DOTALL).group(1)
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    assert policy.startswith("default-src 'none';")
    assert policy.endswith(f"script-src 'sha256-{digest}'")


@pytest.mark.parametrize("rows", [0, 1])
def test_without_a_sweep_of_several_thresholds_there_is_no_script_and_no_slider(rows):
    sweep = {**made_up.sweep(), "rows": made_up.sweep()["rows"][:rows]} if rows else None
    outline = Outline(page("demo", replace(made_up.bare(), sweep=sweep)))
    assert not outline.all("script", "input")
    assert policy_of(outline).endswith("script-src 'none'")


def test_the_slider_has_every_step_of_the_sweep(full):
    data = json.loads(re.search(r'id="what-if-data">(.*?)</script>', full, re.DOTALL).group(1))
    slider = next(attributes for _, attributes in Outline(full).all("input"))
    assert (slider["type"], slider["max"]) == ("range", str(len(data["steps"]) - 1))
    assert [step["threshold"] for step in data["steps"]] == [f"{0.8 + 0.02 * n:g}" for n in range(10)]


def test_headings_go_down_one_level_at_a_time(any_page):
    levels = [int(tag[1]) for tag, _ in Outline(any_page).tags if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(below <= above + 1 for above, below in pairwise(levels))


def test_tables_have_captions_and_their_heads_a_scope(any_page):
    outline = Outline(any_page)
    assert len(outline.all("table")) == len(outline.all("caption")) >= 8
    assert all(attributes.get("scope") in ("row", "col") for _, attributes in outline.all("th"))
    # What scrolls can be reached and has a name.
    regions = [attributes for _, attributes in outline.all("div") if attributes.get("role") == "region"]
    assert all(region["tabindex"] == "0" and region["aria-label"] for region in regions)


def test_charts_have_names_a_sentence_and_their_numbers(any_page):
    outline = Outline(any_page)
    drawings, figures = outline.all("svg"), outline.all("figure")
    assert len(drawings) == len(figures) == len(outline.all("figcaption")) >= 4
    ids = [attributes["id"] for _, attributes in outline.tags if attributes.get("id")]
    assert len(set(ids)) == len(ids)
    for _, attributes in drawings:
        assert attributes["role"] == "img"
        assert attributes["aria-labelledby"] in ids
    for sentence in re.findall(r"<figcaption>(.*?)</figcaption>", any_page):
        assert sentence.endswith(".")


def test_charts_take_all_colours_from_the_page(any_page):
    for drawing in re.findall(r"<svg.*?</svg>", any_page, re.DOTALL):
        colours = set(re.findall(r'(?:fill|stroke)="([^"]*)"', drawing))
        assert all(colour in ("none", "transparent") or colour.startswith("var(--") for colour in colours), colours


@pytest.mark.parametrize(
    ("best", "current", "wanted"),
    [
        (0.6, 0.5, [("current", 0.5, True), ("best", 0.6, False)]),
        (0.22, 0.95, [("best", 0.22, False), ("current", 0.95, True)]),
        (0.5, 0.5, [("current and best", 0.5, True)]),
        (None, 0.1, []),
    ],
)
def test_names_of_marked_thresholds_stand_where_there_is_room(best, current, wanted):
    assert _marks(best, current, (0.2, 1.0)) == wanted


def luminance(colour: str) -> float:
    whole = colour.lstrip("#") if len(colour) == 7 else "".join(2 * sign for sign in colour.lstrip("#"))
    channels = [int(whole[start : start + 2], 16) / 255 for start in (0, 2, 4)]
    linear = [each / 12.92 if each <= 0.03928 else ((each + 0.055) / 1.055) ** 2.4 for each in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_text_and_marks_stand_out_in_both_themes(theme):
    blocks = re.findall(r":root \{(.*?)\}", _text("page.css"), re.DOTALL)
    colours = dict(re.findall(r"--(\w+): (#\w+);", blocks[theme]))
    for behind in ("page", "card"):
        for text in ("ink", "soft", "mark"):
            assert contrast(colours[text], colours[behind]) >= 4.5, text
        for mark in ("c1", "c2", "c3", "c4", "c5", "c6", "focus"):
            assert contrast(colours[mark], colours[behind]) >= 3, mark


def test_the_most_that_is_shown_is_under_five_megabytes():
    ids = [f"{n:04d}" + "x" * 2_000 for n in range(400)]
    shown = [ShownCluster(n, 600, "600 items", [ids[12 * n : 12 * n + 12]]) for n in range(12)]
    sweep = made_up.sweep()
    many = [{**sweep["rows"][0], "threshold": n / 1000} for n in range(1000)]
    figures = replace(
        made_up.figures(), largest=shown, uncertain=shown, sweep={**sweep, "rows": many},
        pictures=dict.fromkeys(ids, "data:image/webp;base64," + "A" * 4_500),
    )  # fmt: skip
    assert len(page("demo", figures).encode()) < 5_000_000


def test_a_run_of_nothing_has_a_page():
    counts = made_up.record().counts.model_dump() | {"items": 0, "clusters": 0, "largest": 0, "statuses": {}}
    text = page("empty", Figures(made_up.record(labelled=False, counts=counts)))
    assert not Outline(text).open
    assert "There is nothing to look at" in text


def test_a_run_without_a_threshold_speaks_of_none():
    text = page("demo", made_up.without_threshold())
    assert "learned, no threshold" in text
    assert "even odds" in text
    assert "The surest items" in text
    assert "Clusters nearly joined" in text
    for words in ("above the threshold", "barely above", "Deciding pairs", "threshold 0.5"):
        assert words not in text
    assert "The surest items" not in page("demo", made_up.figures())
