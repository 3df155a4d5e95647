"""Why a session did not start: the line is taken from what the JVM has said, and says what to do."""

from __future__ import annotations

import os

import pytest

from cdp_spark.base.errors import MissingRequirementError
from cdp_spark.base.messages import LONGEST
from cdp_spark.spark import gateway
from cdp_spark.spark.jvm_start import JvmEndedError
from tests import command

EXITED = RuntimeError("[JAVA_GATEWAY_EXITED] Java gateway process exited before sending its port number.")
STACK = "\n\tat org.apache.spark.deploy.SparkSubmit.main(SparkSubmit.scala)" * 30
MAIN = 'WARNING: Using incubator modules: jdk.incubator.vector\nException in thread "main" '
CONTEXT = "An error occurred while calling None.org.apache.spark.api.java.JavaSparkContext.\n: "
NO_VM = "\nError: Could not create the Java Virtual Machine.\nError: A fatal exception has occurred. Program will exit."

ENDED = {
    "misspelled": (
        MAIN + "org.apache.spark.SparkException: Master must either be yarn or start with spark, k8s, or local" + STACK,
        "Master must either be yarn", "local[4], local[*], spark://HOST:PORT",
    ),
    "yarn": (
        MAIN + "org.apache.spark.SparkException: When running with master 'yarn' either HADOOP_CONF_DIR or "
        "YARN_CONF_DIR must be set in the environment." + STACK,
        "HADOOP_CONF_DIR", "set HADOOP_CONF_DIR to the folder",
    ),
    "bytes": ("Error occurred during initialization of VM\nToo small maximum heap", "Too small maximum heap", "=4g"),
    "words": ("Invalid maximum heap size: -Xmxlots" + NO_VM, "-Xmxlots", "=4g"),
    "option": ("Unrecognized VM option 'Nonsense'" + NO_VM, "Unrecognized VM option 'Nonsense'", "doctor"),
    "package": (
        ":: loading\n" + MAIN + "java.lang.RuntimeException: [unresolved dependency: no#such;1: not found]" + STACK,
        "unresolved dependency: no#such;1", "check the coordinates of spark.jars.packages",
    ),
    "locale": (
        "Error: A JNI error has occurred, please check your installation and try again\n" + MAIN +
        "java.lang.InternalError: Error loading java.security file" + STACK + "\nspark-class: CMD: bad array subscript",
        "Error loading java.security file", "LC_ALL=C.UTF-8",
    ),
    "killed": ("2026-11-30 10:00:00 ERROR BlockManager: Failed to create any local dir.", "local dir", "spark.local"),
    "no shell": ("/usr/bin/env: ‘bash’: No such file or directory", "bash", "such as /usr/bin, on PATH"),
    "silent": ("", "JAVA_GATEWAY_EXITED", "doctor"),
}  # fmt: skip


@pytest.fixture
def said(tmp_path, monkeypatch):
    """The JVM's words, as they stand in its file."""
    file = tmp_path / f"cdp-{os.getpid()}" / "spark.log"
    file.parent.mkdir()
    monkeypatch.setattr(gateway, "_files", [file])
    for name in gateway._SHAPING:
        monkeypatch.delenv(name, raising=False)
    return file


@pytest.mark.parametrize(("text", "why", "remedy"), ENDED.values(), ids=ENDED)
def test_a_jvm_that_has_ended_is_quoted_without_its_stack(said, text, why, remedy):
    said.write_text(text)
    found = gateway.refused(EXITED, {"spark.driver.memory": "8"})
    assert found.exit_code == 3
    assert why in str(found)
    assert remedy in str(found)
    assert "\tat " not in str(found)
    assert len(str(found)) <= LONGEST


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("org.apache.spark.SparkException: Asked to run locally with 0 threads", "Asked to run locally with 0 threads"),
        ("org.apache.spark.SparkException: Could not parse Master URL: 'local[x]'", "Could not parse Master URL"),
        ("io.fabric8.kubernetes.client.KubernetesClientException: An error\nCaused by: java.net.ConnectException: "
         "Connection refused", "spark.kubernetes"),
        ("java.lang.NumberFormatException: Size must be specified as bytes (b)", "=4g"),
        ("org.apache.spark.SparkIllegalArgumentException: [INVALID_DRIVER_MEMORY] System memory 101384192 must be at "
         "least 471859200", "give Spark more"),
        ("java.lang.IllegalArgumentException: spark.memory.fraction should be between 0 and 1", "another value"),
        ("java.net.BindException: Address already in use: Service 'sparkDriver' failed", "choose another one"),
        ("org.apache.spark.SparkException: Number of cores per executor is 2", "change the setting behind it"),
        ("java.lang.ClassNotFoundException: org.foo.Bar", "no jar has the class org.foo.Bar: name its package"),
        ("java.lang.IllegalStateException: All masters are unresponsive! Giving up.", "start the master"),
    ],
)  # fmt: skip
def test_so_is_a_context_that_the_running_jvm_refuses(said, text, why):
    found = gateway.refused(RuntimeError(CONTEXT + text + STACK), {})
    assert why in str(found)
    assert "JavaSparkContext" not in str(found)
    assert len(str(found)) <= LONGEST


def test_a_home_of_spark_that_is_none_is_named_before_a_jvm_starts(monkeypatch):
    monkeypatch.setenv("SPARK_HOME", "/nowhere")
    with pytest.raises(MissingRequirementError, match="SPARK_HOME is /nowhere, which holds no Spark: unset it"):
        gateway._check_home()


def test_a_user_without_a_name_is_told_so_before_a_jvm_starts(monkeypatch):
    pwd = pytest.importorskip("pwd")

    def nobody(_):
        raise KeyError

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    with pytest.raises(MissingRequirementError, match=r"has no name, .* add a line for it to /etc/passwd"):
        gateway._check_user()


def test_options_of_the_users_own_are_named_where_the_jvm_ends(said):
    said.write_text(MAIN + "java.lang.Error: no" + STACK)
    found = gateway.refused(JvmEndedError(), {gateway.OPTIONS: "-Da=b -Dlog4j2.configurationFile=/tmp/x"})
    assert f"look at {gateway.OPTIONS} (-Da=b)" in str(found)


def test_so_are_variables_from_which_it_takes_options_where_no_reason_is_known(said, monkeypatch):
    said.write_text("Unrecognized option: --nonsense" + NO_VM)
    monkeypatch.setenv("JDK_JAVA_OPTIONS", "--nonsense")
    assert ": look at JDK_JAVA_OPTIONS, or unset it; " in str(gateway.refused(EXITED, {}))


def test_a_users_own_logging_stays():
    mine = {gateway.OPTIONS: "-Dlog4j2.configurationFile=mine"}
    assert gateway.logged(mine) == mine
    assert "-Dlog4j2.configurationFile=/" in gateway.logged({gateway.OPTIONS: "-Da=b"})[gateway.OPTIONS]


@pytest.mark.spark("starts JVMs, which end at once")
@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--master", "locl[2]"], "Master must either be yarn"),
        (["--conf", "spark.driver.memory=8"], "Too small maximum heap (spark.driver.memory is 8)"),
        (["--conf", "spark.sql.shuffle.partitions=abc"], "The value 'abc' in the config"),
        (["--conf", "spark.driver.extraJavaOptions=-version"], "look at spark.driver.extraJavaOptions (-version)"),
    ],
)
def test_a_session_that_does_not_start_is_one_line_and_exit_code_3(tmp_path, words, why):
    (tmp_path / "v3.parquet").touch()
    found = command.run("evaluate", "--clusters", "v3.parquet", "--labels", "v3.parquet", *words, cwd=tmp_path)
    assert (found.returncode, found.stdout, found.stderr.count("\n")) == (3, "", 1), found.stderr
    assert why in found.stderr
