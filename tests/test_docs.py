"""README and docs: commands parse, Python compiles, links lead somewhere, the page of settings is that of the code."""

import importlib.util
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from cdp_spark.base.config import RunConfig, TrainConfig
from cdp_spark.cli import _parser

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "benchmarks/README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES = [page for page in PAGES if "_build" not in page.parts]
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")

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
            assert (page.parent / target.split("#")[0]).exists(), target


@pages
def test_scripts_that_are_named_exist(page):
    for name in re.findall(r"\b(?:benchmarks|jobs|docs/examples)/\w+\.py", page.read_text(encoding="utf-8")):
        assert (ROOT / name).exists(), name


def test_the_page_of_settings_has_every_key():
    spec = importlib.util.spec_from_file_location("config_reference", ROOT / "docs/config_reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    text = module.reference()
    for kind in (RunConfig, TrainConfig):
        for field in kind.model_fields.values():
            for name in getattr(field.annotation, "model_fields", {}):
                assert f"| `{name}` |" in text
    assert "whole number (≥ 1, ≤ 1000)" in text


def test_the_documentation_builds_without_a_warning(tmp_path):
    pytest.importorskip("sphinx", reason="the extra docs is not installed")
    built = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", ROOT / "docs", tmp_path],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    assert "ConsensusClustering" in (tmp_path / "reference/api.html").read_text(encoding="utf-8")
