"""A JVM that has ended, or does not answer, is not waited for."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from cdp_spark.base.errors import MissingRequirementError
from cdp_spark.spark import jvm_start
from cdp_spark.spark.jvm_start import JvmEndedError, launched


def starts(code: str, processes: list) -> None:
    """Start a process and wait as PySpark does, for a file that never comes; here not for ever."""
    processes.append(subprocess.Popen([sys.executable, "-c", code]))
    until = time.monotonic() + 20
    while not processes[0].poll() and time.monotonic() < until:
        time.sleep(0.01)
    raise RuntimeError("JAVA_GATEWAY_EXITED")


def test_what_the_launch_returns_or_raises_comes_back():
    assert launched(lambda: "gateway", 60) == "gateway"
    with pytest.raises(RuntimeError, match="GATEWAY_EXITED"):
        launched(lambda: starts("raise SystemExit(1)", []), 60)


def test_a_process_that_ends_with_0_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(jvm_start, "_SURE_SECONDS", 0.1)
    with pytest.raises(JvmEndedError):
        launched(lambda: starts("", []), 60)


def test_one_that_does_not_answer_is_given_up_and_killed():
    processes: list[subprocess.Popen[bytes]] = []
    with pytest.raises(MissingRequirementError, match=r"has not answered within 0 s: look at spark\.driver\.extra"):
        launched(lambda: starts("import time; time.sleep(600)", processes), 0.3)
    assert processes[0].wait(30) < 0
