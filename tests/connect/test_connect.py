"""Everything on Spark Connect: the same clusters as on a classic session, and nothing beneath the DataFrame API.

The session refuses what serverless compute refuses, which is a Connect session, too.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pyspark
import pytest

from cdp_spark.commands.cluster import cluster
from cdp_spark.config.loading import load_config
from tests import data
from tests.answers import rows
from tests.connect.steps import settings

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.connect, pytest.mark.slow]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("connect")
    ids, labels, models = data.embeddings(25)
    data.write(folder, ids, models)
    pq.write_table(pa.table({"id": ids, "label": labels}), folder / "labels.parquet")
    return folder


OLDEST = os.environ.get("CDP_OLDEST_PYSPARK", "")
"""A folder with PySpark 4.0, where there is one (``pip install --no-deps --target``)."""


@pytest.fixture(scope="module", params=["installed", "oldest"])
def found(request, folder, tmp_path_factory):
    """What a process with a Connect session alone prints."""
    if request.param == "oldest" and not OLDEST:
        pytest.skip("CDP_OLDEST_PYSPARK names no folder with PySpark 4.0")
    place = tmp_path_factory.mktemp(request.param)
    paths = data.PATHS if request.param == "installed" else ["defaults"]
    before = [OLDEST] if request.param == "oldest" else []
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYSPARK_", "SPARK_"))}
    done = subprocess.run(
        [sys.executable, "-m", "tests.connect.steps", str(folder), str(place), *paths], capture_output=True, text=True,
        timeout=900, check=False, cwd=place, env={**kept, "PYTHONPATH": os.pathsep.join([*before, str(ROOT)])},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1]) | {"wanted": request.param}


def test_it_was_a_connect_session(found):
    assert found["connect"].startswith("pyspark.sql.connect")
    wanted = pyspark.__version__ if found["wanted"] == "installed" else "4.0."
    assert found["spark"].startswith(wanted)


@pytest.fixture(scope="module")
def classic(spark, folder):
    """Clusters of a classic session, by path."""
    return {
        path: rows(cluster(load_config(settings(folder, folder, f"classic-{path}", path)), spark=spark).clusters)
        for path in data.PATHS
    }


def test_clusters_are_those_of_a_classic_session(classic, found):
    assert "defaults" in found["clusters"]
    for path, clusters in found["clusters"].items():
        assert clusters == classic[path]


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
