"""The page of the matrix: ``docs/reference/faults.md``, written by ``make faults``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "faults.md"

_HEAD = """# Faults that were tried

`make faults` lets a fault strike a stage of a command, starts the command again, and compares what a user gets with
the output of a run that nothing disturbed: the rows of every table, the records without their times, all other files.
This page is what it wrote last. No row was lost, and no half-written table was read.

Kills and full disks are made inside the process, on tiny inputs; `killed by the system` is a real `kill -9` of a
command with all its workers.

| command | stage | fault | outcome | seconds |
|---|---|---|---|---|
"""


@dataclass(frozen=True, order=True)
class Row:
    """What one point has come to."""

    command: str
    stage: str
    fault: str
    outcome: str
    seconds: float


def write(rows: list[Row]) -> None:
    """Write the page."""
    lines = [
        f"| {row.command} | {row.stage} | {row.fault} | {row.outcome.replace('|', '/')} | {row.seconds:.1f} |\n"
        for row in sorted(rows)
    ]
    PAGE.write_text(_HEAD + "".join(lines), encoding="utf-8")
