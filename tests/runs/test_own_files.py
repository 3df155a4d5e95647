"""Nothing of the user's is removed from an output, nor taken for ours; what file browsers leave stops nobody."""

from __future__ import annotations

import json
import shutil

import pytest
from pyspark.sql.types import LongType, StructField, StructType

from cdp_spark.base.errors import DamagedStageError, InputError
from cdp_spark.files.folder import Folder
from cdp_spark.runs.manifests import MANIFEST
from cdp_spark.runs.own_files import is_of_export, remove_own
from cdp_spark.runs.stage_store import OURS, StageStore

SCHEMA = StructType([StructField("item", LongType())])
LEFTOVERS = (
    ".DS_Store", "._x", "Thumbs.db", "desktop.ini", ".directory", ".nfs0001", ".ipynb_checkpoints/a-checkpoint.csv",
    ".ipynb_checkpoints/part-0-checkpoint.parquet", "@eaDir/x", ".~lock.run.json#", "~$names.xlsx",
)  # fmt: skip


@pytest.fixture
def made(spark, tmp_path):
    """Make a stage of so many rows in the one output, and publish it as clusters."""

    def make(rows: int):
        store = StageStore(spark, str(tmp_path / "run"))
        key = f"{rows:016x}" * 4
        stage = store.stage("items", key, lambda: spark.range(rows).selectExpr("id as item"), schema=SCHEMA)
        store.publish("clusters", stage)
        return stage

    return make


def put(folder, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("mine")


def is_there(folder, *names: str) -> bool:
    return all((folder / name).read_text() == "mine" for name in names)


@pytest.mark.engines
def test_what_file_browsers_leave_is_passed_over_wherever_it_lies(made, tmp_path):
    first = made(3)
    folders = [tmp_path / "run", tmp_path / "run" / "clusters", tmp_path / "run" / first.path]
    for folder in folders:
        put(folder, *LEFTOVERS)
    again = made(3)
    assert (again.reused, again.table.count()) == (True, 3)
    assert made(5).table.count() == 5
    assert all(is_there(folder, *LEFTOVERS) for folder in folders)
    # Half a stage with such files in it is made anew.
    (tmp_path / "run" / first.path / MANIFEST).unlink()
    anew = made(3)
    assert (anew.reused, anew.table.count()) == (False, 3)
    assert all(is_there(folder, *LEFTOVERS) for folder in folders)


@pytest.mark.engines
def test_a_file_of_the_users_in_a_published_table_stays(made, tmp_path):
    made(3)
    put(tmp_path / "run/clusters", "names.csv", "notes/a.txt")
    first = sorted(path.name for path in (tmp_path / "run/clusters").glob("*.parquet"))
    made(5)
    assert is_there(tmp_path / "run/clusters", "names.csv", "notes/a.txt")
    assert not set(first) & {path.name for path in (tmp_path / "run/clusters").glob("*.parquet")}
    published = json.loads((tmp_path / "run/clusters" / MANIFEST).read_text())
    assert published["rows"] == 5
    made(5)
    assert is_there(tmp_path / "run/clusters", "names.csv")


def test_a_parquet_file_of_the_users_in_a_published_table_is_refused_before_the_work(made, tmp_path):
    stage = made(3)
    own = next((tmp_path / "run" / stage.path).glob("*.parquet"))
    for name in ("extra.parquet", "part-9.parquet"):
        shutil.copy(own, tmp_path / "run/clusters" / name)
        with pytest.raises(InputError, match=rf"holds clusters/{name}, which no run wrote and which would be read as"):
            made(5)
        assert (tmp_path / "run/clusters" / name).exists()
        (tmp_path / "run/clusters" / name).unlink()


def test_a_file_of_the_users_in_half_a_stage_is_named_and_stays(made, tmp_path):
    stage = tmp_path / "run" / made(3).path
    put(stage, "notes.txt")
    assert made(3).table.count() == 3
    (stage / MANIFEST).unlink()
    with pytest.raises(InputError, match=r"holds notes\.txt, which no run wrote: move it elsewhere"):
        made(3)
    assert is_there(stage, "notes.txt")
    (stage / "notes.txt").unlink()
    assert made(3).table.count() == 3
    shutil.copy(next(stage.glob("*.parquet")), stage / "faces.parquet")
    with pytest.raises(DamagedStageError, match="does not hold the files its manifest lists"):
        made(3)


@pytest.mark.parametrize("name", [*(name for name in OURS if name not in ("stages", "_lease.json")), "notes.txt"])
def test_a_folder_that_no_run_has_begun_holds_nothing_of_ours(spark, tmp_path, name):
    put(tmp_path, name if "." in name else f"{name}/mine.csv", ".DS_Store")
    if name == "mediator.safetensors":  # that alone says whose the folder is
        StageStore(spark, str(tmp_path))
        return
    with pytest.raises(InputError, match=f"holds {name}, which no run wrote: choose an empty folder"):
        StageStore(spark, str(tmp_path))


def test_a_file_beside_a_runs_own_is_named(made, tmp_path):
    made(3)
    put(tmp_path / "run", "notes.txt")
    with pytest.raises(InputError, match=r"holds notes\.txt, which no run wrote: move it elsewhere"):
        made(3)
    assert is_there(tmp_path / "run", "notes.txt")


def test_a_folder_stages_of_the_users_is_none_of_ours(spark, tmp_path):
    put(tmp_path, "stages/one.txt", "config.yaml")
    with pytest.raises(InputError, match=r"holds config\.yaml, which no run wrote"):
        StageStore(spark, str(tmp_path))


def test_only_what_is_ours_goes(tmp_path):
    put(tmp_path / "a", "x/part-0.parquet", "x/y/part-1.parquet", "x/y/_SUCCESS", "x/mine.csv", "part-2.parquet",
        "_temporary/0/task", "b/c/part-3.parquet")  # fmt: skip
    assert remove_own(Folder(str(tmp_path)), "a") == ["x/mine.csv"]
    assert [str(path.relative_to(tmp_path)) for path in sorted(tmp_path.rglob("*"))] == ["a", "a/x", "a/x/mine.csv"]
    put(tmp_path / "files", "train-00000.csv", "names.csv")
    assert remove_own(Folder(str(tmp_path)), "files", is_of_export) == ["names.csv"]
    put(tmp_path / "whole", "part-0.parquet")
    assert remove_own(Folder(str(tmp_path)), "whole") == []
    assert not (tmp_path / "whole").exists()
