"""Cleaning lists before it removes, and takes nothing that the last run, or anybody else, needs."""

import json
from pathlib import Path

import pytest

from cdp_spark.base.errors import ConfigError, InputError
from cdp_spark.commands.clean import clean, clean_runs
from cdp_spark.commands.cluster import cluster
from cdp_spark.config.loading import load_config
from tests import data


@pytest.fixture
def inputs(tmp_path):
    ids, _, models = data.embeddings(15)
    data.write(tmp_path / "in", ids, models)
    return tmp_path / "in"


def run(spark, inputs, output, threshold=0.45):
    settings = {
        "input": {"base": f"{inputs}/base", "committee": [f"{inputs}/one"]},
        "output": str(output), "knn": {"k": 5}, "consensus": {"accept": 1, "threshold": threshold},
    }  # fmt: skip
    return cluster(load_config(settings), spark=spark)


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_what_an_earlier_threshold_has_left_goes_and_the_run_still_does_nothing(spark, tmp_path, inputs):
    output = tmp_path / "run"
    run(spark, inputs, output)
    run(spark, inputs, output, threshold=0.6)
    before = files(output)
    found = clean(str(output))
    assert {each.name.split("/")[1].rsplit("-", 1)[0] for each in found} == {"components", "labelled", "clusters"}
    assert {each.why for each in found} == {"old"}
    assert all(each.bytes > 0 for each in found)
    assert files(output) == before
    assert clean(str(output), remove=True) == found
    assert clean(str(output)) == []
    assert all(stage["reused"] for stage in run(spark, inputs, output, threshold=0.6).record["stages"])


def test_no_copy_of_an_embedding_is_left_and_clusters_stay(spark, tmp_path, inputs):
    output = tmp_path / "run"
    first = run(spark, inputs, output)
    clusters = sorted(first.clusters.collect())
    assert {each.why for each in clean(str(output), vectors=True, remove=True)} == {"vectors"}
    for path in output.rglob("*.parquet"):
        names = spark.read.parquet(str(path)).columns
        assert not {"vector", "embedding"} & set(names), path
    assert sorted(spark.read.parquet(f"{output}/clusters").collect()) == clusters
    assert sorted(run(spark, inputs, output).clusters.collect()) == clusters


def test_half_a_stage_is_told_apart(spark, tmp_path, inputs):
    output = tmp_path / "run"
    run(spark, inputs, output)
    half = output / "stages" / "knn" / "base-0123456789abcdef"
    half.mkdir()
    (half / "part-0.parquet").write_bytes(b"half")
    (found,) = clean(str(output))
    assert (found.name, found.bytes, found.why) == ("stages/knn/base-0123456789abcdef", 4, "unfinished")


def test_the_newest_runs_stay_and_so_does_what_is_not_ours(spark, tmp_path, inputs):
    root = tmp_path / "runs"
    for day in ("monday", "tuesday", "wednesday"):
        run(spark, inputs, root / day)
    (root / "monday" / "notes.txt").write_text("mine")
    (root / "unfinished").mkdir()
    listed = clean_runs(str(root), keep=1)
    assert {Path(each.location).name for each in listed} == {"monday", "tuesday"}
    assert (root / "tuesday" / "run.json").exists()
    clean_runs(str(root), keep=1, remove=True)
    assert sorted(path.name for path in root.iterdir()) == ["monday", "unfinished", "wednesday"]
    assert files(root / "monday") <= {"notes.txt", "_lease.json"}
    assert json.loads((root / "wednesday" / "run.json").read_text())["counts"]["items"] > 0


def test_a_link_to_a_run_is_no_run_of_its_own(spark, tmp_path, inputs):
    root = tmp_path / "runs"
    run(spark, inputs, root / "monday")
    run(spark, inputs, tmp_path / "elsewhere")
    (root / "newest").symlink_to("monday")
    (root / "earlier").symlink_to(tmp_path / "elsewhere")
    assert clean_runs(str(root), keep=1, remove=True) == []
    assert (root / "newest" / "run.json").exists()
    assert (root / "earlier" / "run.json").exists()


def test_files_of_the_users_inside_our_folders_stay(spark, tmp_path, inputs):
    root = tmp_path / "runs"
    for day in ("monday", "tuesday"):
        run(spark, inputs, root / day)
    old = root / "tuesday" / "stages" / "items-0123456789abcdef"
    mine = [root / "monday" / "clusters" / "names.csv", root / "monday" / "stages" / "notes.txt", old / "notes.txt"]
    old.mkdir()
    (old / "part-0.parquet").write_bytes(b"half")
    for path in mine:
        path.write_text("mine")
    (found,) = clean(str(root / "tuesday"), remove=True)
    assert (found.bytes, [path.name for path in old.iterdir()]) == (4, ["notes.txt"])
    assert clean(str(root / "tuesday")) == []
    clean_runs(str(root), keep=1, remove=True)
    assert files(root / "monday") <= {"clusters/names.csv", "stages/notes.txt", "_lease.json"}
    assert all(path.read_text() == "mine" for path in mine)
    assert clean_runs(str(root), keep=1) == []


def test_refusals(tmp_path):
    with pytest.raises(InputError, match="clean needs a finished run"):
        clean(str(tmp_path / "nothing"))
    with pytest.raises(ConfigError, match="at least one run must stay"):
        clean_runs(str(tmp_path), keep=0)
