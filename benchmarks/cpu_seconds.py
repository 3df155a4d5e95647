"""A run of the main job, and the CPU seconds of each of its stages beside ``run.json``, in ``cpu.json``.

    python benchmarks/cpu_seconds.py --config runs/plan/cdp.yaml --engine sail

On a machine that others use as well, seconds of the clock say little.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from pyspark.sql import SparkSession

from cdp_spark.commands.cluster import cluster
from cdp_spark.config.loading import load_config
from cdp_spark.plan.measured import machine_speed
from cdp_spark.runs.run_json import ClusterRecord
from cdp_spark.spark.progress import Progress, Shown
from cdp_spark.spark.session import local_session

FILE = "cpu.json"
_TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", required=True)
    parser.add_argument("--engine", choices=["sail", "spark"], default="sail")
    parser.add_argument("--conf", action="append", default=[], help="Spark settings, key=value")
    options = parser.parse_args()
    spark = local_session(conf=dict(each.split("=", 1) for each in options.conf), engine=options.engine)
    progress = CpuProgress.shown()
    settings = yaml.safe_load(Path(options.config).read_text())
    run = cluster(load_config(settings), spark=spark, progress=progress)
    progress.write(Path(run.output))


@dataclass
class CpuProgress(Progress):
    """Shows progress, and notes the CPU seconds of each stage, of this process and its children."""

    began: float = field(default_factory=lambda: cpu_seconds())
    stages: list[tuple[str, float]] = field(default_factory=list)

    @contextmanager
    def stage(self, spark: SparkSession, name: str) -> Iterator[Shown]:
        """Show a stage, and note what it took."""
        before = cpu_seconds()
        with super().stage(spark, name) as shown:
            yield shown
        self.stages.append((name, round(cpu_seconds() - before, 3)))

    def write(self, output: Path) -> None:
        """Write the seconds beside ``run.json``."""
        seconds = round(cpu_seconds() - self.began, 3)
        whole = {"seconds": seconds, "speed": round(machine_speed(), 1), "stages": self.stages}
        (output / FILE).write_text(json.dumps(whole) + "\n")

    @classmethod
    def shown(cls) -> CpuProgress:
        """Write progress to stderr."""
        return cls(sys.stderr)


def cpu_seconds() -> float:
    """Return the CPU seconds of this process and all its descendants, living or dead."""
    ticks, children = {}, defaultdict(list)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:  # it has just ended
                continue
            children[int(fields[1])].append(int(entry.name))
            ticks[int(entry.name)] = sum(map(int, fields[11:15]))
    total, left = 0, [os.getpid()]
    while left:
        process = left.pop()
        total += ticks.get(process, 0)
        left += children[process]
    return total / _TICKS


def speed_of(output: Path) -> float:
    """Return the speed of the machine when a run was measured, or that of now."""
    path = output / FILE
    return json.loads(path.read_text())["speed"] if path.exists() else machine_speed()


def record_of(output: Path) -> ClusterRecord:
    """Read a record; with :data:`FILE` beside it, as if one core had done all, one stage after another."""
    record = ClusterRecord.model_validate_json((output / "run.json").read_text())
    if not (path := output / FILE).exists():
        return record
    noted, by_name = json.loads(path.read_text()), defaultdict(deque)
    for name, seconds in noted["stages"]:
        by_name[name].append(max(0.0, seconds))
    updates = {"cores": 1, "seconds": noted["seconds"]}
    for kind in ("stages", "facts"):
        updates[kind] = [_with_seconds(each, by_name[each.name]) for each in getattr(record, kind)]
    return record.model_copy(update=updates)


def _with_seconds(stage, noted: deque[float]):
    seconds = noted.popleft() if noted else 0.0
    return stage.model_copy(update={"seconds": seconds, "made_seconds": seconds})


if __name__ == "__main__":
    main()
