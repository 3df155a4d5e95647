"""Wait for a JVM that PySpark starts, but not for an ended one, and not forever."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import psutil

from cdp_spark.base.errors import MissingRequirementError

_SECONDS, _WITH_DOWNLOADS = 180.0, 1800.0
_SURE_SECONDS = 3.0
"""Time without a process after which the JVM counts as ended, since a script hands over to the JVM."""


class JvmEndedError(Exception):
    """The JVM's process has ended unnoticed: PySpark takes exit code 0 for a running process."""


def seconds_for(settings: Mapping[str, str]) -> float:
    """Return the time limit of a JVM's start, which includes downloads for ``spark.jars.packages``.

    >>> seconds_for({}), seconds_for({"spark.jars.packages": "a:b:1"})
    (180.0, 1800.0)
    """
    return _WITH_DOWNLOADS if settings.get("spark.jars.packages") else _SECONDS


def launched(launch: Callable[[], Any], seconds: float) -> Any:
    """Call a function that starts a JVM, and return its result.

    Parameters
    ----------
    launch : callable
        Starts a process and waits for its answer.
    seconds : float
        Timeout, after which the process is killed.

    Raises
    ------
    JvmEndedError
        If the process has ended.
    MissingRequirementError
        If it has not answered in time.
    """
    before = {child.pid for child in psutil.Process().children()}
    results: list[Any] = []
    raised: list[BaseException] = []

    def call() -> None:
        try:
            results.append(launch())
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    try:
        _wait(thread, before, seconds)
    except BaseException:
        for child in _living(before):
            child.kill()
        raise
    if raised:
        raise raised[0]
    return results[0]


def _wait(thread: threading.Thread, before: set[int], seconds: float) -> None:
    started = last = time.monotonic()
    thread.join(0.1)
    while thread.is_alive():
        now = time.monotonic()
        if _living(before):
            last = now
        elif now - last > _SURE_SECONDS:
            raise JvmEndedError
        if now - started > seconds:
            raise MissingRequirementError(
                f"Spark's JVM has not answered within {seconds:.0f} s: look at spark.driver.extraJavaOptions, "
                "JAVA_TOOL_OPTIONS and the machine's load"
            )
        thread.join(0.2)


def _living(before: set[int]) -> list[psutil.Process]:
    """Return our child processes that began after a time and have not ended."""
    children = (child for child in psutil.Process().children() if child.pid not in before)
    return [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
