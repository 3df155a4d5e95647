"""The matrix: every stage of every command, every fault, and which pairs of them are tried."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
from importlib.util import find_spec

from cdp_spark.runs.register import STAGES
from tests.faults.commands import COMMANDS
from tests.faults.faults import FAULTS
from tests.faults.struck import PUBLISHED

DRAWN = 15
SEED = int(os.environ.get("CDP_FAULTS_SEED") or 0)

_NUMBERS = {stage.name for stage in STAGES if stage.numbers}
_FEWEST = 6
"""Points of each fault, where so many stages can be struck by it."""


_FOUND = (
    ("vote", "knn", "disk full"), ("vote", "knn", "read-only output"), ("vote", "run.json", "read-only output"),
    ("vote", f"clusters{PUBLISHED}", "damaged page"), ("vote", "latest.json", "damaged page"),
    ("vote", "run.json", "damaged page"), ("vote", "config.yaml", "lease taken over"),
    ("vote", "items", "clock jumps back"), ("export", "card.json", "lease taken over"),
)  # fmt: skip
"""Points that failed once, whatever is drawn."""


@dataclass(frozen=True, order=True)
class Point:
    """A fault that strikes one stage of one command."""

    command: str
    stage: str
    fault: str

    def __str__(self) -> str:
        return f"{self.command}: {self.stage}: {self.fault}"


def kind_of(stage: str) -> str:
    """Tell what a stage is to a fault: published copy, file, numbers or table."""
    if stage.endswith(PUBLISHED):
        return "p"
    return "f" if "." in stage else "n" if stage in _NUMBERS else "t"


_OF_THE_RUN = ("run.json", "latest.json", "scored_pairs", "forest")
"""What the run itself holds, too, where a sweep makes some of its own."""


def every_pair() -> list[Point]:
    """Return each fault of each stage that it can strike."""
    return [
        Point(command, stage, fault)
        for command, known in COMMANDS.items()
        for stage in known.makes
        for fault, kind in FAULTS.items()
        if kind_of(stage) in kind.at and not _without_meaning(command, stage, fault)
    ]


def _without_meaning(command: str, stage: str, fault: str) -> bool:
    """Tell whether a pair has no right answer of its own.

    Sweep is not what mends the run's own files, and once a lease is asked for, the files of a mediator follow at once.
    """
    if not FAULTS[fault].while_running:
        return COMMANDS[command].onto is not None and stage in _OF_THE_RUN
    return fault == "lease taken over" and command == "train" and kind_of(stage) == "f"


def points(seed: int = SEED) -> list[Point]:
    """Return the points that are tried: each stage with the fault that was drawn least, then more of rare faults."""
    draw = random.Random(seed)
    pairs = every_pair()
    draw.shuffle(pairs)
    count = dict.fromkeys(FAULTS, 0)
    chosen: list[Point] = []
    for place in dict.fromkeys((pair.command, pair.stage) for pair in pairs):
        best = min((pair for pair in pairs if (pair.command, pair.stage) == place), key=lambda pair: count[pair.fault])
        count[best.fault] += 1
        chosen.append(best)
    for fault in FAULTS:
        rest = [pair for pair in pairs if pair.fault == fault and pair not in chosen]
        chosen += rest[: max(0, _FEWEST - count[fault])]
    return sorted({*chosen, *(Point(*found) for found in _FOUND)})


def drawn(seed: int = SEED) -> list[Point]:
    """Return the few points of an ordinary run: every fault once, then of what is left; training is left out."""
    draw, every = random.Random(seed), [point for point in points(seed) if point.command != "train"]
    draw.shuffle(every)
    first = [next(point for point in every if point.fault == fault) for fault in FAULTS]
    return sorted([*first, *(point for point in every if point not in first)][:DRAWN])


def tried() -> list[Point]:
    """Return the points of this run of the tests."""
    if not os.environ.get("CDP_TEST_FAULTS"):
        return drawn()
    return [point for point in points() if point.command != "train" or find_spec("torch") is not None]
