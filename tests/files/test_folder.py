"""Files of an output folder: whole or not at all, locally and where there are no folders."""

from __future__ import annotations

import os

import pytest
from pyarrow import fs

from cdp_spark.base.errors import ConfigError, DamagedStageError, InputError
from cdp_spark.files import folder as module
from cdp_spark.files.folder import FileInfo, Folder
from cdp_spark.sources.damaged import translated


@pytest.fixture(params=["folders", "objects"])
def folder(request, tmp_path):
    """A folder as on a disk, and as in an object store, where nothing can be renamed."""
    made = Folder(str(tmp_path / "run"))
    made.make()
    if request.param == "objects":
        for name in ("a", "a/deep", "b", "b/deep"):
            (tmp_path / "run" / name).mkdir()
        made._puts_whole = True
    return made


def fill(folder: Folder, name: str, *files: str) -> None:
    for file in files:
        place = os.path.join(folder.location, name, file)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        with open(place, "w") as stream:
            stream.write(file)


def test_text_is_read_back_and_replaced_without_a_trace(folder):
    folder.write("latest.json", "old")
    folder.write("latest.json", "näu")
    assert folder.read("latest.json") == "näu"
    assert [name for name in folder.names() if "latest" in name] == ["latest.json"]
    assert folder.read("missing.json") is None
    assert folder.read("latest.json/below") is None


def test_files_are_listed_with_path_and_length(folder):
    fill(folder, "c", "two.txt", "deep/one.txt")
    assert [(found.path, found.length) for found in folder.files("c")] == [("deep/one.txt", 12), ("two.txt", 7)]
    assert all(isinstance(found, FileInfo) and found.modified > 0 for found in folder.files("c"))
    assert folder.files("missing") == []


def test_a_copy_replaces_what_was_there(folder, monkeypatch):
    fill(folder, "a", "new.txt", "deep/new.txt", "manifest")
    fill(folder, "b", "old.txt")
    if folder._puts_whole:  # an object store makes no folders, but the disk under this test needs them
        monkeypatch.setattr(folder, "remove", lambda name: os.remove(os.path.join(folder.location, "b/old.txt")))
    folder.copy("a", "b", last="manifest")
    assert [found.path for found in folder.files("b")] == ["deep/new.txt", "manifest", "new.txt"]
    assert folder.names() == ["a", "b"]


def test_removing_what_is_not_there_is_no_error(folder):
    folder.remove("missing")
    fill(folder, "c", "one")
    folder.remove("c")
    assert "c" not in folder.names()


@pytest.mark.parametrize("path", ["runs/[a]", "runs/{a}", "runs/*", "runs/a?"])
def test_a_path_that_spark_reads_as_a_pattern_is_refused(path):
    with pytest.raises(ConfigError, match="pattern"):
        Folder(path)


def test_a_place_of_unknown_kind_is_refused_in_one_line():
    with pytest.raises(ConfigError, match="pyarrow cannot open it") as refused:
        Folder("dbfs://somewhere/run")
    assert "\n" not in str(refused.value)


def test_amazons_store_is_the_same_under_hadoops_name(monkeypatch):
    asked = []
    opened = (fs.LocalFileSystem(), "lake/runs/lfw/")
    # Asking S3 itself would need a network: Arrow looks up the bucket's region.
    monkeypatch.setattr(module, "_from_uri", lambda uri: asked.append(uri) or opened)
    folder = Folder("s3a://lake/runs/lfw/")
    assert (asked, folder._root) == (["s3://lake/runs/lfw"], "lake/runs/lfw")
    assert folder.path("stages") == "s3a://lake/runs/lfw/stages"


def test_a_damaged_stage_is_told_from_damaged_input():
    why = "[FAILED_READ_FILE.NO_HINT] Encountered error while reading file file:///{}. SQLSTATE: KD001"
    stage = translated(RuntimeError(why.format("runs/lfw/stages/knn/v3-0123456789abcdef/part-0.parquet")))
    assert (type(stage), stage.exit_code) == (DamagedStageError, 2)
    assert "stages/knn/v3-0123456789abcdef: " in str(stage)
    assert isinstance(translated(RuntimeError(why.format("in/v3/part-0.parquet"))), InputError)
