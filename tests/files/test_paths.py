import os

import pytest

from cdp_spark.base.errors import ConfigError
from cdp_spark.files.folder import Folder
from cdp_spark.files.paths import absolute, check_path, shown


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path


@pytest.mark.parametrize("path", ["", " ", "\n"])
def test_an_empty_path_is_never_the_current_folder(path):
    for take in (absolute, Folder):
        with pytest.raises(ConfigError, match="an empty path: name a file or folder"):
            take(path)


def test_a_path_leads_from_the_folder_of_the_call(home):
    assert absolute("v3/../run/") == f"{home}/here/run"
    assert absolute("~/run") == f"{home}/home/run"
    assert absolute("file:/data/v3") == "file:///data/v3"
    assert absolute("file:///data/50%25 v3") == "/data/50%25 v3"
    assert [absolute(far) for far in ("s3a://lake/v3", "dbfs:/v3")] == ["s3a://lake/v3", "dbfs:/v3"]


@pytest.mark.parametrize("path", ["$HOME/run", "${DATA}/v3.parquet", "runs/$NAME", "~nobody-of-this-name/run"])
def test_what_nothing_has_expanded_is_refused_unless_it_is_there(home, path):
    with pytest.raises(ConfigError, match=r"is not expanded here|no such home folder"):
        absolute(path)
    (home / "here" / path).mkdir(parents=True)
    assert absolute(path) == f"{home}/here/{path}"


def test_a_current_folder_that_is_gone_is_one_line(home):
    (home / "here").rmdir()
    with pytest.raises(ConfigError, match="the current folder is gone"):
        absolute("v3.parquet")


def test_messages_show_a_path_from_the_current_folder(home):
    assert shown(f"{home}/here/v3.parquet") == "v3.parquet"
    assert shown(f"{home}/v3.parquet") == f"{home}/v3.parquet"


def test_a_pattern_is_told_from_a_file_with_such_a_name(home):
    with pytest.raises(
        ConfigError, match=r"path v3/\*\.parquet has \*, .* a pattern: give the folder, v3, and all files"
    ):
        check_path("v3/*.parquet")
    os.mkdir("v3[1]")
    with pytest.raises(ConfigError, match="a pattern: rename it"):
        check_path("v3[1]")
    with pytest.raises(ConfigError, match="a backslash, which Spark reads as an escape sign: rename it"):
        check_path("back\\slash")
