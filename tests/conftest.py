"""The one session of all tests: the embedded engine where it is installed, else Spark.

A process has one engine, since PySpark's functions belong to one kind of session. Three variables choose:

- ``CDP_TEST_ENGINE``: ``sail`` or ``spark``.
- ``CDP_TEST_ALL``: on Spark run every test, instead of those alone that need Spark (``SPARK_ONLY``) or are to pass on
  both engines (``engines``).
- ``CDP_TEST_SLOW``: run tests marked ``slow``, too.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import hypothesis
import pytest
from pyspark.sql import SparkSession
from pyspark.sql.types import StructType

from cdp_spark.spark import arrow
from cdp_spark.spark.sail import sail_installed
from cdp_spark.spark.session import local_session

GRAPHFRAMES = "io.graphframes:graphframes-spark4_2.13:0.12.3"

QUICK_JVM = "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m -XX:+UseSerialGC"
"""For drivers and Spark's daemons, as ``spark/spark-defaults.conf`` has it for executors."""

SCATTERED = {"SAIL_EXECUTION__BATCH_SIZE": "64", "SAIL_EXECUTION__DEFAULT_PARALLELISM": "5"}
"""Small batches in several partitions: rows that a kernel needs together would come apart even in small tables."""

# Under emulation, or on a machine that is busy, one draw of a number has taken minutes: no fault of what is tested.
hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")

os.environ.update(SCATTERED)
os.environ.setdefault("SPARK_SUBMIT_OPTS", QUICK_JVM)
os.environ.setdefault("SPARK_CONF_DIR", str(Path(__file__).parent / "spark"))


ENGINE = os.environ.get("CDP_TEST_ENGINE") or ("sail" if sail_installed() else "spark")
"""What the fixture ``spark`` runs on, and commands that name no master."""

if ENGINE == "spark":
    os.environ.setdefault("CDP_ENGINE", "spark")  # or a command would take Sail where both are installed

SPARK_ONLY = ("spark", "graphframes", "cluster", "lake", "connect")
"""Markers of tests that the embedded engine leaves out."""


def start_session(packages: str | None) -> SparkSession:
    os.environ["PYSPARK_PYTHON"] = sys.executable  # else workers may take another python3 of the PATH
    builder = (
        SparkSession.builder.master("local[2]")
        .appName("cdp-spark tests")
        .config("spark.sql.shuffle.partitions", "4")  # the default of 200 is 200 tasks of nothing
        .config("spark.ui.enabled", "false")
        .config("spark.driver.memory", "2g")
        .config("spark.python.unix.domain.socket.enabled", "true")  # as spark.session has it
        .config("spark.sql.session.timeZone", "UTC")
    )
    if packages:
        builder = builder.config("spark.jars.packages", packages)
    return builder.getOrCreate()


@pytest.fixture(scope="session")
def spark(request: pytest.FixtureRequest) -> Iterator[SparkSession]:
    """Local session; a jar can only be asked for before the first start, so the wish of any test decides for all."""
    if ENGINE == "sail":
        yield local_session(engine="sail")
        return
    session = None
    if any(item.get_closest_marker("graphframes") for item in request.session.items):
        try:
            session = start_session(GRAPHFRAMES)
        except Exception:  # a jar that cannot be resolved ends the JVM before there is a session: go on without
            SparkSession.builder._options.clear()
    session = session or start_session(None)
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()


@pytest.fixture(autouse=True)
def _without_reports(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the report out of runs of tests that do not look at it: it takes longer than most of them."""
    looks = request.node.get_closest_marker("report") or "tests/report" in request.node.path.as_posix()
    if "spark" in request.fixturenames and not looks:
        monkeypatch.setattr("cdp_spark.commands.cluster.write_report", lambda run: "")


@pytest.fixture(autouse=True)
def _as_sail_may_call(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give every kernel that a test maps over a table no batch at all, too: Sail makes partitions without a row."""
    if "spark" not in request.fixturenames:
        return
    within, in_a_worker = arrow._in_this_process, arrow._in_a_worker

    def tried(make: Callable[..., arrow.Mapped]) -> Callable[..., arrow.Mapped]:
        def made(kernel: arrow.Kernel, schema: StructType) -> arrow.Mapped:
            if not kernel.__qualname__.startswith("_limited."):  # those run in one task, which has rows
                list(within(kernel, schema)([]))
            return make(kernel, schema)

        return made

    monkeypatch.setattr(arrow, "_in_this_process", tried(within))
    monkeypatch.setattr(arrow, "_in_a_worker", tried(in_a_worker))


@pytest.fixture(scope="session")
def graphframes_spark(spark: SparkSession) -> SparkSession:
    """The same session, where GraphFrames' jar was resolved as a user's session would."""
    from cdp_spark.clusters.forest.components import graphframes_available

    available, reason = graphframes_available(spark)
    if not available:
        pytest.skip(f"GraphFrames: {reason}; spark.jars.packages={GRAPHFRAMES} did not resolve")
    return spark


DEAR = ("lake", "connect", "cluster", "slow")
"""Markers of tests that start Sparks of their own, or take long: they come last."""

LONGEST = "test_notebooks.py"
"""Of the files with dear tests: comes first of them, for a worker that begins it at the end would end alone."""

DEADLINE = float(os.environ.get("CDP_TEST_DEADLINE", "inf"))
"""Seconds since 1970 after which no test begins: a slow machine leaves out what comes last, and says so."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep what this engine is for, and put files with dear tests behind the others."""
    if ENGINE == "spark" and not os.environ.get("CDP_TEST_ALL"):
        here = {item for item in items if marker_of(item, SPARK_ONLY) or on_both_engines(item)}
        config.hook.pytest_deselected(items=[item for item in items if item not in here])
        items[:] = [item for item in items if item in here]
    dear = {item.path for item in items if marker_of(item, DEAR)}
    first = [item for item in items if item.path not in dear]
    rest = sorted((item for item in items if item.path in dear), key=lambda item: item.path.name != LONGEST)
    items[:] = [*first, *rest]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Begin nothing after the deadline, nor what another engine is for."""
    if ENGINE == "sail" and (found := marker_of(item, SPARK_ONLY)):
        why = item.get_closest_marker(found).args
        pytest.skip(f"{found}{f' ({why[0]})' if why else ''}: needs Spark; run with CDP_TEST_ENGINE=spark")
    if marker_of(item, ("slow",)) and not os.environ.get("CDP_TEST_SLOW"):
        pytest.skip("slow: run with CDP_TEST_SLOW=1")
    if time.time() > DEADLINE:
        pytest.skip("not begun: the time for tests is over (CDP_TEST_DEADLINE)")


def on_both_engines(item: pytest.Item) -> bool:
    """Say whether a test carries ``engines``; with ids in it, they are those of a few of its parameters."""
    marker, case = item.get_closest_marker("engines"), getattr(item, "callspec", None)
    return marker is not None and (not marker.args or (case is not None and case.id in marker.args))


def marker_of(item: pytest.Item, names: Sequence[str]) -> str | None:
    """Return the first of some markers that a test carries."""
    return next((name for name in names if item.get_closest_marker(name)), None)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many of the tests that need the jar ran."""

    def count(outcome: str) -> int:
        reports = terminalreporter.getreports(outcome)
        return sum("graphframes" in getattr(report, "keywords", ()) for report in reports)

    if ENGINE == "sail":
        return
    ran = count("passed") + count("failed")
    terminalreporter.write_line(f"GraphFrames tests: {ran} ran, {count('skipped')} skipped")
