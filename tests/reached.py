"""Count the files that one reads to follow a run from its flows: which modules its calls reach.

python -m tests.reached
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "cdp_spark"
STEPS = {"intake", "knn", "pairs", "networks", "agglomeration", "scoring", "clusters"}
VOTE = ("intake.flow.taken_in", "knn.flow.knn_graph", "scoring.flow.scored_by_vote", "clusters.flow.consensus_clusters",
        "clusters.flow.merges_of")  # fmt: skip
LEARNED = (*VOTE[:2], "scoring.flow.scored_by_mediator", *VOTE[3:])
NOT_BY_VOTE = {"agglomeration.flow.agglomerated_items"}
NOT_BY_LEARNED = {"clusters.giant_guard.guarded", "clusters.cut_and_number.labelled_by_code",
                  "clusters.cut_and_number.labelled_by_paper"}  # fmt: skip


@dataclass(frozen=True)
class Module:
    """A module's top-level definitions, and what its names stand for elsewhere."""

    defined: dict[str, ast.AST]
    imported: dict[str, str]


def modules() -> dict[str, Module]:
    found = {}
    for path in PACKAGE.rglob("*.py"):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")
        found[name] = _module(ast.parse(path.read_text(encoding="utf-8")))
    return found


def _module(tree: ast.Module) -> Module:
    defined: dict[str, ast.AST] = {}
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            defined[node.name] = node
        elif isinstance(node, ast.Assign):
            defined |= {target.id: node for target in node.targets if isinstance(target, ast.Name)}
    imported = {
        alias.asname or alias.name: f"{node.module}.{alias.name}".removeprefix("cdp_spark.")
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("cdp_spark.")
        for alias in node.names
    }
    return Module(defined, imported)


def reached(begins: Iterable[str], never: set[str]) -> set[str]:
    """Return the modules of the steps that functions lead to; types in annotations lead nowhere."""
    known, seen, waiting = modules(), set(), list(begins)
    while waiting:
        name = waiting.pop()
        module, _, symbol = name.rpartition(".")
        if name in seen or name in never or module not in known or symbol not in known[module].defined:
            continue
        seen.add(name)
        waiting += _asked(known[module].defined[symbol], module, known)
    return {name.rpartition(".")[0] for name in seen if name.split(".")[0] in STEPS}


def _asked(node: ast.AST, module: str, known: dict[str, Module]) -> list[str]:
    here, found = known[module], []
    for each in _called(node):
        if isinstance(each, ast.Name):
            found.append(here.imported.get(each.id, f"{module}.{each.id}"))
        elif isinstance(each, ast.Attribute) and isinstance(each.value, ast.Name) and each.value.id in here.imported:
            found.append(f"{here.imported[each.value.id]}.{each.attr}")
    return found


def _called(node: ast.AST) -> Iterable[ast.AST]:
    """Yield expressions outside annotations."""
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield child
                yield from _called(child)


if __name__ == "__main__":
    for title, begins, never in (("vote", VOTE, NOT_BY_VOTE), ("learned", LEARNED, NOT_BY_LEARNED)):
        files = sorted(reached(begins, never))
        print(title, len(files))
        print("\n".join(f"    {name}" for name in files))
