"""A run whose config, inputs and output lie in an object store: keys from settings or the environment, in no file."""

import json
import os
import subprocess

import pyarrow.parquet as pq
import pytest
from pyarrow import fs

from cdp_spark.commands.cluster import cluster
from cdp_spark.config.loading import load_config
from cdp_spark.spark.sail import sail_installed
from tests import command, data
from tests.lake.by_hand import write_delta
from tests.store import SECRET, store

S3A = "org.apache.hadoop:hadoop-aws:3.4.2"
OF_SPARK = {
    "spark.jars.packages": S3A,
    "spark.jars.excludes": "software.amazon.encryption.s3:amazon-s3-encryption-client-java",
    "spark.sql.shuffle.partitions": "4",
}
NO_JAR = ("unresolved dependency", "FAILED DOWNLOADS", "JAVA_GATEWAY_EXITED")
OURS = {"knn": {"k": 5}, "consensus": {"threshold": 0.45}}
KEPT = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """Return a server and a folder, which hold the same embeddings."""
    folder = tmp_path_factory.mktemp("s3")
    ids, _, models = data.embeddings(15)
    data.write(folder / "in", ids, models)
    with store() as server:
        server.put(folder / "in", "in")
        server.put(write_delta(folder / "in/one", folder / "delta/one"), "delta/one")
        yield server, folder


@pytest.fixture(scope="module")
def here(spark, filled):
    """Run on the folder; return the clusters."""
    _, folder = filled
    source = {"base": f"{folder}/in/base", "committee": [f"{folder}/in/one"]}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cdp_spark.commands.cluster.write_report", lambda run: "")
        cluster(load_config({"input": source, "output": f"{folder}/run", **OURS}), spark=spark)
    return pq.read_table(folder / "run/clusters").sort_by("id")


@pytest.fixture(scope="module", params=["sail", pytest.param("spark", marks=[pytest.mark.lake, pytest.mark.slow])])
def first(request, filled, tmp_path_factory):
    """Run the command on the store, with keys in settings; return the engine, the words without keys, the outcome."""
    server, _ = filled
    engine = request.param
    if engine == "sail" and not sail_installed():
        pytest.skip("Sail is not installed")
    one = {"name": "one", "path": "s3://lake/delta/one", "format": "delta"} if engine == "sail" else "s3a://lake/in/one"
    source = {"base": "s3a://lake/in/base", "committee": [one]}
    config = tmp_path_factory.mktemp(engine) / "cdp.yaml"
    command.write_config(config, {"input": source, "output": f"s3a://lake/{engine}", **OURS})
    server.put(config.parent, f"config/{engine}")
    words = ["cluster", "--config", f"s3a://lake/config/{engine}/cdp.yaml", "--engine", engine, "--json"]
    found = started([*words, *conf(server, engine)], KEPT)
    if any(sign in found.stderr for sign in NO_JAR):
        pytest.skip(f"{S3A} does not resolve")
    return engine, words, found


@pytest.fixture(scope="module")
def second(filled, first):
    """Run it again; on Sail the keys are in the environment now."""
    server, _ = filled
    engine, words, _ = first
    if engine == "sail":
        return started(words, KEPT | server.variables)
    return started([*words, *conf(server, engine)], KEPT)


def conf(server, engine):
    settings = server.settings | (OF_SPARK if engine == "spark" else {})
    words = [word for key, value in settings.items() for word in ("--conf", f"{key}={value}")]
    return [*words, "--master", "local[2]"] if engine == "spark" else words


def started(words, environment):
    return subprocess.run(
        command.arguments(*words), capture_output=True, text=True, timeout=900, check=False, env=environment
    )


def test_the_clusters_are_those_of_a_run_on_disk(filled, first, here):
    server, _ = filled
    engine, _, found = first
    assert found.returncode == 0, found.stderr[-2000:]
    assert json.loads(found.stdout)["engine"] == engine
    assert pq.read_table(f"lake/{engine}/clusters", filesystem=server.files).sort_by("id").equals(here)


def test_the_second_run_does_nothing(second):
    assert second.returncode == 0, second.stderr[-2000:]
    assert all(stage["reused"] for stage in json.loads(second.stdout)["stages"])


def test_no_key_is_in_any_file_or_message(filled, first, second):
    server, _ = filled
    engine, _, found = first
    assert all(SECRET not in each.stdout + each.stderr for each in (found, second))
    for info in server.files.get_file_info(fs.FileSelector(f"lake/{engine}", recursive=True)):
        if info.is_file:
            assert SECRET.encode() not in server.files.open_input_file(info.path).read(), info.path


@pytest.mark.skipif(not sail_installed(), reason="Sail is not installed")
@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("s3://lake/in/none", "s3://lake/in/none does not exist or holds no parquet file: check the path"),
        ("s3://lake/delta/one", "s3://lake/delta/one is a Delta table: set format: delta for it"),
    ],
    ids=["not there", "a Delta table"],
)
def test_what_is_wrong_with_an_input_in_the_store_is_one_line(filled, tmp_path, path, line):
    server, _ = filled
    words = ["cluster", "--base", path, "--output", tmp_path / "run", "--engine", "sail"]
    found = started(words, KEPT | server.variables)
    assert (found.returncode, found.stdout) == (2, "")
    name = path.rpartition("/")[2]
    assert found.stderr.splitlines()[-1] == f"cdp-spark: model {name}: {line}"
