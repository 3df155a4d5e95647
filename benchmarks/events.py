"""What Spark's event log tells of each of our stages: bytes through the shuffle, bytes written, seconds of tasks."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

OURS = "cdp-spark: "


@dataclass
class Told:
    """What the log tells of a stage: sums of its tasks' bytes; by Spark stage, seconds of those that read anything."""

    shuffled: int = 0
    written: int = 0
    tasks: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))

    @property
    def skew(self) -> float | None:
        """Largest task over median task, of the Spark stage with the most work among those of three tasks or more."""
        wide = [sorted(seconds) for seconds in self.tasks.values() if len(seconds) > 2]
        if not wide:
            return None
        most = max(wide, key=sum)
        return most[-1] / max(most[len(most) // 2], 1e-3)


def settings(folder: Path) -> dict[str, str]:
    """Return the Spark settings that write the log of the next application to a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    return {
        "spark.eventLog.enabled": "true", "spark.eventLog.dir": folder.absolute().as_uri(),
        "spark.eventLog.rolling.enabled": "false", "spark.eventLog.compress": "false",
    }  # fmt: skip


def told(folder: Path) -> dict[str, Told]:
    """Read the logs of a folder: by the name of our stage."""
    found: dict[str, Told] = defaultdict(Told)
    for log in sorted(folder.iterdir()):
        owner: dict[int, str] = {}
        for event in _events(log):
            if event["Event"] == "SparkListenerJobStart":
                name = (event.get("Properties") or {}).get("spark.job.description", "")
                if name.startswith(OURS):
                    owner |= {stage: name.removeprefix(OURS) for stage in event["Stage IDs"]}
            elif (metrics := event.get("Task Metrics")) and (name := owner.get(event["Stage ID"])) is not None:
                stage, info = found[name], event["Task Info"]
                stage.shuffled += metrics["Shuffle Write Metrics"]["Shuffle Bytes Written"]
                stage.written += metrics["Output Metrics"]["Bytes Written"]
                if _has_read(metrics):
                    stage.tasks[event["Stage ID"]].append((info["Finish Time"] - info["Launch Time"]) / 1e3)
    return dict(found)


def _has_read(metrics: dict[str, Any]) -> bool:
    shuffled = metrics["Shuffle Read Metrics"]["Total Records Read"]
    return bool(metrics["Input Metrics"]["Records Read"] + shuffled)


def _events(log: Path) -> Iterator[dict[str, Any]]:
    with log.open() as lines:
        for line in lines:
            if line.startswith('{"Event":"SparkListenerJobStart"') or line.startswith(
                '{"Event":"SparkListenerTaskEnd"'
            ):
                yield json.loads(line)
