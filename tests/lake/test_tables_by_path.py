"""Delta and Iceberg tables by path on the embedded engine, which reads them itself. What it cannot do is one line."""

from importlib.util import find_spec

import pytest
from pyspark.sql import SparkSession

from cdp_spark import cli
from cdp_spark.base.errors import ConfigError, InputError
from cdp_spark.commands.cluster import cluster
from cdp_spark.config.loading import load_config
from tests import command, data
from tests.answers import rows
from tests.conftest import ENGINE
from tests.lake.by_hand import write_delta, write_iceberg

pytestmark = pytest.mark.skipif(ENGINE != "sail", reason="of the embedded engine; test_tables.py has Spark's")
WRITERS = {"delta": write_delta, "iceberg": write_iceberg}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    ids, _, models = data.embeddings(15)
    data.write(folder / "in", ids, models, files=2)
    return folder


@pytest.fixture(scope="module")
def run(spark, folder):
    """Run on the base and a second model, in a folder of its own."""

    def run(model, output, **settings):
        given = {"base": str(folder / "in/base"), "committee": [model]}
        return cluster(load_config({
            "input": given, "output": str(folder / output), "knn": {"k": 5}, "consensus": {"threshold": 0.45},
            **settings,
        }), spark=spark)  # fmt: skip

    return run


@pytest.fixture(scope="module")
def of_files(run, folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cdp_spark.commands.cluster.write_report", lambda run: "")
        return run(str(folder / "in/one"), "of_files")


@pytest.fixture(scope="module", params=WRITERS)
def table(request, folder):
    """Path and format of the second model's table."""
    (folder / request.param).mkdir()
    return WRITERS[request.param](folder / "in/one", folder / request.param / "one"), request.param


def test_a_table_gives_the_clusters_of_its_files_and_the_second_run_reuses_them(run, of_files, table):
    path, kind = table
    source = {"name": "one", "path": str(path), "format": kind}
    first = run(source, f"of_{kind}")
    assert rows(first.clusters) == rows(of_files.clusters)
    assert first.record["counts"] == of_files.record["counts"]
    assert all(stage["reused"] for stage in run(source, f"of_{kind}").record["stages"])


def test_the_same_table_read_as_parquet_is_refused_with_the_setting(run, table):
    path, kind = table
    with pytest.raises(InputError, match=f"is an? {kind.capitalize()} table: set format: {kind}"):
        run(str(path), f"as_parquet_{kind}")


@pytest.mark.parametrize("kind", [*WRITERS, "orc"])
def test_a_folder_of_parquet_files_read_as_something_else_is_one_line(run, folder, kind):
    said = r"^model one: [^\n]*/in/one: Sail (cannot read it|knows no format orc): [^\n]+$"
    with pytest.raises(InputError, match=said):
        run({"path": str(folder / "in/one"), "format": kind}, f"no_{kind}")


def test_a_file_that_the_log_has_and_the_folder_has_not_is_one_line(run, folder):
    write_delta(folder / "in/one", folder / "vacuumed/one")
    (folder / "vacuumed/one/part-0.parquet").unlink()
    with pytest.raises(InputError, match=r"^/[^\n]*/vacuumed/one/part-0\.parquet: it is not there: [^\n]*$"):
        run({"name": "one", "path": str(folder / "vacuumed/one"), "format": "delta"}, "of_vacuumed")


def test_nothing_is_published_where_tables_end_with_the_process(run, folder):
    with pytest.raises(ConfigError, match="which Sail does not keep: use the engine spark"):
        run(str(folder / "in/one"), "published", publish={"table": "faces"})
    assert not (folder / "published").exists()


ONLY_SPARK = {
    "ORC": ({"input": {"base": {"name": "v3", "path": "v3", "format": "orc"}}}, "v3 has the format orc"),
    "a catalog's table": ({"input": {"base": {"table": "lake.v3"}}}, "lake.v3 is a table of a catalog"),
    "publish": ({"input": {"base": "v3"}, "publish": {"table": "lake.c"}}, "publish writes to a table of a catalog"),
}


@pytest.fixture(params=ONLY_SPARK.values(), ids=ONLY_SPARK)
def refused(request, tmp_path, capsys, monkeypatch):
    """Run the command on a config that needs Spark; return a function of its options to exit code and line."""
    for name in ("CDP_ENGINE", "SPARK_MASTER", "SPARK_REMOTE", "SPARK_CONF_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(SparkSession, "getActiveSession", staticmethod(lambda: None))
    settings, why = request.param
    config = command.write_config(tmp_path / "cdp.yaml", {**settings, "output": str(tmp_path / "run")})

    def refused(*words):
        code = cli.main(["cluster", "--config", str(config), *words])
        told = capsys.readouterr()
        assert (told.out, told.err.count("\n")) == ("", 1)
        return code, told.err.removeprefix("cdp-spark: ").strip(), why

    return refused


def test_what_needs_spark_is_refused_where_sail_is_asked_for(refused):
    code, line, why = refused("--engine", "sail")
    assert (code, line) == (2, f"engine sail: {why}, which needs Spark: leave one of the two out")


@pytest.mark.skipif(find_spec("pyspark.core") is not None, reason="Spark is installed here, and taken")
def test_what_needs_spark_says_so_where_it_is_not_installed(refused):
    code, line, why = refused()
    assert code == 3
    assert line.startswith(f"{why}, but only pyspark-client is installed, which cannot start Spark: ")
