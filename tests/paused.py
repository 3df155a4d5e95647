"""A command that waits at a stage until a file says go on: ``python -m tests.paused STAGE MOMENT FOLDER WORDS...``.

Runs are too quick to be disturbed by chance. ``MOMENT`` is ``before`` a stage is made, ``between`` its files and its
manifest, or ``after`` it; ``FOLDER/waits`` appears when the run waits, and ``FOLDER/go`` lets it go on.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from cdp_spark import cli
from cdp_spark.runs.stage_store import StageStore
from tests import command

MOMENTS = ("before", "between", "after")
_SECONDS = 300.0


def start(stage: str, moment: str, folder: Path, *words: object) -> subprocess.Popen[str]:
    """Start such a command, and return once it waits."""
    folder.mkdir(parents=True, exist_ok=True)
    process = command.popen([sys.executable, "-m", "tests.paused", stage, moment, str(folder), *map(str, words)])
    deadline = time.time() + _SECONDS
    while not (folder / "waits").exists():
        assert process.poll() is None, "the run ended before it could be disturbed"
        assert time.time() < deadline
        time.sleep(0.02)
    return process


def go_on(folder: Path) -> None:
    """Let it go on."""
    (folder / "go").touch()


def _wait(folder: Path) -> None:
    (folder / "waits").touch()
    deadline = time.time() + _SECONDS
    while not (folder / "go").exists() and time.time() < deadline:
        time.sleep(0.02)


def _pause(wanted: str, moment: str, folder: Path) -> None:
    make, written = StageStore._make, StageStore._written

    def waiting_make(self, path, name, *rest):
        if name == wanted and moment == "before":
            _wait(folder)
        made = make(self, path, name, *rest)
        if name == wanted and moment == "after":
            _wait(folder)
        return made

    def waiting_written(self, path, name, schema):
        if name == wanted and moment == "between":
            _wait(folder)
        return written(self, path, name, schema)

    StageStore._make, StageStore._written = waiting_make, waiting_written


if __name__ == "__main__":
    _pause(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
    sys.exit(cli.main(sys.argv[4:]))
