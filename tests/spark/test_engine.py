"""Which engine runs, rule by rule: the option, then CDP_ENGINE, then the config, then what asks for Spark."""

from __future__ import annotations

import importlib.metadata
from types import SimpleNamespace

import pytest
from pyspark.sql import SparkSession

from cdp_spark import cli
from cdp_spark.base.errors import ConfigError, MissingRequirementError
from cdp_spark.config.loading import load_config
from cdp_spark.sources.work_size import needs_of
from cdp_spark.spark import engine, given_settings
from cdp_spark.spark.engine import choose_engine, engine_of, on_one_machine
from tests.conftest import ENGINE

VARIABLES = ("CDP_ENGINE", "SPARK_MASTER", "SPARK_REMOTE", "SPARK_CONF_DIR", "SPARK_HOME", *engine.STARTED_ELSEWHERE)


@pytest.fixture(autouse=True)
def _machine(monkeypatch):
    """A machine with both engines, one PySpark, and nothing in its environment."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    installed(monkeypatch, "pysail", "pyspark", "pyspark.core", packages=["pyspark"])


def installed(monkeypatch, *modules: str, packages=()) -> None:
    monkeypatch.setattr(engine, "sail_installed", lambda: "pysail" in modules)
    monkeypatch.setattr(engine, "find_spec", lambda name: SimpleNamespace() if name in modules else None)
    monkeypatch.setattr(engine, "_installed", lambda name: name in packages)


def test_one_machine_and_nothing_that_asks_for_spark_is_sail():
    assert choose_engine() == ("sail", "one machine, and nothing asks for Spark")
    assert choose_engine("auto", conf={"spark.sql.session.timeZone": "UTC"})[0] == "sail"


def test_the_option_wins_over_the_variable_and_the_variable_over_what_is_found(monkeypatch):
    monkeypatch.setenv("CDP_ENGINE", "spark")
    assert choose_engine() == ("spark", "CDP_ENGINE says so")
    assert choose_engine("sail") == ("sail", "engine says so")
    assert choose_engine("auto")[0] == "sail"


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"master": "local[2]"}, "the master is local[2]"),
        ({"master": "spark://far:7077"}, "the master is spark://far:7077"),
        ({"master": "sc://far:15002"}, "the master is sc://far:15002"),
        ({"conf": {"spark.executor.memory": "4g"}}, "spark.executor.memory is a setting of Spark"),
        ({"needs_spark": "faces is a table of a catalog"}, "faces is a table of a catalog"),
    ],
)
def test_what_only_spark_has_is_spark_and_refused_beside_sail(given, reason):
    assert choose_engine(**given) == ("spark", reason)
    assert choose_engine("auto", **given) == ("spark", reason)
    with pytest.raises(ConfigError) as refused:
        choose_engine("sail", **given)
    assert str(refused.value) == f"engine sail: {reason}, which needs Spark: leave one of the two out"


@pytest.mark.parametrize(("sign", "where"), engine.STARTED_ELSEWHERE.items())
def test_where_spark_was_started_elsewhere_it_is_taken(monkeypatch, sign, where):
    monkeypatch.setenv(sign, "1")
    assert choose_engine() == ("spark", f"{where} has started Spark")


@pytest.mark.parametrize("origin", ["option", "SPARK_MASTER", "SPARK_REMOTE", "spark.master", "spark.remote", "file"])
def test_a_master_is_found_wherever_it_is_named(monkeypatch, tmp_path, origin):
    given, conf = "local[7]", {}
    if origin.startswith("SPARK_"):
        monkeypatch.setenv(origin, given)
    elif origin == "file":
        (tmp_path / "spark-defaults.conf").write_text(f"spark.master {given}\n")
        monkeypatch.setenv("SPARK_CONF_DIR", str(tmp_path))
    elif origin != "option":
        conf[origin] = given
    assert (
        given_settings.master_given(given if origin == "option" else None, given_settings.settings_given(conf)) == given
    )
    assert given_settings.master_given("other", given_settings.settings_given(conf)) == "other"


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({}, None),
        ({"clusters": {"components": "graphframes"}}, "clusters.components is graphframes"),
        ({"input": {"base": {"table": "faces"}}}, "faces is a table of a catalog"),
        ({"input": {"base": "a", "committee": [{"path": "b", "format": "orc"}]}}, "b has the format orc"),
        ({"input": {"base": {"path": "a", "format": "delta"}}}, None),
        ({"publish": {"table": "gold.faces"}}, "publish writes to a table of a catalog"),
    ],
)
def test_what_a_config_needs_is_known_before_any_engine_starts(settings, reason):
    assert needs_of(load_config({"input": {"base": "a.parquet"}, "output": "run", **settings})) == reason


def test_an_unknown_engine_is_refused_with_those_there_are(monkeypatch):
    with pytest.raises(ConfigError, match="engine flink: it must be auto, spark or sail"):
        choose_engine("flink")
    monkeypatch.setenv("CDP_ENGINE", "flink")
    with pytest.raises(ConfigError, match="CDP_ENGINE flink"):
        choose_engine()


def test_without_sail_it_is_spark_and_sail_is_refused(monkeypatch):
    installed(monkeypatch, "pyspark", "pyspark.core", packages=["pyspark"])
    assert choose_engine() == ("spark", "Sail is not installed")
    with pytest.raises(MissingRequirementError, match=r"Sail is not installed: pip install 'cdp-spark\[local\]'"):
        choose_engine("sail")


def test_a_client_alone_serves_sail_and_a_remote_and_no_spark_of_its_own(monkeypatch):
    installed(monkeypatch, "pysail", "pyspark", packages=["pyspark-client"])
    assert choose_engine()[0] == "sail"
    assert choose_engine(master="sc://far:15002")[0] == "spark"
    with pytest.raises(MissingRequirementError, match="only pyspark-client is installed, which cannot start Spark"):
        choose_engine(master="local[2]")


def test_without_any_pyspark_both_ways_to_get_one_are_named(monkeypatch):
    installed(monkeypatch)
    with pytest.raises(MissingRequirementError, match=r"cdp-spark\[local\].*cdp-spark\[spark\]"):
        choose_engine()


@pytest.mark.parametrize(
    ("modules", "packages", "words", "said"),
    [
        (["pysail", "pyspark", "pyspark.core"], ["pyspark", "pyspark-client"], [], "overwrite each other's files"),
        (["pysail", "pyspark"], ["pyspark-client"], ["--master", "local[2]"], "only pyspark-client is installed"),
    ],
    ids=["both PySparks", "only the client"],
)
def test_what_is_wrong_with_the_installation_is_one_line_and_exit_code_3(
    monkeypatch, capsys, tmp_path, modules, packages, words, said
):
    installed(monkeypatch, *modules, packages=packages)
    monkeypatch.setattr(SparkSession, "getActiveSession", staticmethod(lambda: None))
    (tmp_path / "a.parquet").touch()
    given = ["cluster", "--base", str(tmp_path / "a.parquet"), "--output", str(tmp_path / "run")]
    assert cli.main([*given, *words]) == 3
    told = capsys.readouterr()
    assert (told.out, told.err.count("\n")) == ("", 1)
    assert said in told.err
    assert "pip " in told.err


@pytest.mark.engines
def test_a_session_tells_its_engine_and_why_it_was_chosen(spark):
    found = engine_of(spark)
    assert found.name == ENGINE
    assert found.version == (importlib.metadata.version("pysail") if ENGINE == "sail" else spark.version)
    given = "the session that was given runs on it"
    assert found.reason == ("engine says so" if ENGINE == "sail" else given)
    assert on_one_machine(spark)
