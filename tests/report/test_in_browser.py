"""The page in a real browser: silent, alone with itself, in both themes, on a phone, and its slider moves."""

import os

import pytest

pytest.importorskip("altair", reason="the extra report is not installed")

from pathlib import Path

from cdp_spark.report.page import page
from tests import browser
from tests.report import made_up

pytestmark = [
    pytest.mark.chromium,
    pytest.mark.skipif(browser.binary() is None, reason=f"no browser: none of {', '.join(browser.BINARIES)} is there"),
]
KEPT = os.environ.get("CDP_SCREENSHOTS")
"""Folder for pictures of what was tested; default: a temporary one."""


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    for name in ("figures", "bare"):
        (folder / f"{name}.html").write_text(page("demo", getattr(made_up, name)()), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    with browser.chromium(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


WAYS = pytest.mark.parametrize(
    ("width", "dark"), [(1100, False), (1100, True), (360, False), (360, True)],
    ids=["desk, light", "desk, dark", "phone, light", "phone, dark"],
)  # fmt: skip


@WAYS
@pytest.mark.parametrize("name", ["figures", "bare"])
def test_it_is_silent_asks_for_nothing_and_does_not_scroll_sideways(tab, written, tmp_path, name, width, dark):
    tab.complaints.clear()
    tab.requests.clear()
    tab.open(written / f"{name}.html", width=width, dark=dark)
    assert tab.complaints == []
    assert tab.requests == [(written / f"{name}.html").as_uri()]
    assert tab.value("innerWidth") == width
    assert tab.value("document.documentElement.scrollWidth") == width
    picture = Path(KEPT or tmp_path) / f"{name}-{width}-{'dark' if dark else 'light'}.png"
    tab.screenshot(picture)
    assert picture.stat().st_size > 50_000


@WAYS
def test_every_chart_has_marks_that_can_be_seen(tab, written, width, dark):
    tab.open(written / "figures.html", width=width, dark=dark)
    script = """[...document.querySelectorAll("figure svg")].map(svg => {
        const behind = getComputedStyle(svg.closest(".card")).backgroundColor;
        const seen = [...svg.querySelectorAll("[class*=role-mark] > *")].filter(mark => {
            const style = getComputedStyle(mark), box = mark.getBoundingClientRect();
            const colours = [style.fill, style.stroke].filter(colour => colour !== "none" && colour !== behind);
            return box.width + box.height > 0 && style.opacity > 0 && colours.length > 0;
        });
        return svg.querySelector("title").textContent + ": " + seen.length;
    })"""
    marks = dict(line.rsplit(": ", 1) for line in tab.value(script))
    assert len(marks) == 10
    assert all(int(count) >= 3 for count in marks.values()), marks


def test_the_theme_is_that_of_the_reader(tab, written):
    colours = []
    for dark in (False, True):
        tab.open(written / "figures.html", width=1100, dark=dark)
        colours.append(tab.value("getComputedStyle(document.body).backgroundColor"))
        bar = tab.value('getComputedStyle(document.querySelector("svg .mark-rect path")).fill')
        assert bar == tab.value(
            '(() => { const probe = document.createElement("i"); probe.style.color = "var(--c1)";'
            "document.body.append(probe); return getComputedStyle(probe).color; })()"
        )
    assert colours[0] != colours[1]


SAID = """[document.getElementById("threshold-now").textContent,
    ...[...document.querySelectorAll("#what-if .figure, #what-if .change, #what-if .step")].map(e => e.textContent)]"""
CHOSEN = '[...document.querySelectorAll(".steps_marks line")].findIndex(line => getComputedStyle(line).opacity === "1")'


def test_arrow_keys_move_the_slider_and_the_figures_with_it(tab, written):
    tab.open(written / "figures.html", width=1100)
    before = tab.value(SAID)
    assert before[0] == "0.86"
    assert tab.value(CHOSEN) == 3
    tab.value('document.getElementById("threshold").focus()')
    tab.press("ArrowRight")
    after = tab.value(SAID)
    assert after[0] == after[-1] == "0.88"
    assert after[1:-1] != before[1:-1]
    assert after[1] == "800"
    assert tab.value(CHOSEN) == 4
    assert tab.value('document.getElementById("threshold").getAttribute("aria-valuetext")').startswith(
        "0.88: clusters 800"
    )
    assert tab.complaints == []


def test_the_address_may_name_a_threshold(tab, written):
    tab.open(written / "figures.html", width=360, fragment="#threshold=0.951")
    assert tab.value(SAID)[0] == "0.96"
    tab.open(written / "figures.html", width=360, fragment="#threshold=nonsense")
    assert tab.value(SAID)[0] == "0.86"


def test_the_focus_can_be_seen_wherever_the_tab_key_leads(tab, written):
    tab.open(written / "figures.html", width=1100)
    reached = []
    for _ in range(80):
        tab.press("Tab")
        if reached and tab.value("document.activeElement === document.body"):
            break  # once around
        found = tab.value("""(() => { const at = document.activeElement, style = getComputedStyle(at);
            return [at.tagName + (at.id || at.getAttribute("aria-label") || at.textContent), style.outlineStyle,
                parseFloat(style.outlineWidth)]; })()""")
        reached.append(found[0])
        assert found[1] != "none", found
        assert found[2] >= 2, found
    assert len(set(reached)) > 20
    assert any("threshold" in name for name in reached)


def test_without_the_script_the_page_is_whole_but_for_the_slider(tab, written):
    tab.ask("Emulation.setScriptExecutionDisabled", value=True)
    try:
        tab.open(written / "figures.html", width=1100)
        assert tab.value('getComputedStyle(document.getElementById("what-if")).display') == "none"
        assert tab.value('document.querySelectorAll("table").length') > 10
    finally:
        tab.ask("Emulation.setScriptExecutionDisabled", value=False)
