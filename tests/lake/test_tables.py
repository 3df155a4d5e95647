"""Embeddings from tables of the catalog, clusters into one: Delta, Iceberg, Parquet, with the formats' real jars."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lake.steps import NO_JAR, PACKAGES

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module", params=["parquet", *PACKAGES])
def found(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    words = [sys.executable, "-m", "tests.lake.steps", request.param, str(folder)]
    settings = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    done = subprocess.run(words, capture_output=True, text=True, timeout=900, check=False, env=settings, cwd=folder)
    if done.returncode == NO_JAR:
        pytest.skip(f"{PACKAGES[request.param]} does not resolve")
    assert done.returncode == 0, done.stderr[-3000:]
    return request.param, json.loads(done.stdout.splitlines()[-1])


pytestmark = pytest.mark.lake


def test_tables_give_the_clusters_that_files_give(found):
    assert found[1]["as_parquet"]


def test_clusters_become_a_partition_of_their_run(found):
    _, answer = found
    assert answer["published"]
    assert answer["told"]["run"] == "monday"
    assert answer["told"]["rows"] == answer["items"]


def test_the_same_run_again_does_nothing_and_a_changed_one_replaces_its_own_partition_only(found):
    _, answer = found
    assert answer["again"]
    assert answer["replaced"]
    assert answer["counts"] == {"monday": answer["items"], "tuesday": answer["items"]}


def test_a_table_of_something_else_is_left_alone_in_one_line(found):
    _, answer = found
    assert "has other columns than id, cluster" in answer["other"]
    assert "\n" not in answer["other"]


def test_a_delta_table_read_as_parquet_is_told(found):
    kind, answer = found
    if kind != "delta":
        pytest.skip("of Delta tables with a path only")
    assert "is a Delta table: set format: delta" in answer["no_format"]
