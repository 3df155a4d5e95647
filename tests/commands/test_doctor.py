"""What doctor finds: each fault of a machine, with what to do; and nothing where there is none."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
from types import SimpleNamespace

import pytest

from cdp_spark import cli
from cdp_spark.base.errors import MissingRequirementError
from cdp_spark.base.process_limits import check_limits
from cdp_spark.commands import doctor as looks
from cdp_spark.commands.doctor import doctor

WITHOUT_ENGINE = """
import json, sys
sys.modules["pyspark"] = sys.modules["pysail"] = None
from cdp_spark import cli
sys.exit(cli.main({words!r}))
"""


def without_engine(*words: object) -> subprocess.CompletedProcess[str]:
    """Run a command where neither PySpark nor Sail is installed."""
    script = WITHOUT_ENGINE.format(words=[str(word) for word in words])
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture
def found(monkeypatch):
    """Look at the machine alone: no engine starts."""

    def refused(*_, **__):
        raise MissingRequirementError("not looked at")

    monkeypatch.setattr(looks, "choose_engine", refused)
    return lambda **options: {finding.name: finding for finding in doctor(**options)}


def test_without_an_engine_doctor_lives_lists_the_rest_and_says_how_to_get_one():
    ran = without_engine("doctor", "--json")
    assert (ran.returncode, ran.stderr) == (3, "")
    said = json.loads(ran.stdout)
    assert all(said[name]["ok"] for name in ("disk", "temporary", "numpy", "numba cache"))
    assert said["engine"] == {"ok": False, "text": said["engine"]["text"]}
    assert "pip install 'cdp-spark[local]'" in said["engine"]["text"]


def test_nor_do_other_commands_and_python_die_of_it(tmp_path):
    (tmp_path / "a.parquet").touch()
    ran = without_engine("cluster", "--base", tmp_path / "a.parquet", "--output", tmp_path / "run")
    assert (ran.returncode, ran.stdout, ran.stderr.count("\n")) == (3, "", 1)
    assert "pip install 'cdp-spark[local]', which needs no Java" in ran.stderr
    script = "import sys; sys.modules['pyspark'] = None; import cdp_spark; cdp_spark.cluster_arrays([[1.0]])"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "MissingRequirementError: no engine is installed: pip install" in ran.stderr


def test_a_package_whose_release_does_not_go_with_the_others_is_named(found, monkeypatch):
    known = importlib.import_module

    def imported(name, *more):
        if name == "faiss":
            raise ModuleNotFoundError("No module named 'numpy._core'", name="numpy._core")
        return known(name, *more)

    monkeypatch.setattr(importlib, "import_module", imported)
    said = found()["faiss-cpu"]
    assert (said.ok, said.essential) == (False, True)
    assert "pip install 'numpy>=1.26.1,<3'" in said.text


def test_packages_that_fail_in_any_way_are_one_line_each_and_name_themselves(tmp_path):
    (tmp_path / "pandas.py").write_text(
        "raise ValueError('numpy.dtype size changed, may indicate binary incompatibility')"
    )
    (tmp_path / "faiss.py").write_text("raise ImportError('libfoo.so: not there')")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    words = [sys.executable, "-m", "cdp_spark", "doctor", "--json"]
    ran = subprocess.run(words, capture_output=True, text=True, check=False, env=environment, timeout=120)
    assert (ran.returncode, ran.stderr) == (3, "")
    said = json.loads(ran.stdout)
    for name, why in (("pandas", "does not go with this NumPy"), ("faiss-cpu", "libfoo.so: not there")):
        assert (said[name]["ok"], why in said[name]["text"], "install" in said[name]["text"]) == (False, True, True)


@pytest.mark.parametrize("kind", ["tmpfs", "ext4"])
def test_temporary_files_in_memory_are_told_of(found, monkeypatch, kind):
    mounts = [SimpleNamespace(mountpoint="/", fstype="ext4"), SimpleNamespace(mountpoint="/tmp", fstype=kind)]
    monkeypatch.setattr(looks.psutil, "disk_partitions", lambda all: mounts)
    monkeypatch.setattr(tempfile, "tempdir", "/tmp")
    said = found()["in memory"]
    assert (said.ok, said.essential) == (kind == "ext4", False)
    assert said.ok or "set TMPDIR, and for Spark --conf spark.local.dir, to a folder on a disk" in said.text


@pytest.mark.parametrize("where", ["TMPDIR", "spark.local.dir"])
def test_so_are_those_that_cannot_be_written_or_have_no_room(found, monkeypatch, where):
    conf = None if where == "TMPDIR" else {"spark.local.dir": "/nowhere"}
    if conf is None:
        monkeypatch.setattr(tempfile, "gettempdir", lambda: "/nowhere")
    said = found(conf=conf)["temporary"]
    assert (said.ok, said.essential) == (False, True)
    assert "/nowhere cannot be written" in said.text
    assert f"set {where}" in said.text
    monkeypatch.undo()
    monkeypatch.setattr(looks.shutil, "disk_usage", lambda _: SimpleNamespace(free=2**29))
    with pytest.raises(OSError, match=r"0\.5 GiB free in .*: free some, or set TMPDIR to a folder on another disk"):
        looks._temporary({})


@pytest.mark.skipif(os.name == "nt", reason="HOME")
def test_a_home_that_cannot_be_written_is_told_of_and_no_reason_to_fail(found, monkeypatch):
    monkeypatch.setenv("HOME", "/nonexistent")
    said = found()["home"]
    assert (said.ok, said.essential) == (False, False)
    assert "--conf spark.jars.ivy=/folder" in said.text


def test_a_locale_that_cannot_name_every_path_is_told_of(found, monkeypatch):
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: "ascii")
    said = found()["locale"]
    assert (said.ok, said.essential) == (False, True)
    assert "set LC_ALL=C.UTF-8 and unset PYTHONUTF8" in said.text


def test_tmpdir_that_python_passes_over_is_told_of(found, monkeypatch):
    monkeypatch.setenv("TMPDIR", "/nowhere")
    said = found()["TMPDIR"]
    assert (said.ok, said.essential) == (False, False)
    assert f"/nowhere cannot be written, so {tempfile.gettempdir()} is used" in said.text


def test_an_output_that_is_no_folder_is_refused(found, tmp_path):
    (tmp_path / "a").touch()
    for place in ("a", "a/b/c"):
        said = found(output=str(tmp_path / place))["disk"]
        assert (said.ok, said.text) == (
            False,
            f"{tmp_path / 'a'} is a file, but a folder is needed: choose another path",
        )


@pytest.mark.skipif(os.name == "nt", reason="ulimit")
@pytest.mark.parametrize(
    ("limit", "remedy"),
    [("NOFILE", "-n 65536"), ("AS", "-v unlimited"), ("FSIZE", "-f unlimited"), ("CPU", "-t unlimited")],
)
def test_a_limit_of_the_process_that_is_too_low_is_named_and_no_engine_starts(found, monkeypatch, limit, remedy):
    import resource

    known, low = resource.getrlimit, getattr(resource, f"RLIMIT_{limit}")
    monkeypatch.setattr(resource, "getrlimit", lambda which: (100, 100) if which == low else known(which))
    findings = found()
    said = findings["limits"]
    assert (said.ok, said.essential) == (False, True)
    assert said.text.endswith(f"raise the limit, ulimit {remedy}")
    assert "engine" not in findings
    if limit in ("NOFILE", "AS"):
        with pytest.raises(MissingRequirementError, match="raise the limit, ulimit"):
            check_limits()
    else:
        check_limits()


def test_a_python_without_docstrings_is_refused_at_once():
    words = [sys.executable, "-OO", "-m", "cdp_spark", "clean", "--output", "nowhere"]
    ran = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr.count("\n")) == (3, 1)
    assert "unset PYTHONOPTIMIZE" in ran.stderr


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("NUMBA_NUM_THREADS", "many", "could not be parsed"), ("NUMBA_NUM_THREADS", "0", "must be > 0"),
        ("NUMBA_DISABLE_JIT", "1", "nothing runs uncompiled here: unset it"),
    ],
)  # fmt: skip
def test_a_variable_of_numbas_that_does_not_go_is_one_line(name, value, why):
    ran = subprocess.run(
        [sys.executable, "-c", "import cdp_spark.base.compiled"], capture_output=True, text=True, check=False,
        env={**os.environ, name: value},
    )  # fmt: skip
    assert why in ran.stderr.splitlines()[-1]
    assert "MissingRequirementError" in ran.stderr.splitlines()[-1]


@pytest.mark.parametrize("error", [MissingRequirementError("no way: do this"), RuntimeError("[X_Y] no way: do this")])
def test_a_session_that_does_not_start_is_a_line_too(monkeypatch, capsys, error):
    def refused(*_):
        raise error

    monkeypatch.setattr(looks, "_session", refused)
    monkeypatch.setattr(looks, "choose_engine", lambda *_, **__: ("sail", "one machine"))
    assert cli.main(["doctor"]) == 3
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("engine       NO")
    assert last.endswith("no way: do this")
