"""Settings of a local Spark that depend on the machine."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import pytest

from cdp_spark.spark import local_settings, session
from tests.conftest import ENGINE

UMASK = "spark.hadoop.fs.permissions.umask-mode"


@pytest.fixture
def masked(monkeypatch):
    before = os.umask(0o077)
    yield
    os.umask(before)


def test_spark_makes_files_with_this_process_s_umask(masked):
    assert local_settings.umask() == 0o077
    assert local_settings.local_settings()[UMASK] == "077"


def test_where_hadoop_is_configured_here_its_own_stays_unless_ours_forbids_more(masked, monkeypatch):
    monkeypatch.setenv("HADOOP_CONF_DIR", "/etc/hadoop")
    assert local_settings.local_settings()[UMASK] == "077"
    os.umask(0o022)
    assert UMASK not in local_settings.local_settings()


@pytest.mark.skipif(sys.platform != "linux", reason="sockets are used on Linux alone")
def test_sockets_find_a_short_folder_where_the_temporary_one_has_a_long_path(tmp_path, monkeypatch):
    folder = tmp_path / ("y" * 90)
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    place = local_settings.local_settings()["spark.python.unix.domain.socket.dir"]
    assert len(f"{place}/.{'0' * 36}.sock") <= 107
    assert os.stat(place).st_mode & 0o077 == 0
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("C", "C.UTF-8"),
        ("POSIX", "C.UTF-8"),
        ("C.UTF-8", "C.UTF-8"),
        ("no_SUCH.ISO-8859-1", "C.UTF-8"),
        ("no_SUCH.UTF-8", "C.UTF-8"),
    ],
)
def test_a_jvm_reads_paths_as_python_does_under_the_plain_locale(given, wanted):
    script = (
        "import os; from cdp_spark.spark.session import use_a_locale_of_utf8 as use; use(); print(os.environ['LC_ALL'])"
    )
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG", "PYTHONUTF8"))}
    ran = subprocess.run(
        [sys.executable, "-c", script], env={**kept, "LC_ALL": given}, capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == wanted
    assert session.use_a_locale_of_utf8.__doc__


@pytest.mark.skipif(
    ENGINE != "sail" or os.name == "nt", reason="Spark's session is older than the umask; it has its own"
)
def test_the_embedded_engine_writes_files_that_no_one_else_can_read(spark, masked, tmp_path):
    spark.range(10).write.parquet(str(tmp_path / "table"))
    found = [tmp_path / "table", *(tmp_path / "table").rglob("*")]
    assert len(found) > 1
    assert not [path for path in found if path.stat().st_mode & 0o077]


MODULES = ["cdp_spark", *(["cdp_spark.spark.python_daemon"] if find_spec("pyspark.daemon") else [])]


@pytest.mark.parametrize("module", MODULES)
def test_no_file_of_the_working_folder_is_taken_for_pythons_own_module(tmp_path, module):
    for name in ("random", "yaml", "select", "queue"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('taken from the working folder')\n")
    ran = subprocess.run(
        [sys.executable, "-m", module, "--help"], cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True,
        check=False, timeout=60, env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert b"taken from the working folder" not in ran.stderr
