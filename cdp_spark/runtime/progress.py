"""Say on stderr which stage runs and how far it is: a live line on a terminal, plain lines elsewhere.

The one place that asks Spark how far it is: the status tracker of classic sessions, the progress handler of Connect.
Without either the lines show the time only; nothing here ever ends a run.
"""

from __future__ import annotations

import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TextIO

from pyspark.sql import SparkSession

_PLAIN_SECONDS = 30.0
_LIVE_SECONDS = 0.5
_WIDTH = 78
_GROUP, _DESCRIPTION = "spark.jobGroup.id", "spark.job.description"

Tasks = Callable[[], tuple[int, int]]
"""Answers with the finished and the known tasks of the stage."""


@dataclass
class Shown:
    """A stage on show; its maker sets ``rows`` when they are known."""

    name: str
    started: float = field(default_factory=time.time)
    rows: int | None = None

    @property
    def seconds(self) -> float:
        """Time since it began."""
        return time.time() - self.started


@dataclass
class Progress:
    """Where progress goes; ``Progress(None)`` says nothing.

    Attributes
    ----------
    stream : TextIO or None
    items : int, optional
        How many items the run is about, once that is known: then stages show items per second.
    """

    stream: TextIO | None = None
    items: int | None = None

    @classmethod
    def on_stderr(cls) -> Progress:
        """Write to stderr."""
        return cls(sys.stderr)

    def say(self, line: str) -> None:
        """Write one plain line."""
        if self.stream is not None:
            _write(self.stream, f"{line}\n")

    @contextmanager
    def stage(self, spark: SparkSession, name: str) -> Iterator[Shown]:
        """Show a stage while the block runs; Spark's own pages show its name too."""
        shown, ended = Shown(name), threading.Event()
        with _asked(spark, name) as tasks:
            if self.stream is None:
                yield shown
                return
            if not _live(self.stream):
                self.say(f"{name:<24} begins")
            watcher = threading.Thread(target=self._watch, args=(self.stream, shown, tasks, ended), daemon=True)
            watcher.start()
            try:
                yield shown
            except BaseException:
                self._end(watcher, ended, f"{name:<24} {shown.seconds:8.1f} s  stopped")
                raise
            rows = "" if shown.rows is None else f"  {shown.rows:,} rows"
            self._end(watcher, ended, f"{name:<24} {shown.seconds:8.1f} s{rows}")

    def _end(self, watcher: threading.Thread, ended: threading.Event, line: str) -> None:
        ended.set()
        watcher.join()
        live = self.stream is not None and _live(self.stream)
        self.say(f"\r{line:<{_WIDTH}}" if live else line)

    def _watch(self, stream: TextIO, shown: Shown, tasks: Tasks, ended: threading.Event) -> None:
        live = _live(stream)
        while not ended.wait(_LIVE_SECONDS if live else _PLAIN_SECONDS):
            try:
                line = progress_line(shown.name, shown.seconds, *tasks(), self.items)
            except Exception:  # Spark may be on its way out
                line = progress_line(shown.name, shown.seconds, 0, 0)
            _write(stream, f"\r{line[:_WIDTH]:<{_WIDTH}}" if live else f"{line}\n")


def progress_line(name: str, seconds: float, finished: int, total: int, items: int | None = None) -> str:
    """Put into words how far a stage is.

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


def _live(stream: TextIO) -> bool:
    return bool(getattr(stream, "isatty", lambda: False)())


def _write(stream: TextIO, text: str) -> None:
    try:
        stream.write(text)
        stream.flush()
    except (OSError, ValueError):  # a closed pipe or terminal must not end hours of work
        return


@contextmanager
def _asked(spark: SparkSession, name: str) -> Iterator[Tasks]:
    """Name the jobs to come, and give a way to ask how far they are."""
    try:
        context = spark.sparkContext
        before = {key: context.getLocalProperty(key) for key in (_GROUP, _DESCRIPTION)}
    except Exception:  # Spark Connect
        with _asked_connect(spark) as tasks:
            yield tasks
        return
    # A group that the user has set stays: they may want to cancel by it.
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
    except Exception:  # Spark has ended; the error that ended it is on its way to the user
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

    try:
        spark.registerProgressHandler(handler)
    except Exception:
        yield tasks
        return
    try:
        yield tasks
    finally:
        spark.removeProgressHandler(handler)


def _tasks(context: Any, group: str, earlier: set[int]) -> tuple[int, int]:
    """Return finished and known tasks of the jobs of a group that began after the earlier ones."""
    tracker = context.statusTracker()
    jobs = [tracker.getJobInfo(job) for job in tracker.getJobIdsForGroup(group) if job not in earlier]
    stages = [tracker.getStageInfo(stage) for job in jobs if job for stage in job.stageIds]
    known = [stage for stage in stages if stage]
    return sum(stage.numCompletedTasks for stage in known), sum(stage.numTasks for stage in known)
