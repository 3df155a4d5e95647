"""Publishing is looked at before the work: what could not be written in the end is refused at once."""

from __future__ import annotations

import pytest

from cdp_spark.base.errors import InputError, MissingRequirementError
from cdp_spark.commands.cluster import cluster
from cdp_spark.config.loading import load_config
from cdp_spark.runs.catalog_table import check_catalog

pytestmark = pytest.mark.spark("Sail keeps no catalog")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("my-faces", "my-faces is invalid and must be back quoted"),
        ("nowhere.faces", r"there is no schema nowhere: create it first \(CREATE SCHEMA nowhere\)"),
        ("no.such.catalog", "requires a single-part namespace"),
        ("", "Syntax error"),
    ],
)
def test_a_name_that_is_none_and_a_schema_that_is_not_there(spark, table, message):
    with pytest.raises(InputError, match=message) as refused:
        check_catalog(spark, table, "parquet")
    assert str(refused.value).startswith(f"publish: table {table}".rstrip())


@pytest.mark.parametrize("provider", ["delta", "iceberg"])
def test_a_format_whose_jar_is_missing_is_the_environments_fault(spark, provider):
    with pytest.raises(MissingRequirementError, match=f"publish: table faces: Spark lacks the jar of {provider}: set"):
        check_catalog(spark, "faces", provider)
    check_catalog(spark, "faces", "parquet")


def test_a_table_of_other_columns_is_refused(spark, tmp_path):
    spark.range(1).write.option("path", str(tmp_path / "t")).saveAsTable("of_others")
    try:
        with pytest.raises(InputError, match="of_others has other columns than id, cluster, status"):
            check_catalog(spark, "of_others", "parquet")
    finally:
        spark.sql("DROP TABLE of_others")


def test_a_run_that_could_not_publish_begins_nothing(spark, tmp_path):
    config = load_config({"input": {"base": str(tmp_path / "v3")}, "output": str(tmp_path / "run"), "publish": "faces"})
    with pytest.raises(MissingRequirementError, match=r"spark\.jars\.packages"):
        cluster(config, spark=spark)
    assert not (tmp_path / "run").exists()
