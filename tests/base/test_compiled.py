import ast
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cdp_spark.base import compile_cache
from cdp_spark.base.compiled import read_only
from cdp_spark.scoring.kernels import count_votes

PACKAGE = Path(compile_cache.__file__).parents[1]
HOMELESS = """
import numpy as np
from cdp_spark.scoring.kernels import count_votes
one = np.array([0, 1]), np.array([7])
print(count_votes.votes(one, [one]).tolist(), count_votes._add_votes.stats.cache_path, count_votes.__file__, sep="|")
"""


@pytest.mark.parametrize("writable", [["__pycache__"], ["numba"], ["__pycache__", "numba"]])
def test_numbas_own_folders_are_used_where_one_can_be_written(writable):
    assert compile_cache.chosen(PACKAGE, lambda folder: folder.name in writable) is None


def test_a_private_folder_is_used_where_none_can_be_written(tmp_path, monkeypatch):
    monkeypatch.setattr(compile_cache.tempfile, "gettempdir", lambda: str(tmp_path))
    folders = [compile_cache.chosen(PACKAGE, lambda folder: False) for _ in range(2)]
    assert folders[0] == folders[1]
    assert Path(folders[0]).parent == tmp_path
    assert stat.S_IMODE(os.stat(folders[0]).st_mode) == 0o700


def test_a_folder_that_is_open_to_others_or_a_link_is_not_taken(tmp_path):
    first = Path(compile_cache.private_folder(tmp_path))
    first.chmod(0o777)
    assert Path(compile_cache.private_folder(tmp_path)) != first
    first.rmdir()
    first.symlink_to(tmp_path)
    other = Path(compile_cache.private_folder(tmp_path))
    assert other != first
    assert stat.S_IMODE(other.stat().st_mode) == 0o700


def test_a_folder_of_another_user_is_not_taken(tmp_path, monkeypatch):
    name = compile_cache.private_folder(tmp_path)
    other = os.getuid() + 1
    squatted = tmp_path / f"cdp-spark-numba-{other}"
    Path(name).rename(squatted)
    monkeypatch.setattr(compile_cache.os, "getuid", lambda: other)
    assert compile_cache.private_folder(tmp_path) != str(squatted)


def test_a_folder_that_the_user_has_set_stays(monkeypatch):
    monkeypatch.setenv(compile_cache.VARIABLE, "/of/the/user")
    monkeypatch.setattr(compile_cache, "chosen", lambda package: pytest.fail("not asked"))
    assert compile_cache.settle(PACKAGE) == "/of/the/user"


def test_a_package_of_root_and_no_home_compile_into_the_temporary_folder(tmp_path):
    """Files have the names of the folders that would be made, which stops even root."""
    copy = tmp_path / "site" / "cdp_spark"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__", "glyphs"))
    for folder in [copy, *(path for path in copy.rglob("*") if path.is_dir())]:
        (folder / "__pycache__").touch()
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    (tmp_path / "home").touch()
    environment = {"HOME": str(tmp_path / "home"), "TMPDIR": str(temporary), "PYTHONPATH": str(copy.parent)}
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "SYSTEMROOT", "LD_LIBRARY_PATH")}
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", HOMELESS], capture_output=True, text=True, env=kept | environment, cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr
        votes, cache, module = done.stdout.strip().split("|")
        assert votes == "[1]"
        assert Path(module).is_relative_to(copy)
        assert Path(cache).is_relative_to(temporary)
    folders = list(temporary.iterdir())
    assert len(folders) == 1
    assert stat.S_IMODE(folders[0].stat().st_mode) == 0o700


def test_every_kernel_goes_through_the_one_decorator():
    for path in PACKAGE.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {getattr(node, "id", getattr(node, "attr", "")) for node in ast.walk(tree)}
        assert not names & {"njit", "jit", "vectorize", "guvectorize"} or path.name == "compiled.py", path


def test_kernels_release_the_gil():
    assert count_votes._add_votes.targetoptions["nogil"]
    assert not count_votes._add_votes.targetoptions["boundscheck"]


def test_read_only_views_are_contiguous_and_share_memory():
    given = np.arange(6).reshape(2, 3)
    assert np.shares_memory(read_only(given), given)
    assert read_only(given.T).flags.c_contiguous
    with pytest.raises(ValueError, match="read-only"):
        read_only(given)[0, 0] = 1
