"""The shape of the package: imports go one way, files and functions stay readable, no Spark beneath its API."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import cdp_spark
from tests import reached

PACKAGE = Path(__file__).parents[1] / "cdp_spark"
FLOORS = (
    ("base",),
    ("files",),
    ("config", "spark"),
    ("runs",),
    ("sources",),
    ("intake",),
    ("knn",),
    ("pairs", "networks"),
    ("agglomeration",),
    ("scoring",),
    ("clusters",),
    ("unlabelled",),
    ("evaluation", "evidence"),
    ("training", "training_lists", "label_errors", "report", "plan"),
    ("commands",),
    ("cli",),
    ("datasets",),
)
"""A module imports its own room, and rooms on lower floors."""
FLOOR_OF = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")
IN_ROOMS = [path for path in MODULES if path.parent != PACKAGE]
# The classic GraphFrames engine, progress, and the observation of peak memory, each with a way without it.
BENEATH = {"graphframes_engine.py", "progress.py", "peaks.py"}
# A command is a module of `cli` and, where no single room answers it, one of `commands`.
COMMANDS = {path.stem for path in (PACKAGE.parent / "jobs").glob("*.py")}

modules = pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
in_rooms = pytest.mark.parametrize("path", IN_ROOMS, ids=lambda path: str(path.relative_to(PACKAGE)))


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0]


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


def test_a_vote_is_followed_through_30_files_and_the_learned_way_through_40():
    assert len(reached.reached(reached.VOTE, reached.NOT_BY_VOTE)) <= 30
    assert len(reached.reached(reached.LEARNED, reached.NOT_BY_LEARNED)) <= 40


def test_every_room_has_a_floor():
    rooms = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert rooms == set(FLOOR_OF)


@in_rooms
def test_a_module_imports_its_own_room_and_lower_floors(path):
    mine = room_of(path)
    rooms = {name.split(".")[1] for name in imported(path) if name.startswith("cdp_spark.")} & set(FLOOR_OF)
    assert {room for room in rooms - {mine} if FLOOR_OF[room] >= FLOOR_OF[mine]} == set()


def test_no_circle_of_imports():
    """Also inside a room; imports inside functions are left out, since they run later."""
    known = {str(path.relative_to(PACKAGE.parent).with_suffix("")).replace("/", "."): path for path in MODULES}
    graph = {name: _imported_at_once(path) & set(known) for name, path in known.items()}
    while graph:
        free = {name for name, others in graph.items() if not others & set(graph)}
        assert free, sorted(graph)
        graph = {name: others for name, others in graph.items() if name not in free}


def _imported_at_once(path: Path) -> set[str]:
    found: set[str] = set()
    for node in tree_of(path).body:
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@in_rooms
def test_kernels_know_no_spark_and_import_only_kernels(path):
    if "kernels" not in path.parts:
        return
    names = imported(path)
    assert not {name for name in names if name.startswith("pyspark")}
    ours = {name for name in names if name.startswith("cdp_spark.") and name.count(".") >= 3}
    assert {name for name in ours if ".kernels" not in name and not name.startswith("cdp_spark.base.")} == set()


@modules
def test_only_one_module_makes_sessions(path):
    assert "SparkSession.builder" not in path.read_text(encoding="utf-8") or path.name == "session.py"


def test_a_file_name_stands_in_one_room():
    rooms: dict[str, set[str]] = {}
    for path in IN_ROOMS:
        rooms.setdefault(path.stem, set()).add(room_of(path))
    twice = {name: where for name, where in rooms.items() if len(where) > 1 and name != "flow"}
    assert {name for name, where in twice.items() if name not in COMMANDS or where != {"cli", "commands"}} == set()


def test_tests_mirror_the_rooms():
    """A test file of a room is named after a module of it, or says in its first line what it is about."""
    tests = PACKAGE.parent / "tests"
    for path in (path for room in FLOOR_OF for path in (tests / room).rglob("test_*.py")):
        module = PACKAGE / path.relative_to(tests).with_name(path.name.removeprefix("test_"))
        assert module.exists() or path.read_text(encoding="utf-8").startswith('"""'), path


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
            given = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
            names = [each.arg for each in given if each.arg not in ("self", "cls")]
            assert lines <= 40, f"{node.name} has {lines} lines"
            decorators = {getattr(getattr(each, "func", each), "id", "") for each in node.decorator_list}
            compiled = decorators & {"compiled", "intrinsic"}
            free = compiled or node.name in cdp_spark.__all__
            assert free or len(names) <= 5, f"{node.name} has {len(names)} parameters"


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


def test_the_picture_of_the_floors_is_that_of_the_rooms():
    text = (PACKAGE.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    picture = text.split("<!-- floors -->")[1].split("<!-- /floors -->")[0].strip().strip("`").split()
    rooms = [word for word in picture if word != "·"]
    assert rooms == [room for floor in reversed(FLOORS) for room in floor]
