"""The package out of a wheel on the path, as spark-submit puts it there."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import cdp_spark
from cdp_spark._archive import unpacked

PACKAGE = Path(cdp_spark.__file__).parent
SHOW = "import cdp_spark, cdp_spark.base.numeric.dense_numbers as one; print(cdp_spark.__version__, one.__file__)"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    path = tmp_path_factory.mktemp("dist") / "cdp_spark-0.1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as files:
        for file in sorted(PACKAGE.rglob("*.py")):
            files.write(file, file.relative_to(PACKAGE.parent))
    return path


def test_compiled_functions_and_data_are_in_a_folder_and_it_is_used_again(wheel, tmp_path):
    settings = {**os.environ, "PYTHONPATH": str(wheel), "XDG_CACHE_HOME": str(tmp_path)}
    words, files = [sys.executable, "-c", SHOW], set()
    for _ in range(2):
        done = subprocess.run(words, env=settings, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        files.add(done.stdout.strip())
    ((version, file),) = (each.split() for each in files)
    assert version == cdp_spark.__version__
    assert Path(file).is_relative_to(tmp_path / "cdp-spark")
    assert Path(file).exists()
    assert len(list((tmp_path / "cdp-spark").iterdir())) == 1


def test_without_a_home_it_lies_beside_the_wheel(wheel, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")
    assert Path(unpacked(str(wheel))).parents[1] == wheel.parent
    assert (Path(unpacked(str(wheel))) / "__init__.py").exists()


def test_what_is_no_archive_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "odd.whl").write_bytes(b"no zip")
    with pytest.raises(ImportError, match="is damaged"):
        unpacked(str(tmp_path / "odd.whl"))
    assert not list((tmp_path / "cache").rglob("*.py"))
