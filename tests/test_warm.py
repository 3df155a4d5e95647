import ast
import itertools
import json
import subprocess
import sys
from pathlib import Path

import pytest

from cdp_spark import warm
from cdp_spark.knn.kernels.int16_products import pays

CALLED = """
import json, sys
from cdp_spark import warm

for step in warm.STEPS.values():
    step()
found = {}
for name, module in list(sys.modules.items()):
    if name.startswith("cdp_spark."):
        called = [each for each, value in vars(module).items() if getattr(value, "signatures", 0)]
        found[name.rpartition(".")[2]] = called
print(json.dumps(found))
"""
PACKAGE = Path(warm.__file__).parent


def _compiled(path: Path) -> list[ast.FunctionDef]:
    functions = [node for node in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(node, ast.FunctionDef)]
    return [each for each in functions if any("compiled" in ast.unparse(mark) for mark in each.decorator_list)]


def test_the_steps_call_every_kernel():
    """In a process of its own: here other tests have called them. Kernels that kernels call come with these."""
    functions = {path.stem: _compiled(path) for path in PACKAGE.rglob("*.py")}
    inside = {
        node.func.id
        for each in itertools.chain(*functions.values())
        for node in ast.walk(each)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    done = subprocess.run([sys.executable, "-c", CALLED], capture_output=True, text=True, check=True)
    called = json.loads(done.stdout)
    wanted = {module: [each.name for each in some if each.name not in inside] for module, some in functions.items()}
    missing = [
        f"{module}.{name}" for module, some in wanted.items() for name in set(some) - set(called.get(module, []))
    ]
    assert missing == ([] if pays() else ["int16_products._nominate"])


def test_the_steps_are_shared_among_processes(monkeypatch):
    started = []

    class Process:
        def __init__(self, words):
            self.args = words
            started.append(words[3:])

        def wait(self):
            return int(len(started) == 1 and "lists" in started[0])

    monkeypatch.setattr(warm.subprocess, "Popen", Process)
    warm.warm(3)
    assert sorted(itertools.chain(*started)) == sorted(warm.STEPS)
    assert len(started) == 3
    started.clear()
    with pytest.raises(subprocess.CalledProcessError):
        warm.warm(1)


def test_steps_can_be_taken_by_name():
    words = [sys.executable, "-m", "cdp_spark.warm", "trees"]
    subprocess.run(words, check=True)
