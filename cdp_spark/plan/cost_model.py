"""Extrapolate seconds, peak memory and bytes of stages from two measured sizes.

seconds = fixed + rate * work, where work is the number of products or rows of the stage. Two measured sizes determine
both constants.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cdp_spark.knn.kernels.cells import COPIES, row_bytes
from cdp_spark.knn.kernels.search_cells import MOST_THREADS
from cdp_spark.plan.laws import LAWS, Law, Size, block_bytes


@dataclass(frozen=True)
class Measured:
    """A measured run.

    Attributes
    ----------
    size : Size
    cores : int
    speed : float
        Speed of the machine: 1e9 multiplications and additions a second per core.
    stages : mapping of kind to ``{"seconds", "peak_bytes", "written_bytes", "shuffled_bytes"}``
        Figures of one model where the stage runs once per model.
    way : str
        How pairs were scored: vote, mediator, or without labels.
    in_memory : bool
        Whether one process holds everything that goes from task to task, as Sail does.
    """

    size: Size
    cores: int
    speed: float
    stages: Mapping[str, Mapping[str, float]]
    way: str = "vote"
    in_memory: bool = False


@dataclass(frozen=True)
class Cost:
    """Estimated cost of a stage.

    Seconds and bytes are totals over its models, except the peak memory, which is that of one worker.
    """

    seconds: float
    peak_bytes: float
    shuffled_bytes: float
    written_bytes: float


def predicted(
    kinds: Sequence[str], runs: Sequence[Measured], size: Size, *, cores: int, speed: float
) -> dict[str, Cost]:
    """Extrapolate the cost of measured stages to another size and machine.

    Parameters
    ----------
    kinds : sequence of str
        Keys of ``LAWS``. Those that no run measured are left out.
    runs : sequence of Measured
        Rising by size, those of another way first. Of the last way that has a stage, two sizes determine its cost:
        those around the wanted one, or the largest. Some ways have a stage twice, so ways are not mixed.
    size : Size
        Its ``probed`` is replaced by the extrapolation from the runs.
    cores : int
    speed : float
    """
    size = replace(size, probed=probed_at(runs, min(size.items, size.shard_rows)))
    costs = {}
    for kind in kinds:
        if known := _around([run for run in runs if kind in run.stages], size.items):
            costs[kind] = _cost(kind, known, size, cores, speed)
    return costs


def _around(runs: Sequence[Measured], items: float) -> list[Measured]:
    """Return two runs of the last one's way: those around a number of items, or the largest."""
    alike = [run for run in runs if run.way == runs[-1].way]
    end = next((at for at, run in enumerate(alike) if at and run.size.items >= items), len(alike) - 1)
    return alike[max(0, end - 1) : end + 1]


def probed_at(runs: Sequence[Measured], items: float) -> float:
    """Return how many cells a search will visit, a power of the number of items.

    Two searches determine the exponent, which is at most 1/2. The number of cells grows with exponent 1/2,
    so the share of visited items never rises.
    """
    known = [run.size for run in _around([run for run in runs if run.size.probed > 1], items)]
    if not known:
        return 1.0
    power = 0.0
    if len(known) > 1 and known[1].items > known[0].items:
        power = math.log(known[1].probed / known[0].probed) / math.log(known[1].items / known[0].items)
    return float(known[-1].probed * (items / known[-1].items) ** min(0.5, max(0.0, power)))


def _cost(kind: str, runs: Sequence[Measured], size: Size, cores: int, speed: float) -> Cost:
    law = LAWS[kind]
    times = size.models if law.each_model else 1
    # Work is measured in seconds of one core of the measured machine.
    shared = [_at_once(law, run.size, run.cores) for run in runs]
    fixed, rate = line(
        [law.work(run.size) for run in runs],
        [run.stages[kind]["seconds"] * at_once for run, at_once in zip(runs, shared, strict=True)],
    )
    slower = sum(run.speed for run in runs) / len(runs) / speed
    seconds = (fixed / shared[-1] + rate * law.work(size) / _at_once(law, size, cores)) * slower
    return Cost(
        seconds * times, _peak(kind, runs, size), _bytes(kind, "shuffled_bytes", runs, size) * times,
        _bytes(kind, "written_bytes", runs, size) * times,
    )  # fmt: skip


def _at_once(law: Law, size: Size, cores: int) -> float:
    """Return how many cores share the work of a stage."""
    shards = 1.0 if size.items <= size.shard_rows else COPIES * size.items / size.shard_rows
    return {
        "one": 1.0,
        "threads": min(cores, MOST_THREADS * shards),
        "many": float(cores),
    }[law.tasks]


def _peak(kind: str, runs: Sequence[Measured], size: Size) -> float:
    holds, in_memory = LAWS[kind].holds, runs[-1].in_memory
    peaks = [run.stages[kind]["peak_bytes"] for run in runs]
    if holds == "batch" and not in_memory:
        return max(peaks)

    def held(of: Size) -> float:
        if holds == "shard":
            return min(of.items, size.shard_rows) * row_bytes(of.dimension, of.k)
        if holds == "edges":
            return min(of.items, size.task_edges)
        if holds == "block":
            return block_bytes(of, bounded=not in_memory)
        return of.items

    fixed, rate = line([held(run.size) for run in runs], peaks)
    return fixed + rate * held(size)


def _bytes(kind: str, name: str, runs: Sequence[Measured], size: Size) -> float:
    known = [(LAWS[kind].written(run.size), run.stages[kind][name]) for run in runs if name in run.stages[kind]]
    if not known:
        return 0.0
    fixed, rate = line([work for work, _ in known], [value for _, value in known])
    return fixed + rate * LAWS[kind].written(size)


def line(x: Sequence[float], y: Sequence[float]) -> tuple[float, float]:
    """Fit a line to the last two points, with intercept and slope at least 0.

    Returns intercept and slope.

    >>> line([1, 3], [5, 9]), line([1, 3], [1, 9]), line([1, 3], [5, 4]), line([2], [4])
    ((3.0, 2.0), (0.0, 3.0), (5.0, 0.0), (0.0, 2.0))
    """
    if len(x) < 2 or x[-1] == x[-2]:
        return (0.0, y[-1] / x[-1]) if x[-1] else (float(y[-1]), 0.0)
    slope = (y[-1] - y[-2]) / (x[-1] - x[-2])
    if slope < 0:
        return float(max(y[-2:])), 0.0
    intercept = y[-2] - slope * x[-2]
    return (float(intercept), float(slope)) if intercept >= 0 else (0.0, y[-1] / x[-1])


def as_json(run: Measured) -> dict[str, Any]:
    """Return the JSON that :func:`from_json` reads, without the bounds of a task."""
    size = {name: getattr(run.size, name) for name in ("items", "dimension", "k", "models", "probed", "coordinates")}
    how = {"way": run.way, "in_memory": run.in_memory}
    return {**how, "size": size, "cores": run.cores, "speed": run.speed, "stages": run.stages}


def from_json(stored: Mapping[str, Any]) -> Measured:
    """Read a measured run."""
    size = Size(**stored["size"])
    how = stored["way"], stored["in_memory"]
    return Measured(size, stored["cores"], stored["speed"], stored["stages"], *how)
