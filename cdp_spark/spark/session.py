"""The Spark session of commands, jobs and notebooks. The library itself never makes a session."""

from __future__ import annotations

import locale
import logging
import os
import re
import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass

from pyspark.sql import SparkSession

from cdp_spark.base.errors import CdpError
from cdp_spark.base.process_limits import check_limits
from cdp_spark.files.object_stores import take_settings
from cdp_spark.spark import gateway, remote
from cdp_spark.spark.differences import is_sail
from cdp_spark.spark.engine import choose_engine, remember
from cdp_spark.spark.given_settings import check_files, master_given, remote_given, settings_given, submitted
from cdp_spark.spark.java import java_home
from cdp_spark.spark.local_settings import local_settings
from cdp_spark.spark.sail import keep_from_proxies, server_url, serves

__all__ = ["cores", "java_home", "local_session", "spark_log"]


def local_session(
    master: str | None = None,
    conf: Mapping[str, str] | None = None,
    *,
    engine: str | None = None,
    configured: str = "auto",
    needs_spark: str | None = None,
    app_name: str = "cdp-spark",
) -> SparkSession:
    """Get the running session, or start one.

    Parameters
    ----------
    master : str, optional
        Spark master; ``sc://...`` is a Spark Connect server. Default: Spark's own settings, else the embedded
        engine, else ``local[*]``.
    conf : mapping of str to str, optional
        Spark settings; they override ``spark-defaults.conf``, which overrides our defaults.
    engine : {"auto", "sail", "spark"}, optional
        Default: ``CDP_ENGINE``, else ``configured``. ``auto`` is Sail unless something asks for Spark.
    configured : {"auto", "sail", "spark"}
        Value of the config.
    needs_spark : str, optional
        Why the work needs Spark, if it does.
    app_name : str

    Raises
    ------
    ConfigError
        If Sail is requested with something that only Spark has.
    MissingRequirementError
        If the engine is not installed, a limit of this process is too low, or Spark must start here without a suitable
        Java.
    """
    _silence_noise()
    session = SparkSession.getActiveSession()
    if session is None:
        check_limits()
        asked = _Asked(master, dict(conf or {}), settings_given(conf), app_name)
        where = master_given(master, asked.settings)
        choice = choose_engine(engine, configured=configured, master=where, conf=conf, needs_spark=needs_spark)
        session = _sail_session(asked) if choice[0] == "sail" else _spark_session(asked)
        remember(session, choice[1])
    take_settings(session)
    return session


@dataclass(frozen=True)
class _Asked:
    """Request for a new session: master, the caller's settings, and all settings."""

    master: str | None
    given: dict[str, str]
    settings: Mapping[str, str]
    app_name: str


def _sail_session(asked: _Asked) -> SparkSession:
    known = {key: value for key, value in asked.settings.items() if serves(key)}
    before = os.environ.get("SPARK_REMOTE")
    builder = SparkSession.builder.remote(server_url(known))
    session = _started(builder, _shared_settings() | known, asked.app_name)
    # PySpark stores the server there, and a child process would take it for the user's choice.
    if before is None:
        os.environ.pop("SPARK_REMOTE", None)
    return session


def _spark_session(asked: _Asked) -> SparkSession:
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # otherwise workers may use another python3
    where = master_given(asked.master, asked.settings)
    server = remote_given(asked.master, asked.settings)
    if server is not None:
        return _remote_session(server, asked)
    if submitted():
        _take_wheels()
        builder = SparkSession.builder if where is None else SparkSession.builder.master(where)
        return _started(builder, _shared_settings() | asked.given, asked.app_name)
    java_home()
    where = where or "local[*]"
    use_a_locale_of_utf8()
    check_files(asked.settings)
    remote.check_masters(where)
    settings = _shared_settings() | (local_settings() if where.startswith("local") else {}) | dict(asked.settings)
    settings = gateway.logged(settings)
    gateway.start(where, settings)
    return _started(SparkSession.builder.master(where), settings, asked.app_name)


def _remote_session(server: str, asked: _Asked) -> SparkSession:
    """Connect to a server; for other remotes than ``sc://``, PySpark starts Spark and a server here."""
    if server.startswith("sc://"):
        remote.check_connect(server)
        # A server has its own settings, and serverless compute refuses most of ours; a client uses Arrow anyway.
        settings = {key: value for key, value in _shared_settings().items() if "arrow" not in key}
    else:
        java_home()
        use_a_locale_of_utf8()
        keep_from_proxies()
        settings = _shared_settings()
    return _started(SparkSession.builder.remote(server), settings | asked.given, asked.app_name)


def use_a_locale_of_utf8() -> None:
    """Let a JVM and workers that we start read paths as UTF-8, like Python in these locales.

    Python overrides ``LANG=C`` by itself, but not ``LC_ALL``, nor a locale that is not installed.
    """
    held = locale.setlocale(locale.LC_CTYPE)  # "C" also where the one that is asked for is not installed
    if sys.flags.utf8_mode and "utf8" not in held.lower().replace("-", ""):
        os.environ["LC_ALL"] = "C.UTF-8"


def cores(spark: SparkSession) -> int | None:
    """Return how many tasks run at once, if the settings say: for ``local``, or for a fixed number of executors.

    Sail runs as many as this machine has cores.

    >>> from types import SimpleNamespace
    >>> of = lambda **settings: SimpleNamespace(conf=SimpleNamespace(get=lambda key, default=None: settings.get(
    ...     key.rpartition(".")[2], default)))
    >>> cores(of(master="local[3]")), cores(of(master="local-cluster[2,4,1024]")), cores(of(master="yarn"))
    (3, 8, None)
    """
    if is_sail(spark):
        return os.cpu_count()
    try:
        master = spark.conf.get("spark.master", "") or ""
        executors, each = (spark.conf.get(f"spark.executor.{name}", None) for name in ("instances", "cores"))
    except Exception:  # a managed platform may hide them
        return None
    numbers = [int(number) for number in re.findall(r"\d+", master)] if master.startswith("local") else []
    if master.startswith("local-cluster"):
        return numbers[0] * numbers[1]
    if master.startswith("local"):
        return numbers[0] if numbers else (os.cpu_count() or 1) if "*" in master else 1
    return int(executors) * int(each) if executors and each else None


def spark_log() -> str | None:
    """Return our file of Spark's warnings and errors in this process, or None."""
    return gateway.output()


def _started(builder: SparkSession.Builder, settings: Mapping[str, str], app_name: str) -> SparkSession:
    builder = builder.appName(app_name)
    for key, value in settings.items():
        if key not in ("spark.master", "spark.remote"):
            builder = builder.config(key, value)
    try:
        return builder.getOrCreate()
    except CdpError:
        raise
    except Exception as error:  # any error here means that something is missing
        raise gateway.refused(error, settings) from error


def _silence_noise() -> None:
    """Keep PySpark from printing the JVM's stack, as a line of JSON, before we can say in one line what is wrong.

    Also keep it from warning that it does not support all of pandas 3: what we use works.
    """
    warnings.filterwarnings("ignore", message="PySpark does not yet fully support pandas", category=FutureWarning)
    try:
        from pyspark.logger import PySparkLogger

        for name in ("DataFrameQueryContextLogger", "SQLQueryContextLogger"):
            PySparkLogger.getLogger(name).setLevel(logging.CRITICAL + 1)
    except ImportError:
        return


def _take_wheels() -> None:
    """Let workers import from a wheel of ``--py-files``: by itself PySpark (to 4.1) gives them .zip, .egg and .jar."""
    try:
        from pyspark import SparkContext

        SparkContext.PACKAGE_EXTENSIONS = {*SparkContext.PACKAGE_EXTENSIONS, ".whl"}
    except (ImportError, AttributeError):  # a client of Spark Connect has no such thing, nor needs it
        return


def _shared_settings() -> dict[str, str]:
    # Times are the same on every machine; frames of a few rows come to the driver as Arrow.
    return {"spark.sql.session.timeZone": "UTC", "spark.sql.execution.arrow.pyspark.enabled": "true"}
