"""Stage names and versions stand in the register, and nowhere else."""

import ast
from pathlib import Path

import pytest

from cdp_spark.plan.cost_model import LAWS
from cdp_spark.runs import register

PACKAGE = Path(register.__file__).parents[1]
ASKS = {"stage", "facts", "publish", "table", "materialise", "joined_pairs"}


def asked(path: Path):
    """Yield what a module calls stages by."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and len(node.args) > 1:
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if name in ASKS and "progress" not in ast.unparse(node.func):
                yield node


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_stage_is_named_by_a_string_of_its_own(path):
    for node in asked(path):
        assert not any(isinstance(each, (ast.Constant, ast.JoinedStr)) for each in node.args[:2]), ast.unparse(node)


def test_versions_are_kept_in_the_register_alone():
    for path in PACKAGE.rglob("*.py"):
        names = {target.id for node in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(node, ast.Assign)
                 for target in node.targets if isinstance(target, ast.Name)}  # fmt: skip
        assert "VERSION" not in names, path


def test_a_room_names_a_stage_once():
    known = [(stage.name, stage.room, stage.version) for stage in register.STAGES]
    assert len(set(known)) == len(known)


def test_every_law_is_of_a_stage_and_every_planned_stage_has_one():
    planned = {law for stage in register.STAGES for law in stage.laws}
    assert planned == set(LAWS) - {"all else"}
