"""A run in an object store: tables by Hadoop's S3A, small files by Arrow, keys from Spark's settings only."""

import json
import os
import subprocess

import pyarrow.parquet as pq
import pytest

from cdp_spark.commands.cluster import cluster
from cdp_spark.config.loading import load_config
from tests import command, data
from tests.store import SECRET, store

S3A = "org.apache.hadoop:hadoop-aws:3.4.2"
NOT_NEEDED = "software.amazon.encryption.s3:amazon-s3-encryption-client-java"
NO_JAR = ("unresolved dependency", "FAILED DOWNLOADS", "JAVA_GATEWAY_EXITED")

pytestmark = pytest.mark.lake


@pytest.fixture(scope="module")
def done(spark, tmp_path_factory):
    """Run the command twice on the store; return the server, both results and the folder of the same run on disk."""
    folder = tmp_path_factory.mktemp("s3")
    ids, _, models = data.embeddings(15)
    data.write(folder / "in", ids, models)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    with store() as server:
        for model in data.MODELS:
            for part in (folder / "in" / model).glob("*.parquet"):
                with server.files.open_output_stream(f"lake/in/{model}/{part.name}") as stream:
                    stream.write(part.read_bytes())
        conf = {
            "spark.jars.packages": S3A,
            "spark.jars.excludes": NOT_NEEDED,
            "spark.sql.shuffle.partitions": "4",
            **server.settings,
        }
        words = [word for key, value in conf.items() for word in ("--conf", f"{key}={value}")]
        run = command.arguments(
            "cluster", "--base", "s3a://lake/in/base", "--committee", "s3a://lake/in/one", "--output", "s3a://lake/run",
            "--set", "knn.k=5", "--set", "consensus.threshold=0.45", "--master", "local[2]", "--json", *words,
        )  # fmt: skip
        found = [subprocess.run(run, capture_output=True, text=True, timeout=900, check=False, env=kept) for _ in "12"]
        if any(sign in found[0].stderr for sign in NO_JAR):
            pytest.skip(f"{S3A} does not resolve")
        cluster(load_config({
            "input": {"base": f"{folder}/in/base", "committee": [f"{folder}/in/one"]}, "output": f"{folder}/run",
            "knn": {"k": 5}, "consensus": {"threshold": 0.45},
        }), spark=spark)  # fmt: skip
        yield server, found, folder / "run"


def test_the_clusters_are_those_of_a_run_on_disk(done):
    server, found, here = done
    assert found[0].returncode == 0, found[0].stderr[-2000:]
    ours = pq.read_table("lake/run/clusters", filesystem=server.files).sort_by("id")
    assert ours.equals(pq.read_table(here / "clusters").sort_by("id"))


def test_the_second_run_does_nothing(done):
    _, found, _ = done
    assert all(stage["reused"] for stage in json.loads(found[1].stdout)["stages"])


def test_no_key_is_in_any_file_or_message(done):
    from pyarrow import fs

    server, found, _ = done
    assert all(SECRET not in each.stdout + each.stderr for each in found)
    for info in server.files.get_file_info(fs.FileSelector("lake/run", recursive=True)):
        if info.is_file:
            assert SECRET.encode() not in server.files.open_input_file(info.path).read(), info.path
