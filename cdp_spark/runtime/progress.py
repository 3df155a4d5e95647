"""Say on stderr which stage runs and how far it is: a live line on a terminal, plain lines elsewhere.

The one place that asks Spark's status tracker (classic sessions); without it the lines show the time only.
"""

from __future__ import annotations

import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from pyspark.sql import SparkSession

_PLAIN_SECONDS = 30.0
_LIVE_SECONDS = 0.5


class Progress:
    """Where progress goes; ``Progress(None)`` says nothing."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream

    @classmethod
    def on_stderr(cls) -> Progress:
        """Write to stderr."""
        return cls(sys.stderr)

    def say(self, line: str) -> None:
        """Write one plain line."""
        if self._stream is not None:
            self._stream.write(f"{line}\n")
            self._stream.flush()

    @contextmanager
    def stage(self, spark: SparkSession, name: str) -> Iterator[None]:
        """Show a stage while the block runs; Spark's own pages show its name too."""
        if self._stream is None:
            yield
            return
        started, done, group = time.time(), threading.Event(), f"cdp-{uuid.uuid4().hex}"
        context = _describe(spark, group, name)
        watcher = threading.Thread(target=self._watch, args=(context, group, name, done), daemon=True)
        watcher.start()
        try:
            yield
        finally:
            done.set()
            watcher.join()
        live = self._stream.isatty()
        self.say(f"{chr(13) if live else ''}{name:<24} {time.time() - started:8.1f} s{' ' * 40 if live else ''}")

    def _watch(self, context: Any, group: str, name: str, done: threading.Event) -> None:
        stream = self._stream or sys.stderr
        live, started = stream.isatty(), time.time()
        while not done.wait(_LIVE_SECONDS if live else _PLAIN_SECONDS):
            seconds = time.time() - started
            finished, total = _tasks(context, group)
            line = f"{name:<24} {seconds:8.1f} s"
            if total:
                left = seconds / finished * (total - finished) if finished else float("nan")
                line += f"  {finished}/{total} tasks" + (f", about {left:.0f} s left" if finished else "")
            stream.write(f"\r{line:<78}" if live else f"{line}\n")
            stream.flush()


def _describe(spark: SparkSession, group: str, name: str) -> Any:
    """Name the jobs to come; return the classic context, or None on Connect."""
    try:
        context = spark.sparkContext
        context.setJobGroup(group, f"cdp-spark: {name}")
        return context
    except Exception:
        return None


def _tasks(context: Any, group: str) -> tuple[int, int]:
    """Return finished and known tasks of the newest job of a group."""
    if context is None:
        return 0, 0
    try:
        tracker = context.statusTracker()
        jobs = [tracker.getJobInfo(job) for job in tracker.getJobIdsForGroup(group)]
        stages = [tracker.getStageInfo(stage) for job in jobs if job for stage in job.stageIds]
        known = [stage for stage in stages if stage]
        return sum(stage.numCompletedTasks for stage in known), sum(stage.numTasks for stage in known)
    except Exception:
        return 0, 0
