"""Runs that are killed, two on one output, executors that are lost: nothing half-written is read or counted twice."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest

from cdp_spark.commands.cluster import cluster
from cdp_spark.config.loading import load_config
from cdp_spark.runs.stage_store import MANIFEST
from tests import command, data, paused

KILLED = [
    pytest.param("defaults", [("items", "after"), ("knn/one", "between")], id="defaults"),
    pytest.param("large", [("shards/base", "between"), ("scored_pairs", "after")], id="large"),
]
"""By path: the stages that runs are killed at, one after the other, and when."""


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("embeddings")
    ids, _, models = data.embeddings()
    data.write(folder, ids, models, files=3)
    return folder


@pytest.fixture(scope="module")
def wanted(spark, tmp_path_factory, inputs) -> Callable[[str], list]:
    """Clusters of an undisturbed run, for each requested path."""
    folder = tmp_path_factory.mktemp("whole")

    @functools.cache
    def clusters_by(path: str) -> list:
        cluster(load_config(settings_of(folder, inputs, path, path)), spark=spark)
        return clusters_in(folder / path)

    return clusters_by


def settings_of(folder: Path, inputs: Path, name: str, path: str) -> dict:
    return {
        "input": {"base": f"{inputs}/base", "committee": [f"{inputs}/one", f"{inputs}/two"]},
        "output": str(folder / name),
        "consensus": {"accept": 1, "threshold": 0.3},
        "clusters": {"max_cluster_size": 10, "threshold_step": 0.1},
        **data.PATHS[path],
    }


def config_in(folder: Path, inputs: Path, name: str, path: str) -> Path:
    return command.write_config(folder / f"{name}.yaml", settings_of(folder, inputs, name, path))


def clusters_in(folder: Path) -> list:
    return pq.read_table(folder / "clusters").sort_by("id").to_pylist()


def wait_for_stage(run: Path, stage: str, process, seconds: float = 300.0) -> None:
    deadline = time.time() + seconds
    while not is_stored(run, stage):
        assert process.poll() is None, "the run ended before it could be disturbed"
        assert time.time() < deadline
        time.sleep(0.02)


def is_stored(run: Path, stage: str) -> bool:
    try:
        return any(run.glob(f"stages/{stage}*/**/{MANIFEST}"))
    except FileNotFoundError:  # a task's temporary folder went while we looked
        return False


def executors_of(process) -> list[psutil.Process]:
    found = []
    for child in psutil.Process(process.pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # a zombie counts as none
            if any("ExecutorBackend" in word for word in child.cmdline()):
                found.append(child)
    return found


def kill_group(process) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.mark.parametrize(("path", "kills"), KILLED)
def test_a_run_killed_again_and_again_continues_and_ends_as_one_never_killed(tmp_path, inputs, wanted, path, kills):
    config = config_in(tmp_path, inputs, "killed", path)
    for number, (stage, moment) in enumerate(kills):
        kill_group(paused.start(stage, moment, tmp_path / f"pause-{number}", "cluster", "--config", config))
        assert is_stored(tmp_path / "killed", stage) == (moment == "after")
        assert not (tmp_path / "killed" / "latest.json").exists()
    again = command.run("cluster", "--config", config, "--json")
    assert again.returncode == 0, again.stderr
    assert '"reused": true' in again.stdout
    assert clusters_in(tmp_path / "killed") == wanted(path)


def test_the_second_of_two_runs_on_one_output_is_refused_and_the_first_ends_well(tmp_path, inputs, wanted):
    config = config_in(tmp_path, inputs, "shared", "defaults")
    first = paused.start("knn/base", "between", tmp_path / "pause", "cluster", "--config", config)
    try:
        second = command.run("cluster", "--config", config)
        assert second.returncode == 4, second.stderr
        assert f"is held by process {first.pid}" in second.stderr
        assert "Traceback" not in second.stderr
        paused.go_on(tmp_path / "pause")
        assert first.wait(timeout=300) == 0
    finally:
        if first.poll() is None:
            kill_group(first)
    assert clusters_in(tmp_path / "shared") == wanted("defaults")


@pytest.mark.slow
@pytest.mark.spark("executors are processes of their own")
def test_a_lost_executor_changes_nothing(tmp_path, inputs, wanted):
    config = config_in(tmp_path, inputs, "faulty", "large")
    process = command.start("cluster", "--config", config, "--master", "local-cluster[2,1,1024]")
    try:
        for stage in ("items", "knn"):
            wait_for_stage(tmp_path / "faulty", stage, process)
            executors = executors_of(process)
            assert executors
            executors[0].send_signal(signal.SIGKILL)
        assert process.wait(timeout=400) == 0
    finally:
        if process.poll() is None:
            kill_group(process)
    assert clusters_in(tmp_path / "faulty") == wanted("large")
