"""The command line as a user types it: another process, another JVM."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import yaml


def arguments(*words: object) -> list[str]:
    return [sys.executable, "-m", "cdp_spark", *map(str, words)]


def run(*words: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(arguments(*words), capture_output=True, text=True, timeout=600, check=False, cwd=cwd)


def start(*words: object) -> subprocess.Popen[str]:
    """Start in a process group of its own, so that it can be killed with its JVM and workers."""
    return subprocess.Popen(
        arguments(*words), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True, start_new_session=True,
        env={**os.environ, "PYSPARK_PYTHON": sys.executable},
    )  # fmt: skip


def write_config(path: Path, settings: dict) -> Path:
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return path
