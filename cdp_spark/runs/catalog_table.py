"""Publish clusters to a catalog table, one partition per run; repeating a run replaces its partition."""

from __future__ import annotations

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from cdp_spark.base.errors import CdpError, ConfigError, InputError, MissingRequirementError
from cdp_spark.base.refusals import source_refused, translated, whole_text
from cdp_spark.spark.differences import is_connect, is_sail

RUN_COLUMN = "run"
_COLUMNS = ("id", "cluster", "status", "size", "best_score", "level")
_MORE_COLUMNS = ("confidence", "soft_labels")


def check_catalog(spark: SparkSession, table: str, provider: str) -> None:
    """Refuse, before any work, a table that could not be written afterwards.

    Raises
    ------
    ConfigError
        If tables end with the session.
    InputError
        If the name is invalid, its schema does not exist, or the table has other columns.
    MissingRequirementError
        If Spark lacks the jar of the format.
    """
    if is_sail(spark):
        raise ConfigError("publish writes to a table of a catalog, which Sail does not keep: use the engine spark")
    where = f"publish: table {table}"
    try:
        if spark.catalog.tableExists(table):
            columns = [name for name in spark.table(table).columns if name not in (RUN_COLUMN, *_MORE_COLUMNS)]
            if columns != list(_COLUMNS):
                needed = ", ".join((*_COLUMNS, RUN_COLUMN))
                raise InputError(f"{where} has other columns than {needed}: choose another name, or drop it")
            return
        if _in_sparks_own_catalog(spark, table):
            schema = table.rpartition(".")[0]
            if schema and not spark.catalog.databaseExists(schema):
                raise InputError(f"{where}: there is no schema {schema}: create it first (CREATE SCHEMA {schema})")
            _check_provider(spark, where, provider)
    except CdpError:
        raise
    except Exception as error:
        raise source_refused(error, where, "Spark", "take") from None


def _check_provider(spark: SparkSession, where: str, provider: str) -> None:
    """Ask for a table of that format without a path, which fails in a special way if the format is unknown."""
    try:
        spark.read.format(provider).load().schema  # noqa: B018 - on Connect only this asks the server
    except Exception as error:
        if "data source" in whole_text(error) and (known := translated(error)) is not None:
            raise type(known)(f"{where}: {known}") from None
    if provider == "parquet" or is_connect(spark):
        return
    made_by = (spark.conf.get("spark.sql.catalog.spark_catalog", "") or "").lower()
    if provider not in made_by and "databricks" not in made_by:
        raise MissingRequirementError(
            f"{where}: Spark's catalog makes no table of {provider}: set spark.sql.catalog.spark_catalog and "
            "spark.sql.extensions as docs/howto/tables.md shows, or set publish.format"
        )


def _in_sparks_own_catalog(spark: SparkSession, table: str) -> bool:
    first, dot, rest = table.partition(".")
    if "." in rest or (dot and spark.conf.get(f"spark.sql.catalog.{first}", "")):
        return False
    return (spark.conf.get("spark.sql.defaultCatalog", "") or "spark_catalog") == "spark_catalog"


def write_partition(rows: DataFrame, table: str, *, run: str, provider: str) -> None:
    """Write rows as the partition of a run, replacing its earlier rows in one step.

    Parameters
    ----------
    rows : DataFrame
    table : str
        Name in Spark's catalog; created, partitioned by run, if it does not exist.
    run : str
        Value of the column ``RUN_COLUMN``, which is added last.
    provider : {"delta", "iceberg", "parquet"}
        Format of a table that is created.

    Raises
    ------
    InputError
        If the table has other columns, or Spark cannot write it.
    """
    spark = rows.sparkSession
    marked = rows.withColumn(RUN_COLUMN, F.lit(run))
    try:
        if not spark.catalog.tableExists(table):
            marked.writeTo(table).using(provider).partitionedBy(F.col(RUN_COLUMN)).create()
            return
        _check_columns(spark.table(table), marked, table)
        if _provider(spark, table) == "parquet":
            # `insertInto` would replace all partitions, unless a setting of the whole session says otherwise.
            into = f"INSERT OVERWRITE TABLE {table} PARTITION ({RUN_COLUMN} = {_literal(run)}) SELECT * FROM {{rows}}"
            spark.sql(into, rows=rows)
        else:
            marked.writeTo(table).overwrite(F.col(RUN_COLUMN) == F.lit(run))
    except CdpError:
        raise
    except Exception as error:
        raise source_refused(error, f"publish: table {table}", "Spark", "write") from None


def _check_columns(known: DataFrame, wanted: DataFrame, table: str) -> None:
    existing, needed = ([(name, kind) for name, kind in each.dtypes] for each in (known, wanted))
    if existing != needed:
        listed = ", ".join(f"{name} {kind}" for name, kind in needed)
        raise InputError(
            f"publish: table {table} has other columns than {listed}: choose another name, or drop the table"
        )


def _literal(text: str) -> str:
    """Quote for Spark's SQL, and for the names in braces that ``spark.sql`` fills in."""
    quoted = text.replace("\\", "\\\\").replace("'", "\\'").replace("{", "{{").replace("}", "}}")
    return f"'{quoted}'"


def _provider(spark: SparkSession, table: str) -> str:
    described = spark.sql(f"DESCRIBE TABLE EXTENDED {table}").where(F.col("col_name") == "Provider").collect()
    return str(described[0]["data_type"]).lower() if described else ""
