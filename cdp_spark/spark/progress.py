"""Show the running stage and its progress on stderr: a live line on a terminal, plain or JSON lines elsewhere.

This module alone asks Spark for progress: the status tracker of classic sessions, the progress handler of Connect.
Without either, the lines show only the time. Errors here never end a run.
"""

from __future__ import annotations

import json
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

from cdp_spark.base.messages import masked

_PLAIN_SECONDS = 30.0
_LIVE_SECONDS = 0.5
_WIDTH = 78
_GROUP, _DESCRIPTION = "spark.jobGroup.id", "spark.job.description"

Tasks = Callable[[], tuple[int, int]]
"""Returns the numbers of finished and known tasks of the stage."""


@dataclass
class Shown:
    """The displayed stage; its maker sets ``rows`` once they are known."""

    name: str
    started: float = field(default_factory=time.monotonic)
    rows: int | None = None

    @property
    def seconds(self) -> float:
        """Time since the stage began."""
        return time.monotonic() - self.started


@dataclass
class Progress:
    """Reports progress to a stream; ``Progress(None)`` is silent.

    Attributes
    ----------
    stream : TextIO or None
    items : int, optional
        Number of items of the run; once set, stages show items per second.
    structured : bool
        One JSON object per line. For stages: ``time`` (seconds since 1970), ``event`` (begins, runs, done, stopped),
        ``stage``, ``seconds`` and, if known, ``rows``, ``tasks``, ``tasks_done``. Else: ``event`` and ``message``.
    """

    stream: TextIO | None = None
    items: int | None = None
    structured: bool = False

    @classmethod
    def on_stderr(cls, *, structured: bool = False) -> Progress:
        """Write to stderr."""
        return cls(sys.stderr, structured=structured)

    def say(self, line: str, event: str = "message") -> None:
        """Write a line that does not belong to a stage."""
        line = masked(line)
        if self.structured:
            self._write_json(event=event, message=line)
        else:
            self._write(f"{line}\n" if event == "message" else f"{event}: {line}\n")

    @contextmanager
    def stage(self, spark: SparkSession, name: str) -> Iterator[Shown]:
        """Show a stage while the block runs; Spark's web interface also shows its name."""
        shown, ended = Shown(name), threading.Event()
        with _asked(spark, name) as tasks:
            if self.stream is None:
                yield shown
                return
            self._tell(shown, "begins")
            watcher = threading.Thread(target=self._watch, args=(shown, tasks, ended), daemon=True)
            watcher.start()
            event = "stopped"
            try:
                yield shown
                event = "done"
            finally:
                ended.set()
                watcher.join()
                self._tell(shown, event)

    def _tell(self, shown: Shown, event: str) -> None:
        """Report that a stage begins or has ended."""
        if self.structured:
            known = {} if shown.rows is None else {"rows": shown.rows}
            self._write_json(event=event, stage=shown.name, seconds=round(shown.seconds, 3), **known)
        elif event != "begins":
            rows = "" if shown.rows is None else f"  {shown.rows:,} rows"
            line = f"{shown.name:<24} {shown.seconds:8.1f} s{rows if event == 'done' else f'  {event}'}"
            self._write(f"\r{line:<{_WIDTH}}\n" if self._live else f"{line}\n")
        elif not self._live:
            self._write(f"{shown.name:<24} begins\n")

    def _watch(self, shown: Shown, tasks: Tasks, ended: threading.Event) -> None:
        live = self._live
        while not ended.wait(_LIVE_SECONDS if live else _PLAIN_SECONDS):
            try:
                done, known = tasks()
            except Exception:  # Spark may be shutting down
                done, known = 0, 0
            if self.structured:
                seconds = round(shown.seconds, 3)
                self._write_json(event="runs", stage=shown.name, seconds=seconds, tasks_done=done, tasks=known)
                continue
            line = progress_line(shown.name, shown.seconds, done, known, self.items)
            self._write(f"\r{line[:_WIDTH]:<{_WIDTH}}" if live else f"{line}\n")

    @property
    def _live(self) -> bool:
        return not self.structured and bool(getattr(self.stream, "isatty", lambda: False)())

    def _write_json(self, **entries: Any) -> None:
        self._write(json.dumps({"time": round(time.time(), 3), **entries}) + "\n")

    def _write(self, text: str) -> None:
        if self.stream is None:
            return
        try:
            self.stream.write(text)
            self.stream.flush()
        except (OSError, ValueError):  # a closed pipe or terminal must not end hours of work
            return


def progress_line(name: str, seconds: float, finished: int, total: int, items: int | None = None) -> str:
    """Describe the progress of a stage.

    >>> progress_line("knn/v3", 10.0, 2, 8, 1000)
    'knn/v3                       10.0 s  2/8 tasks, 25 items/s, about 30 s left'
    """
    said = [f"{name:<24} {seconds:8.1f} s"]
    if total:
        said.append(f"  {finished}/{total} tasks")
    if finished:
        if items:
            said.append(f", {items * finished / total / max(seconds, 1e-9):,.0f} items/s")
        said.append(f", about {seconds / finished * (total - finished):.0f} s left")
    return "".join(said)


@contextmanager
def _asked(spark: SparkSession, name: str) -> Iterator[Tasks]:
    """Name the coming jobs, and return a function that reports their progress."""
    try:
        context = spark.sparkContext
        before = {key: context.getLocalProperty(key) for key in (_GROUP, _DESCRIPTION)}
    except Exception:  # Spark Connect
        with _asked_connect(spark) as tasks:
            yield tasks
        return
    # Keep a job group of the user, who may want to cancel by it.
    group = before[_GROUP] or f"cdp-{uuid.uuid4().hex}"
    earlier = set(context.statusTracker().getJobIdsForGroup(group))
    context.setLocalProperty(_GROUP, group)
    context.setLocalProperty(_DESCRIPTION, f"cdp-spark: {name}")
    try:
        yield lambda: _tasks(context, group, earlier)
    finally:
        _restore(context, before)


def _restore(context: Any, before: dict[str, str | None]) -> None:
    try:
        for key, value in before.items():
            context.setLocalProperty(key, value)
    except Exception:  # Spark has ended, and its error is on the way to the user
        return


@contextmanager
def _asked_connect(spark: SparkSession) -> Iterator[Tasks]:
    newest: dict[int, tuple[int, int]] = {}

    def handler(stages: Any = (), **_: Any) -> None:
        for stage in stages or ():
            newest[stage.stage_id] = (stage.num_completed_tasks, stage.num_tasks)

    def tasks() -> tuple[int, int]:
        known = list(newest.values())
        return sum(done for done, _ in known), sum(total for _, total in known)

    taken: Any = handler  # its type differs between releases
    try:
        spark.registerProgressHandler(taken)
    except Exception:
        yield tasks
        return
    try:
        yield tasks
    finally:
        spark.removeProgressHandler(taken)


def _tasks(context: Any, group: str, earlier: set[int]) -> tuple[int, int]:
    """Return finished and known tasks of the jobs of a group that began after the earlier ones."""
    tracker = context.statusTracker()
    jobs = [tracker.getJobInfo(job) for job in tracker.getJobIdsForGroup(group) if job not in earlier]
    stages = [tracker.getStageInfo(stage) for job in jobs if job for stage in job.stageIds]
    known = [stage for stage in stages if stage]
    return sum(stage.numCompletedTasks for stage in known), sum(stage.numTasks for stage in known)
