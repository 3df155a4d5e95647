"""One word for one thing: words of our own dialect that are retired, and what stands for each of them instead."""

import ast
import re
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
    r"\b(judge[sd]?|judging|honest|so many)\b|\btold (is|are|was|to|with)\b|^\s*Of (a|the|all|an|each|every|its)\b",
    re.MULTILINE,
)
"""Retired in docstrings and messages; a sentence has its subject first."""
STORED = {"judge", "judged"}
"""Names of stages of older runs."""
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
