"""Choose the engine once, before any work: Sail if one machine is enough, otherwise Spark."""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal, cast, get_args

from cdp_spark.base.errors import ConfigError, MissingRequirementError
from cdp_spark.spark.differences import is_sail, server_version
from cdp_spark.spark.sail import sail_installed, serves

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

Name = Literal["sail", "spark"]
Wanted = Literal["auto", "sail", "spark"]

# spark-submit, and Databricks' jobs and notebooks: the JVM runs already, with its master and logging.
STARTED_ELSEWHERE = {"PYSPARK_GATEWAY_PORT": "spark-submit", "DATABRICKS_RUNTIME_VERSION": "Databricks"}
_INSTALL = "pip install 'cdp-spark[local]' for the embedded engine, which needs no Java, or 'cdp-spark[spark]'"


@dataclass(frozen=True)
class Engine:
    """The engine of a session, its version, and why it was chosen."""

    name: Name
    version: str
    reason: str


_known: dict[int, Engine] = {}


def choose_engine(
    wanted: str | None = None,
    *,
    configured: str = "auto",
    master: str | None = None,
    conf: Mapping[str, str] | None = None,
    needs_spark: str | None = None,
) -> tuple[Name, str]:
    """Choose the engine of a session that is about to start.

    Parameters
    ----------
    wanted : {"auto", "sail", "spark"}, optional
        Value of the option; default: ``CDP_ENGINE``, then ``configured``.
    configured : {"auto", "sail", "spark"}
        Value of the config.
    master : str, optional
        Spark master or remote that an option, the environment or ``spark-defaults.conf`` names.
    conf : mapping of str to str, optional
        Spark settings for this session.
    needs_spark : str, optional
        Why the work needs Spark, if it does.

    Returns
    -------
    name : {"sail", "spark"}
    reason : str
        Completes the sentence "the engine is Sail: ...".

    Raises
    ------
    ConfigError
        If the engine is unknown, or Sail is requested with something that only Spark has.
    MissingRequirementError
        If the engine is not installed.
    """
    asked, origin = _asked(wanted, configured)
    spark_only = _spark_only(master, conf or {}) or needs_spark
    if asked == "sail":
        if spark_only is not None:
            raise ConfigError(f"{origin} sail: {spark_only}, which needs Spark: leave one of the two out")
        _check_sail()
        return "sail", f"{origin} says so"
    if asked == "spark" or spark_only is not None:
        try:
            _check_spark(remote=(master or "").startswith("sc://"))
        except MissingRequirementError as error:
            raise MissingRequirementError(f"{spark_only or origin + ' spark'}, but {error}") from None
        return "spark", f"{origin} says so" if asked == "spark" else str(spark_only)
    if sail_installed():
        _check_sail()
        return "sail", "one machine, and nothing asks for Spark"
    _check_spark(remote=False)
    return "spark", "Sail is not installed"


def engine_of(spark: SparkSession) -> Engine:
    """Return the engine of a session, whether we started it or not."""
    known = _known.get(id(spark))
    return known or _described(spark, "the session that was given runs on it")


def remember(spark: SparkSession, reason: str) -> None:
    """Record why we chose the engine of a session."""
    _known[id(spark)] = _described(spark, reason)


def on_one_machine(spark: SparkSession) -> bool:
    """Return whether the engine runs only on this machine, so that its files are this process's files."""
    if is_sail(spark):
        return True
    try:
        return (spark.conf.get("spark.master", "") or "").split("[")[0] == "local"
    except Exception:  # a managed platform may hide it
        return False


def _described(spark: SparkSession, reason: str) -> Engine:
    return Engine("sail", server_version(spark), reason) if is_sail(spark) else Engine("spark", spark.version, reason)


def _asked(wanted: str | None, configured: str) -> tuple[Wanted, str]:
    given = {"engine": wanted, "CDP_ENGINE": os.environ.get("CDP_ENGINE")}
    origin, value = next(((name, each) for name, each in given.items() if each), ("engine", configured))
    if value not in get_args(Wanted):
        raise ConfigError(f"{origin} {value}: it must be auto, spark or sail")
    return cast(Wanted, value), origin


def _spark_only(master: str | None, conf: Mapping[str, str]) -> str | None:
    """Name a given setting that only Spark supports."""
    for name, where in STARTED_ELSEWHERE.items():
        if name in os.environ:
            return f"{where} has started Spark"
    if master is not None:
        return f"the master is {master}"
    settings = sorted(setting for setting in conf if not serves(setting))
    return f"{settings[0]} is a setting of Spark" if settings else None


def _check_sail() -> None:
    if not sail_installed():
        raise MissingRequirementError("Sail is not installed: pip install 'cdp-spark[local]'")
    _check_client()


def _check_spark(*, remote: bool) -> None:
    _check_client()
    if not remote and find_spec("pyspark.core") is None:
        raise MissingRequirementError(
            "only pyspark-client is installed, which cannot start Spark: "
            "pip uninstall -y pyspark-client, then pip install 'cdp-spark[spark]', or use the engine sail"
        )


def _check_client() -> None:
    """Refuse to start without PySpark, or with two that have overwritten each other."""
    if find_spec("pyspark") is None:
        raise MissingRequirementError(f"no engine is installed: {_INSTALL}")
    both = [name for name in ("pyspark", "pyspark-client") if _installed(name)]
    if len(both) == 2:
        raise MissingRequirementError(
            "pyspark and pyspark-client are both installed and overwrite each other's files: "
            "pip uninstall -y pyspark pyspark-client, then pip install 'cdp-spark[local]' or 'cdp-spark[spark]'"
        )


def _installed(distribution: str) -> bool:
    try:
        importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
