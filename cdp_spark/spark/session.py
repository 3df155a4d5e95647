"""The Spark session of commands, jobs and notebooks. The library itself makes none."""

from __future__ import annotations

import atexit
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil
from pyspark.sql import SparkSession

from cdp_spark.files.object_stores import take_settings
from cdp_spark.spark.differences import is_sail
from cdp_spark.spark.engine import STARTED_ELSEWHERE, choose_engine, remember
from cdp_spark.spark.java import java_home
from cdp_spark.spark.sail import server_url, serves

__all__ = ["cores", "java_home", "local_session", "spark_log"]

_log: list[str] = []
_JVM_OPTIONS = "spark.driver.extraJavaOptions"
_LOG_CONFIG = """rootLogger.level = warn
rootLogger.appenderRef.file.ref = file
rootLogger.appenderRef.console.ref = console
appender.file.type = File
appender.file.name = file
appender.file.fileName = {log}
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d{{yyyy-MM-dd HH:mm:ss}} %p %c{{1}}: %m%n%ex
appender.console.type = Console
appender.console.name = console
appender.console.target = SYSTEM_ERR
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{{HH:mm:ss}} %p %c{{1}}: %m%n
appender.console.filter.threshold.type = ThresholdFilter
appender.console.filter.threshold.level = fatal
"""


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
        Spark master; ``sc://...`` is a Spark Connect server. Default: what Spark's own settings say, else the embedded
        engine, else ``local[*]``.
    conf : mapping of str to str, optional
        Spark settings; they win over those of ``spark-defaults.conf``, and these over ours.
    engine : {"auto", "sail", "spark"}, optional
        Default: ``CDP_ENGINE``, else ``configured``. ``auto`` is Sail unless something asks for Spark.
    configured : {"auto", "sail", "spark"}
        What a config says.
    needs_spark : str, optional
        Why the work at hand needs Spark, where it does.
    app_name : str

    Raises
    ------
    ConfigError
        If Sail is asked for together with what only Spark has.
    MissingRequirementError
        If the engine is not installed, or Spark is to start here and there is no Java 17 or 21.
    """
    session = SparkSession.getActiveSession()
    if session is None:
        asked = _Asked(master, dict(conf or {}), settings_given(conf), app_name)
        where = master_given(master, asked.settings)
        choice = choose_engine(engine, configured=configured, master=where, conf=conf, needs_spark=needs_spark)
        session = _sail_session(asked) if choice[0] == "sail" else _spark_session(asked)
        remember(session, choice[1])
    take_settings(session)
    return session


@dataclass(frozen=True)
class _Asked:
    """What a caller asks of a new session: a master, settings of their own, and all that hold."""

    master: str | None
    given: dict[str, str]
    settings: Mapping[str, str]
    app_name: str


def settings_given(conf: Mapping[str, str] | None) -> dict[str, str]:
    """Return the Spark settings that hold: those given, over those of ``spark-defaults.conf``."""
    # Where Spark was started by another program, it has read the file itself, and that program's settings win over it.
    return dict(conf or {}) if _submitted() else _file_defaults() | dict(conf or {})


def master_given(master: str | None, settings: Mapping[str, str]) -> str | None:
    """Return the master or remote that an option, a setting or the environment names; None where none does."""
    return (
        master
        or _remote(master, settings)
        or settings.get("spark.master")
        or (None if _submitted() else os.environ.get("SPARK_MASTER"))
    )


def _remote(master: str | None, settings: Mapping[str, str]) -> str | None:
    """Return the server of Spark Connect that is asked for; ``local[2]`` as a remote starts one here."""
    if master is not None:
        return master if master.startswith("sc://") else None
    return settings.get("spark.remote") or os.environ.get("SPARK_REMOTE")


def _submitted() -> bool:
    return any(name in os.environ for name in STARTED_ELSEWHERE)


def _sail_session(asked: _Asked) -> SparkSession:
    known = {key: value for key, value in asked.settings.items() if serves(key)}
    before = os.environ.get("SPARK_REMOTE")
    builder = SparkSession.builder.remote(server_url(known))
    session = _started(builder, _shared_settings() | known, asked.app_name)
    # PySpark notes the server there: a process that we start would take it for the user's own wish.
    if before is None:
        os.environ.pop("SPARK_REMOTE", None)
    return session


def _spark_session(asked: _Asked) -> SparkSession:
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # workers may else take another python3
    where = master_given(asked.master, asked.settings)
    remote = _remote(asked.master, asked.settings)
    if remote is not None:
        return _started(SparkSession.builder.remote(remote), _shared_settings() | asked.given, asked.app_name)
    if _submitted():
        _take_wheels()
        builder = SparkSession.builder if where is None else SparkSession.builder.master(where)
        return _started(builder, _shared_settings() | asked.given, asked.app_name)
    java_home()
    where = where or "local[*]"
    settings = _shared_settings() | (_local_settings() if where.startswith("local") else {}) | dict(asked.settings)
    settings[_JVM_OPTIONS] = _with_log(settings.get(_JVM_OPTIONS, ""))
    return _started(SparkSession.builder.master(where), settings, asked.app_name)


def cores(spark: SparkSession) -> int | None:
    """Return how many tasks run at once, as far as settings tell: of ``local``, or of executors of a fixed number.

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
    """Return the file that Spark's warnings and errors of this process go to, or None where it has none of ours."""
    return _log[0] if _log and Path(_log[0]).exists() else None


def _started(builder: SparkSession.Builder, settings: Mapping[str, str], app_name: str) -> SparkSession:
    builder = builder.appName(app_name)
    for key, value in settings.items():
        if key not in ("spark.master", "spark.remote"):
            builder = builder.config(key, value)
    return builder.getOrCreate()


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


def _local_settings() -> dict[str, str]:
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")  # a host name that does not resolve would stop Spark
    memory = min(8, max(2, int(_memory_bytes() * 0.3 / 2**30)))  # most of the rest is for Python workers
    return {
        "spark.driver.memory": f"{memory}g",
        # The default of 200 is 200 tasks of next to nothing.
        "spark.sql.shuffle.partitions": str(2 * (os.cpu_count() or 1)),
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",  # it would write over our own line
        "spark.python.daemon.module": "cdp_spark.spark.python_daemon",
        **_socket_settings(),
    }


def _socket_settings() -> dict[str, str]:
    """Let Spark 4.1 talk to its Python workers without TCP; older releases do not know these settings.

    With large batches both ways a loopback connection can stop for good: each side's receive buffer is full, and the
    kernel drops what would free it (seen on Linux 6.18).
    """
    if sys.platform != "linux":
        return {}
    folder = tempfile.mkdtemp(prefix="cdp-spark-")  # this user's alone
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return {"spark.python.unix.domain.socket.enabled": "true", "spark.python.unix.domain.socket.dir": folder}


def _memory_bytes() -> int:
    """Return what this process may use: a container's limit, where there is one below the machine's memory."""
    total = int(psutil.virtual_memory().total)
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            return min(total, int(Path(limit).read_text()))
        except (OSError, ValueError):  # no such file, or "max"
            continue
    return total


def _file_defaults() -> dict[str, str]:
    """Read ``spark-defaults.conf``, which our own defaults must not win over."""
    home = os.environ.get("SPARK_HOME")
    folder = os.environ.get("SPARK_CONF_DIR") or (f"{home}/conf" if home else None)
    if folder is None or not (file := Path(folder, "spark-defaults.conf")).is_file():
        return {}
    lines = (line.strip() for line in file.read_text().splitlines())
    pairs = (re.split(r"\s*=\s*|\s+", line, maxsplit=1) for line in lines if line and not line.startswith("#"))
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2}


def _with_log(options: str) -> str:
    """Send Spark's warnings to a file, so that stderr holds progress and our own one line; a user's own way stays."""
    if "log4j" in options:
        return options
    folder = tempfile.mkdtemp(prefix="cdp-spark-")  # this user's alone
    log, config = f"{folder}/spark.log", f"{folder}/log4j2.properties"
    Path(config).write_text(_LOG_CONFIG.format(log=log))
    _log[:] = [log]
    return f"{options} -Dlog4j2.configurationFile={config}".strip()
