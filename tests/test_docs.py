"""README and docs: commands parse, Python compiles, links lead somewhere, pages made from the code have all of it."""

import importlib
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from cdp_spark.base import errors
from cdp_spark.cli import COMMANDS, _parser
from cdp_spark.config.whole import RunConfig, TrainConfig

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
sys.path.insert(0, str(DOCS))
made, history = importlib.import_module("reference_pages"), importlib.import_module("history_page")
sys.path.remove(str(DOCS))

GENERATED = [DOCS / "reference" / name for name in made.PAGES]
PAGES = [
    ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "benchmarks/README.md", "docker/README.md")
]
PAGES += [page for page in sorted(DOCS.rglob("*.md")) if "_build" not in page.parts and page not in GENERATED]
MOST_LINES = 150
"""Of the README: two screens."""
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_PARTS = ("tutorials", "howto", "reference", "explanation")

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def blocks(page: Path, *languages: str) -> list[str]:
    return [text for language, text in _FENCE.findall(page.read_text(encoding="utf-8")) if language in languages]


def commands(page: Path) -> list[list[str]]:
    text = "\n".join(blocks(page, "", "bash", "sh")).replace("\\\n", " ")
    lines = (shlex.split(line, comments=True) for line in text.splitlines() if line.startswith("cdp-spark "))
    return [line[1:] for line in lines]


@pages
def test_commands_are_ones_that_the_command_line_takes(page):
    for words in commands(page):
        options, unknown = _parser().parse_known_args(words)
        assert not unknown, (words, unknown)
        assert options.command == words[0]


@pages
def test_python_compiles(page):
    for text in blocks(page, "python"):
        compile(text, str(page), "exec")


@pages
def test_links_lead_somewhere(page):
    for target in _LINK.findall(page.read_text(encoding="utf-8")):
        if "://" not in target and not target.startswith("#"):
            path = (page.parent / target.split("#")[0]).resolve()
            assert path.exists() or path in GENERATED, target


@pages
def test_scripts_that_are_named_exist(page):
    for name in re.findall(r"\b(?:benchmarks|jobs|docs/examples)/[a-z_]+\.py", page.read_text(encoding="utf-8")):
        assert (ROOT / name).exists(), name


def test_the_readme_is_two_screens_long():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= MOST_LINES


def test_the_readme_links_to_no_page_that_is_only_built():
    targets = {
        ROOT / target.split("#")[0] for target in _LINK.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    }
    assert not targets & set(GENERATED)


def test_every_command_has_a_line_in_the_readme_and_an_entry_with_all_its_options():
    readme, page = (ROOT / "README.md").read_text(encoding="utf-8"), made.commands()
    entries = {entry.partition("\n")[0]: entry for entry in page.split("\n## ")[1:]}
    parsers = made.command_parsers()
    assert set(parsers) == {command.__name__.rpartition(".")[2] for command in COMMANDS}
    for name, parser in parsers.items():
        assert f"| [`{name}`](" in readme
        for action in parser._actions:
            shared = any(option in made.EVERY_COMMAND for option in action.option_strings)
            entry = entries["Options of every command" if shared else name]
            assert all(f"`{option}`" in entry for option in action.option_strings), (name, action.option_strings)


def test_the_page_of_settings_has_every_key():
    text = made.settings()
    for kind in (RunConfig, TrainConfig):
        for field in kind.model_fields.values():
            for name in getattr(field.annotation, "model_fields", {}):
                assert f"| `{name}` |" in text
    assert "whole number (≥ 1, ≤ 1000)" in text


def test_the_page_of_exit_codes_has_every_error():
    text = made.exit_codes()
    for kind in errors.CdpError.__subclasses__():
        assert re.search(rf"^\| {kind.exit_code} \|.*`{kind.__name__}`", text, re.MULTILINE)


def test_the_page_of_benchmarks_draws_every_figure_and_names_its_command():
    pytest.importorskip("altair", reason="the extra report is not installed")
    page, lines = made.benchmarks(), history.history()
    drawn = {(line["command"], name) for line in lines for name in line["figures"]}
    assert page.count("<figure><figcaption>") == len(drawn)
    assert all(f"```\n{line['command']}\n```" in page and line["commit"] in page for line in lines)


def test_measurements_name_no_host_and_no_path():
    for line in history.history():
        assert set(line) == {"benchmark", "command", "date", "commit", "versions", "machine", "figures"}
        assert re.fullmatch(r"\d+ cores, \d+ GiB, \w+", line["machine"])
        assert not re.search(r"(?<![.\w])/", line["command"]), line["command"]
        assert line["figures"]


def test_the_page_of_tables_has_the_columns_of_the_clusters():
    text = made.tables()
    assert "| `best_other_probability` | `float` |" in text
    assert "| `id` | id |" in text
    assert "### scored_pairs" in text


def test_every_page_belongs_to_one_of_four_parts():
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    for page in [*DOCS.rglob("*.md"), *GENERATED]:
        if page != DOCS / "index.md" and "_build" not in page.parts:
            name = page.relative_to(DOCS).with_suffix("").as_posix()
            assert name.split("/")[0] in _PARTS
            assert f"\n{name}\n" in index, name


def test_the_documentation_builds_without_a_warning(tmp_path):
    pytest.importorskip("sphinx", reason="the extra docs is not installed")
    built = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", DOCS, tmp_path],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    assert "ConsensusClustering" in (tmp_path / "reference/api.html").read_text(encoding="utf-8")
