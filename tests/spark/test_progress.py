"""Progress: lines elsewhere, a live line on a terminal, and never the end of a run."""

from __future__ import annotations

import io
import json
import threading

import pytest
from pyspark.sql import functions as F

from cdp_spark.spark import progress as module
from cdp_spark.spark.progress import Progress, progress_line


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Closed(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


@pytest.mark.engines
def test_a_stage_is_told_by_plain_lines_where_there_is_no_terminal(spark, monkeypatch):
    monkeypatch.setattr(module, "_PLAIN_SECONDS", 0.05)
    stream = io.StringIO()
    with Progress(stream, items=1000).stage(spark, "knn/v3") as shown:
        spark.range(1000).repartition(3).count()
        threading.Event().wait(0.2)
        shown.rows = 1000
    lines = stream.getvalue().splitlines()
    assert lines[0].split() == ["knn/v3", "begins"]
    assert all(line.startswith("knn/v3 ") for line in lines[1:-1])
    assert len(lines) > 2
    assert lines[-1].endswith("1,000 rows")
    assert "\r" not in stream.getvalue()


@pytest.mark.spark("Sail counts no tasks")
def test_lines_tell_of_tasks_and_the_time_that_is_left(spark, monkeypatch):
    monkeypatch.setattr(module, "_PLAIN_SECONDS", 0.05)
    stream = io.StringIO()
    with Progress(stream, items=1000).stage(spark, "knn/v3"):
        spark.range(1000).repartition(3).count()
        threading.Event().wait(0.2)
    lines = stream.getvalue().splitlines()
    assert any("tasks" in line and "items/s" in line and "left" in line for line in lines[1:-1])


def test_a_stage_is_one_live_line_on_a_terminal(spark, monkeypatch):
    monkeypatch.setattr(module, "_LIVE_SECONDS", 0.02)
    stream = Terminal()
    with Progress(stream).stage(spark, "items"):
        spark.range(10).count()
        threading.Event().wait(0.1)
    assert stream.getvalue().count("\n") == 1
    assert stream.getvalue().count("\r") > 1


@pytest.mark.spark("jobs of a JVM")
def test_jobs_carry_the_name_of_their_stage_and_what_the_user_had_set_comes_back(spark):
    context = spark.sparkContext
    context.setJobGroup("mine", "my work")
    try:
        with Progress().stage(spark, "forest"):
            assert context.getLocalProperty("spark.job.description") == "cdp-spark: forest"
            assert context.getLocalProperty("spark.jobGroup.id") == "mine"
        assert context.getLocalProperty("spark.job.description") == "my work"
    finally:
        context.setLocalProperty("spark.jobGroup.id", None)
        context.setLocalProperty("spark.job.description", None)
    with Progress().stage(spark, "forest"):
        assert context.getLocalProperty("spark.jobGroup.id").startswith("cdp-")
    assert context.getLocalProperty("spark.jobGroup.id") is None


def test_a_stage_that_fails_is_told_and_its_error_passes_through(spark):
    stream = io.StringIO()
    with pytest.raises(Exception, match="boom"), Progress(stream).stage(spark, "vote"):
        spark.range(3).select(F.raise_error(F.lit("boom"))).collect()
    assert stream.getvalue().splitlines()[-1].endswith("stopped")


def test_neither_a_closed_stream_nor_a_session_that_tells_nothing_ends_a_run(monkeypatch):
    monkeypatch.setattr(module, "_PLAIN_SECONDS", 0.01)
    with Progress(Closed()).stage(object(), "vote"):
        threading.Event().wait(0.05)


def test_a_connect_session_is_followed_by_its_handler(monkeypatch):
    class Stage:
        stage_id, num_completed_tasks, num_tasks = 1, 3, 4

    class Remote:
        handlers: list = []  # noqa: RUF012

        def registerProgressHandler(self, handler) -> None:  # noqa: N802
            self.handlers.append(handler)

        def removeProgressHandler(self, handler) -> None:  # noqa: N802
            self.handlers.remove(handler)

    monkeypatch.setattr(module, "_PLAIN_SECONDS", 0.02)
    remote, stream = Remote(), io.StringIO()
    with Progress(stream).stage(remote, "knn"):
        remote.handlers[0](stages=[Stage()], inflight_tasks=1, operation_id="x", done=False)
        threading.Event().wait(0.1)
    assert "3/4 tasks" in stream.getvalue()
    assert not remote.handlers


def test_a_line_before_the_first_task_has_ended_promises_nothing():
    assert progress_line("knn", 5.0, 0, 8, 100).endswith("0/8 tasks")


def test_stages_and_warnings_are_lines_of_json_where_that_is_asked_for(spark, monkeypatch):
    monkeypatch.setattr(module, "_PLAIN_SECONDS", 0.05)
    stream = Terminal()
    progress = Progress(stream, structured=True)
    with progress.stage(spark, "knn/v3") as shown:
        spark.range(1000).repartition(3).count()
        threading.Event().wait(0.2)
        shown.rows = 1000
    with pytest.raises(ValueError, match="no"), progress.stage(spark, "vote"):
        raise ValueError("no")
    progress.say("few pairs", "warning")
    told = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"] for line in told if line["event"] != "runs"] == [
        "begins",
        "done",
        "begins",
        "stopped",
        "warning",
    ]
    assert any(line["event"] == "runs" and line["tasks"] >= line["tasks_done"] >= 0 for line in told)
    done = next(line for line in told if line["event"] == "done")
    assert (done["stage"], done["rows"]) == ("knn/v3", 1000)
    assert told[-1]["message"] == "few pairs"
