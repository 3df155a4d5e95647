"""Jobs by spark-submit on a standalone cluster, the package in a wheel: as a scheduler would run them."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from cdp_spark.runs.lease import LEASE
from cdp_spark.runs.stage_store import MANIFEST
from tests import command
from tests.standalone import NoCluster, run, standalone, start, stop, submit_words

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

WHERE = """
from pyspark.sql import functions as F
from cdp_spark.spark.session import local_session

def where(_):
    import cdp_spark.clusters.kernels.spanning_forest as module
    return f"{module.__file__} in {module.__name__.split('.')[0]}"

rows = local_session().range(0, 8, 1, 8).select(F.udf(where, "string")("id").alias("file")).collect()
print(*sorted({row["file"] for row in rows}), sep="\\n")
"""


@pytest.fixture(scope="module")
def submit(cluster, wheel, lake):
    """Run a job with the wheel; the lake's config is at viewfs://lake/config, which only Spark can read."""
    mount = f"spark.hadoop.fs.viewfs.mounttable.lake.link./config=file://{lake}/config"
    options = ["--py-files", str(wheel), "--conf", mount]

    def words(job, *more):
        return submit_words(cluster, job, *more, options=options)

    return words


def said(done):
    """What the driver said: spark-submit joins its stderr into its own stdout."""
    return done.stdout + done.stderr


def result(done):
    """What ``--json`` printed: the last line."""
    return json.loads(done.stdout.splitlines()[-1])


def rows_of(output):
    return pq.read_table(output / "clusters", partitioning=None).sort_by("id").to_pylist()


@pytest.fixture(scope="module")
def first(submit, lake):
    """One run, its output named by a date."""
    output = lake / "runs" / "run_date=2026-11-24"
    words = ("--config", "viewfs://lake/config/cdp.yaml", "--output", output, "--previous", lake / "runs")
    done = run(submit("cluster", *words, "--json"))
    assert done.returncode == 0, said(done)
    return output, words, result(done)


def test_clusters_are_those_of_a_local_run(first, lake):
    output, _, record = first
    local = command.run("cluster", "--config", lake / "config" / "cdp.yaml", "--master", "local[2]")
    assert local.returncode == 0, local.stderr
    assert rows_of(output) == rows_of(lake / "by-config")
    assert record == json.loads((output / "run.json").read_text())
    assert "lineage" not in record  # no earlier run was beside it


def test_workers_import_the_wheel(submit, first, tmp_path):
    (tmp_path / "where.py").write_text(WHERE)
    done = run(submit(tmp_path / "where.py"))
    assert done.returncode == 0, said(done)
    files = {line for line in done.stdout.splitlines() if line.endswith("in cdp_spark")}
    assert len(files) == 1
    assert "/cdp-spark/package-" in files.pop()


def test_the_same_job_again_does_nothing_and_says_so(submit, first):
    output, words, _ = first
    before = (output / "latest.json").stat().st_mtime_ns
    again = run(submit("cluster", *words))
    assert again.returncode == 0, said(again)
    assert "nothing to do, all stages reused" in again.stdout
    assert rows_of(output)
    assert (output / "latest.json").stat().st_mtime_ns >= before


def test_two_at_once_are_told_apart_and_ids_last(submit, first, lake, tmp_path):
    earlier, words, _ = first
    output = lake / "runs" / "run_date=2026-11-25"
    words = (*words[:3], output, *words[4:], "--set", "consensus.threshold=0.4")
    log = tmp_path / "night.log"
    night = start(submit("cluster", *words), log)
    try:
        wait_for(lambda: (output / LEASE).exists(), night)
        rival = run(submit("cluster", *words))
        assert rival.returncode == 4, said(rival)
        assert f"cdp-spark: output {output} is held by process " in said(rival)
        assert night.wait(timeout=400) == 0, log.read_text()
    finally:
        stop(night)
    record = json.loads((output / "run.json").read_text())
    assert record["lineage"]["previous"] == str(earlier)
    told = pq.read_table(output / "lineage", partitioning=None).to_pylist()
    assert {row["event"] for row in told} >= {"kept"}
    before = {row["id"]: row["cluster"] for row in rows_of(earlier)}
    kept = {row["cluster"] for row in told if row["event"] == "kept"}
    assert any(before[row["id"]] == row["cluster"] for row in rows_of(output) if row["cluster"] in kept)


def manifests(output: Path) -> set[str]:
    """Find the finished stages; a running job removes folders while they are walked."""
    return {os.path.join(folder, MANIFEST) for folder, _, names in os.walk(output / "stages") if MANIFEST in names}


def test_a_killed_run_leaves_the_last_good_clusters(submit, first):
    output, words, _ = first
    good = rows_of(output)
    made = manifests(output)
    killed = start(submit("cluster", *words, "--set", "knn.k=4"), output.parent / "killed.log")
    try:
        wait_for(lambda: len(manifests(output) - made) > 0, killed)
    finally:
        stop(killed, signal.SIGKILL)
    assert rows_of(output) == good
    wrong = run(submit("cluster", *words, "--set", "consensus.accept=3"))
    assert wrong.returncode == 2, said(wrong)
    assert "cdp-spark: config: consensus.accept is 3 but the committee has 2 members" in said(wrong)
    assert rows_of(output) == good


def test_wrong_input_is_exit_code_2(submit, lake):
    done = run(submit("cluster", "--config", "viewfs://lake/config/none.yaml", "--output", lake / "none"))
    assert done.returncode == 2, said(done)
    assert "cdp-spark: viewfs://lake/config/none.yaml: Spark cannot read it: " in said(done)
    assert not (lake / "none").exists()


def test_doctor_asks_both_workers_and_what_spark_submit_was_told_wins(submit, tmp_path):
    (tmp_path / "spark-defaults.conf").write_text("spark.master local[1]\n")
    done = run(submit("doctor", "--output", tmp_path, "--json"), SPARK_CONF_DIR=str(tmp_path), SPARK_MASTER="local[1]")
    assert done.returncode == 0, said(done)
    found = result(done)
    assert "master spark://127.0.0.1:" in found["spark"]["text"]
    assert found["workers"]["text"].startswith("2 on 1 host(s): python ")


def test_doctor_names_the_worker_that_lacks_a_package(wheel, tmp_path):
    hidden = tmp_path / "hidden" / "numba"
    hidden.mkdir(parents=True)
    (hidden / "__init__.py").write_text("raise ModuleNotFoundError(\"No module named 'numba'\")\n")
    try:
        with standalone(tmp_path, [{}, {"PYTHONPATH": str(hidden.parent)}]) as cluster:
            words = ("doctor", "--output", tmp_path, "--json")
            done = run(submit_words(cluster, *words, options=["--py-files", str(wheel)]))
    except NoCluster as reason:
        pytest.skip(f"no standalone cluster: {reason}")
    assert done.returncode == 3, said(done)
    text = result(done)["workers"]["text"]
    assert "worker-1/" in text
    assert "lacks numba (ModuleNotFoundError: No module named 'numba')" in text
    assert "worker-0/" not in text


def wait_for(happened, process, seconds=300.0):
    deadline = time.time() + seconds
    while not happened():
        assert process.poll() is None, "the job ended before it could be disturbed"
        assert time.time() < deadline
        time.sleep(0.02)
