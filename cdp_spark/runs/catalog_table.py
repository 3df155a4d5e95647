"""Clusters as a table of the catalog: one partition per run, replaced whole when that run is made again."""

from __future__ import annotations

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from cdp_spark.base.errors import ConfigError, InputError
from cdp_spark.spark.differences import is_sail

RUN_COLUMN = "run"


def check_catalog(spark: SparkSession) -> None:
    """Refuse to publish where tables end with the session.

    Raises
    ------
    ConfigError
    """
    if is_sail(spark):
        raise ConfigError("publish writes to a table of a catalog, which Sail does not keep: use the engine spark")


def write_partition(rows: DataFrame, table: str, *, run: str, provider: str) -> None:
    """Write rows as the partition of a run; those that it had before are replaced in one step, others stay.

    Parameters
    ----------
    rows : DataFrame
    table : str
        Name in Spark's catalog; made, partitioned by run, when it is not there.
    run : str
        Value of the column ``RUN_COLUMN``, which is added last.
    provider : {"delta", "iceberg", "parquet"}
        Format of a table that is made.

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
    except PySparkException as error:
        first = str(error).strip().splitlines()[0]
        raise InputError(f"publish: table {table}: Spark cannot write it: {first}") from None


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
