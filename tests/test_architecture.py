"""The shape of the package: imports go one way, files and functions stay readable, no Spark beneath its API."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "cdp_spark"
LAYERS = ("base", "kernels", "stages", "runtime", "tasks")
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")
# The classic GraphFrames engine, progress, and the observation of peak memory, each with a way without it.
BENEATH = {"graphframes_engine.py", "progress.py", "peaks.py"}
MEETS = {("shards", "placement"), ("knn", "placement"), ("vote", "placement"), ("audit", "knn"),
         ("pairs", "placement"), ("mediator", "pairs"), ("components", "graphframes_engine"),
         ("clusters", "ranks"), ("boruvka", "forest"), ("knn", "shard_tasks"),
         ("expansion", "shard_tasks"), ("lineage", "ranks"), ("label_issues", "denoise"), ("issues", "ranks"),
         ("export", "ranks"), ("coverage", "evaluation"),
         ("clusters", "soft_labels"), ("export", "soft_labels"), ("graph_figures", "shards"),
         ("worlds", "pair_ends"), ("honest", "embeddings"), ("agglomeration", "embeddings"),
         ("denoise", "pair_ends"), ("issues", "pair_ends")}  # fmt: skip

modules = pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@modules
def test_imports_go_one_way(path):
    layer = path.relative_to(PACKAGE).parts[0]
    if layer not in LAYERS:
        return
    above = (*LAYERS[LAYERS.index(layer) + 1 :], "cli", "datasets")
    wrong = {name for name in imported(path) if name.startswith(tuple(f"cdp_spark.{each}" for each in above))}
    assert not wrong


@modules
def test_kernels_know_no_spark_and_only_tasks_start_sessions(path):
    layer = path.relative_to(PACKAGE).parts[0]
    text = path.read_text(encoding="utf-8")
    if layer == "kernels":
        assert not {name for name in imported(path) if name.startswith("pyspark")}
    assert "SparkSession.builder" not in text or path.name == "session.py"


@modules
def test_stage_modules_meet_in_tables(path):
    if path.parent.name != "stages":
        return
    others = {name.split(".")[2] for name in imported(path) if name.startswith("cdp_spark.stages.")}
    assert {(path.stem, other) for other in others - {"arrow", "differences"}} <= MEETS


@modules
def test_nothing_reaches_beneath_the_dataframe_api(path):
    attributes = {node.attr for node in ast.walk(tree_of(path)) if isinstance(node, ast.Attribute)}
    assert path.name in BENEATH or not attributes & {"rdd", "sparkContext", "_jvm", "_jdf", "_jsc", "_sc"}


@modules
def test_functions_and_files_can_be_read_whole(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            lines = body[-1].end_lineno - body[0].lineno + 1 if body else 0
            names = [each.arg for each in node.args.args if each.arg not in ("self", "cls")]
            assert lines <= 40, f"{node.name} has {lines} lines"
            compiled = bool(node.decorator_list) and node.name.startswith("_")
            most = 5 if not node.name.startswith("_") else 7
            assert compiled or len(names) <= most, f"{node.name} has {len(names)} parameters"


@modules
def test_the_library_prints_nothing_and_asserts_nothing(path):
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print":
            assert path.parent.name == "cli"
        assert not isinstance(node, ast.Assert)


def test_every_task_has_a_job_and_every_job_a_task():
    jobs = {path.stem for path in (PACKAGE.parent / "jobs").glob("*.py")}
    from cdp_spark.cli import _parser

    commands = next(action.choices for action in _parser()._actions if action.choices)
    assert jobs == set(commands)


def test_nothing_names_a_machine():
    texts = [*PACKAGE.rglob("*.py"), *(PACKAGE.parent / "benchmarks").rglob("*.py"), PACKAGE.parent / "README.md"]
    for path in texts:
        text = path.read_text(encoding="utf-8")
        assert "/work/" not in text, path
        assert "/root/" not in text, path
