"""Everything on Spark Connect: the same clusters as on a classic session, and nothing beneath the DataFrame API."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pyspark
import pytest

from cdp_spark.base.loading import load_config
from cdp_spark.tasks.cluster import cluster
from tests import data
from tests.answers import rows
from tests.connect.steps import settings

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.connect


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("connect")
    ids, labels, models = data.embeddings(25)
    data.write(folder, ids, models)
    pq.write_table(pa.table({"id": ids, "label": labels}), folder / "labels.parquet")
    return folder


@pytest.fixture(scope="module")
def found(folder):
    """What a process with a Connect session alone prints."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYSPARK_", "SPARK_"))}
    done = subprocess.run(
        [sys.executable, "-m", "tests.connect.steps", str(folder)], capture_output=True, text=True, timeout=900,
        check=False, cwd=folder, env={**kept, "PYTHONPATH": f"{ROOT}{os.pathsep}{kept.get('PYTHONPATH', '')}"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_it_was_a_connect_session(found):
    assert found["connect"].startswith("pyspark.sql.connect")
    assert found["spark"] == pyspark.__version__


@pytest.mark.parametrize("path", data.PATHS)
def test_clusters_are_those_of_a_classic_session(spark, folder, found, path):
    classic = cluster(load_config(settings(folder, f"classic-{path}", path)), spark=spark)
    assert found["clusters"][path] == rows(classic.clusters)


def test_what_a_run_is_for_works(found):
    assert found["report"]
    assert [row["threshold"] for row in found["sweep"]] == [0.3, 0.6]
    assert found["explained"]
    assert found["issues"]
    assert found["exported"] > 0
    assert found["arrays"] > 1


def test_the_estimator_is_fitted_saved_and_loaded(found):
    assert len({cluster for _, cluster in found["estimator"]}) > 2


def test_graphframes_says_why_it_cannot(found):
    assert "Spark Connect" in found["graphframes"]
    assert "\n" not in found["graphframes"]
