"""The command line as a user types it: another process, another engine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import yaml

from tests.conftest import ENGINE


def arguments(*words: object) -> list[str]:
    return [sys.executable, "-m", "cdp_spark", *map(str, words)]


def environment() -> dict[str, str]:
    """What commands find in their environment: Python, and on Spark no more than two cores."""
    spark = {"SPARK_MASTER": os.environ.get("SPARK_MASTER", "local[2]")} if ENGINE == "spark" else {}
    return {**os.environ, "PYSPARK_PYTHON": sys.executable, **spark}


def run(*words: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run on the engine of the tests, unless a word names a master."""
    return subprocess.run(
        arguments(*words), capture_output=True, text=True, timeout=600, check=False, cwd=cwd, env=environment()
    )


def start(*words: object) -> subprocess.Popen[str]:
    """Start without waiting for the end."""
    return popen(arguments(*words))


def popen(words: list[str]) -> subprocess.Popen[str]:
    """Start in a process group of its own, so that it can be killed with its JVM and workers."""
    return subprocess.Popen(
        words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True, start_new_session=True,
        env=environment(),
    )  # fmt: skip


def write_config(path: Path, settings: dict) -> Path:
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return path
