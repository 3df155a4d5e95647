"""Folders in an object store are reached by what Spark's settings say."""

import pytest

from cdp_spark.base.errors import ConfigError
from cdp_spark.files import object_stores
from cdp_spark.files.folder import Folder
from cdp_spark.files.object_stores import take_settings
from cdp_spark.runs.lease import Lease
from tests.store import store


@pytest.fixture(scope="module")
def server():
    with store() as running:
        yield running


@pytest.fixture
def session(spark, server):
    for key, value in server.settings.items():
        spark.conf.set(key, value)
    take_settings(spark)
    yield spark
    for key in server.settings:
        spark.conf.unset(key)
    object_stores._session.clear()


def test_files_are_written_listed_copied_and_removed(session, server):
    folder = Folder("s3a://lake/run")
    assert folder.location == "s3a://lake/run"
    folder.write("stages/a/one.txt", "1")
    folder.write("stages/a/manifest", "2")
    folder.copy("stages/a", "clusters", last="manifest")
    assert [file.path for file in folder.files("clusters")] == ["manifest", "one.txt"]
    assert folder.names() == ["clusters", "stages"]
    folder.remove("stages")
    assert folder.read("stages/a/one.txt") is None
    assert folder.read("clusters/one.txt") == "1"
    assert server.files.get_file_info("lake/run/clusters/one.txt").is_file


def test_one_run_at_a_time_holds_an_output(session):
    with Lease("s3a://lake/held") as lease:
        lease.check()
    assert Folder("s3a://lake/held").read("clusters") is None


def test_without_settings_nothing_of_them_is_left(spark, server):
    for key in server.settings:
        assert spark.conf.get(key, None) is None
    assert object_stores.s3_options(spark, "lake") == {}


def test_another_bucket_is_no_stack_trace(session):
    with pytest.raises((ConfigError, OSError)):
        Folder("s3a://not-there/run").write("a", "b")
