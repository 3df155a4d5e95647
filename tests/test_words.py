"""One word for one thing: words of our own dialect that are retired, and what stands for each of them instead."""

import ast
import io
import re
import tokenize
from pathlib import Path

import pytest

import cdp_spark

PACKAGE = Path(cdp_spark.__file__).parent
INSTEAD = {
    "judge": "score (pairs), evaluate (clusters against labels), label",
    "judged": "scored, evaluated, labelled",
    "honest": "cross-fitted, held-out",
    "told": "reported, given",
    "found": "a name for what the variable holds",
    "place": "position, index, rank, path, folder, cell",
    "places": "positions, indices, ranks, paths",
    "part": "subset, share, section, piece, fragment",
    "parts": "subsets, shares, sections, pieces, fragments",
}
"""Retired in names of functions, classes, parameters and variables. Stored and public names are exempt."""
PROSE = re.compile(
    r"\b(judge[sd]?|judging|honest|so many|what comes out|handed over|come along|passed over|whoever)\b"
    r"|\btold (is|are|was|to|with)\b|,? too[.;:](\s|$)|(where|what) there (is|are) no(ne|t)?\b"
    r"|^\s*(Of|Those of)\b|^(Tell|Say of)\b",
    re.MULTILINE,
)
"""Retired in docstrings, messages and pages; a sentence has its subject first."""
STORED = {"judge", "judged"}
"""Names of stages of older runs."""

GENERATED = {"faults.md", "stages.md"}
"""Pages with names of stages of older runs."""
PAGES = sorted(
    path
    for path in [*PACKAGE.parent.glob("*.md"), *(PACKAGE.parent / "docs").rglob("*.md")]
    if "_build" not in path.parts and path.name not in GENERATED
)

modules = sorted(PACKAGE.rglob("*.py"))
every = pytest.mark.parametrize("path", modules, ids=lambda path: str(path.relative_to(PACKAGE)))


def names(tree: ast.Module):
    """Yield the names that a module gives."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name


@every
def test_names_use_the_words_of_the_field(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for name in set(names(tree)):
        for word in re.findall(r"[a-z]+", name.lower()):
            assert word not in INSTEAD, f"{name}: {INSTEAD[word]}"


@every
def test_sentences_begin_with_their_subject(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            match = None if node.value in STORED else PROSE.search(node.value)
            assert match is None, f"line {node.lineno}: {match.group()}"


@every
def test_comments_use_the_words_of_the_field(path):
    for token in tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline):
        match = PROSE.search(token.string.lstrip("# ")) if token.type == tokenize.COMMENT else None
        assert match is None, f"line {token.start[0]}: {match.group()}"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(PACKAGE.parent)))
def test_pages_begin_sentences_with_their_subject(path):
    text = path.read_text(encoding="utf-8")
    match = PROSE.search(text)
    assert match is None, f"line {text.count(chr(10), 0, match.start()) + 1}: {match.group().strip()}"
