"""Open the user's tables, refuse unreadable ones in one line, and fingerprint their content."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, DataType, FloatType, StringType

from cdp_spark.base.errors import CdpError, InputError
from cdp_spark.base.refusals import source_refused
from cdp_spark.base.schemas import quoted
from cdp_spark.config.input_sections import ImagesConfig, InputConfig, LabelsConfig, SourceConfig
from cdp_spark.config.sections import fingerprint
from cdp_spark.files.data_files import DataFiles, data_files
from cdp_spark.files.folder import Folder
from cdp_spark.files.paths import check_path, is_local, local_path, shown
from cdp_spark.sources.damaged import remember
from cdp_spark.sources.listing import ENDINGS, paths_of
from cdp_spark.sources.parquet_files import parquet_files
from cdp_spark.sources.read_parquet import no_column, read_parquet
from cdp_spark.spark.differences import is_sail

Source = SourceConfig | LabelsConfig | ImagesConfig

_OPTIONS = {
    "csv": {"header": "true"},
    # If this process cannot list the files, Spark does, and would otherwise skip subfolders.
    "parquet": {"parquet.page.verify-checksum.enabled": "true", "recursiveFileLookup": "true"},
}


@dataclass(frozen=True)
class Opened:
    """An opened table.

    Attributes
    ----------
    table : DataFrame
        The asked columns, under the asked names.
    read : callable () -> str
        Computes the fingerprint; a table without files is read for it.
    rows : int or None
        Number of rows by the footers of its files; None if it has none.
    """

    table: DataFrame
    read: Callable[[], str]
    rows: int | None

    @cached_property
    def fingerprint(self) -> str:
        """Fingerprint of its present content."""
        return self.read()


def open_source(
    spark: SparkSession, source: Source, where: str, columns: Mapping[str, DataType] | None = None
) -> DataFrame:
    """Open one table as a DataFrame; see :func:`opened`."""
    return opened(spark, source, where, columns).table


def opened(spark: SparkSession, source: Source, where: str, columns: Mapping[str, DataType] | None = None) -> Opened:
    """Open one table: the asked columns of all its files.

    Parameters
    ----------
    spark : SparkSession
    source : SourceConfig, LabelsConfig or ImagesConfig
    where : str
        How messages name it, such as ``model v3``.
    columns : mapping of str to DataType, optional
        Asked columns, ids first, with the type of a column without values. Default: the columns that the config of
        labels or pictures names; for a model, ``id`` and ``embedding``.

    Raises
    ------
    InputError
        If it is missing, damaged or in another format, if files would be skipped, or if columns are missing.
    """
    asked = columns or _asked(source)
    name = getattr(source, "table", None)
    if name is not None:
        table = _refused_in_one_line(spark, lambda: spark.table(name), f"{where}: table {name}")
        return _of_engine(needed_columns(table, asked, where))
    path = str(source.path)
    check_path(path)
    if source.format == "parquet" and (files := data_files(path)) is not None:
        remember(files)
        looked_at = parquet_files(files, list(asked), where, on_spark=not is_sail(spark))
        table = _refused_in_one_line(
            spark, lambda: read_parquet(spark, files, looked_at, asked, where), f"{where}: {shown(path)}"
        )
        return Opened(table, partial(_files_fingerprint, files), sum(file.rows for file in looked_at))
    reader = spark.read.format(source.format).options(**_OPTIONS.get(source.format, {}))
    paths = _paths(spark, source, where)
    table = _refused_in_one_line(spark, lambda: reader.load(paths), f"{where}: {shown(path)}")
    if not table.columns:  # Sail's answer for a missing path
        raise InputError(f"{where}: {shown(path)} does not exist or holds no {source.format} file: check the path")
    table = needed_columns(table, asked, where)
    return (
        _of_engine(table) if source.format != "parquet" else Opened(table, partial(_listed_by_spark, spark, path), None)
    )


def _paths(spark: SparkSession, source: Source, where: str) -> str | list[str]:
    """Return the path, or the files below it if an engine would not read them all from the path."""
    path = str(source.path)
    if source.format in ENDINGS and (files := data_files(path)) is not None:
        return paths_of(files, source.format, where, on_spark=not is_sail(spark))
    return path


def columns_of_models(config: InputConfig) -> dict[str, DataType]:
    """Return the columns to read from every model's table."""
    return {config.id_column: StringType(), config.embedding_column: ArrayType(FloatType())}


def needed_columns(table: DataFrame, columns: Iterable[str], where: str) -> DataFrame:
    """Select columns under the asked names; case does not matter.

    Raises
    ------
    InputError
        If a column is missing, or several differ only in case.
    """
    chosen = []
    for column in columns:
        same = [name for name in table.columns if name.lower() == column.lower()]
        if len(same) > 1:
            raise InputError(f"{where}: columns {', '.join(same)} differ only in case: rename one")
        if not same:
            known = [(field.name, field.dataType.simpleString()) for field in table.schema.fields]
            raise no_column(column, known, where)
        chosen.append(F.col(quoted(same[0])).alias(column))
    return table.select(*chosen)


def clusters_path(path: str) -> str:
    """Return the path of clusters: the given folder, or the ``clusters`` of a run's output."""
    try:
        names = Folder(path).names()
    except CdpError:  # a file, or a path that only Spark knows
        return path
    return f"{path.rstrip('/')}/clusters" if {"clusters", "run.json"} <= set(names) else path


def text_of(spark: SparkSession, path: str) -> str:
    """Read a small text file with Spark's file systems and the credentials of its settings.

    Raises
    ------
    InputError
        If it does not exist, or Spark does not know the file system.
    """
    check_path(path)
    try:
        rows = spark.read.text(path, wholetext=True).collect()
    except Exception as error:  # includes Hadoop's errors for a missing jar or credentials
        raise source_refused(error, path, "Sail" if is_sail(spark) else "Spark") from None
    if len(rows) != 1:
        raise InputError(f"{path}: {len(rows)} files there, but one is needed: name the file")
    return str(rows[0]["value"])


def dataframe_fingerprint(table: DataFrame) -> str:
    """Fingerprint a table's content regardless of row order, in one pass."""
    hashed = table.select(F.xxhash64(*map(quoted, table.columns)).cast("decimal(38,0)").alias("hash"))
    row = hashed.agg(F.count("*").alias("rows"), F.sum("hash").alias("sum")).collect()[0]
    return fingerprint(table.schema.jsonValue(), row["rows"], str(row["sum"]))


def check_apart(output: str, inputs: list[str]) -> None:
    """Refuse an output that equals, contains or lies in an input.

    Raises
    ------
    InputError
    """
    for path in inputs:
        a, b = _comparable(output), _comparable(path)
        if a == b or a.startswith(b + "/") or b.startswith(a + "/"):
            raise InputError(f"output {shown(output)} and input {shown(path)} overlap: choose an output elsewhere")


def _refused_in_one_line(spark: SparkSession, load: Callable[[], DataFrame], where: str) -> DataFrame:
    try:
        table = load()
        table.schema  # noqa: B018 - on Connect only this asks the server
        return table
    except CdpError:
        raise
    except Exception as error:  # from PySpark, py4j or gRPC
        raise source_refused(error, where, "Sail" if is_sail(spark) else "Spark") from None


def _comparable(path: str) -> str:
    return os.path.realpath(local_path(path)) if is_local(path) else path.rstrip("/")


def _asked(source: Source) -> Mapping[str, DataType]:
    if isinstance(source, LabelsConfig):
        return {source.id_column: StringType(), source.label_column: StringType()}
    if isinstance(source, ImagesConfig):
        return {source.id_column: StringType(), source.image_column: StringType()}
    return {"id": StringType(), "embedding": ArrayType(FloatType())}


def _of_engine(table: DataFrame) -> Opened:
    return Opened(table, partial(dataframe_fingerprint, table), None)


def _files_fingerprint(files: DataFiles) -> str:
    # Object stores do not report times below a microsecond consistently.
    unit = 1 if is_local(files.location) else 1000
    listed = [(f"{files.location}/{info.path}", info.length, info.modified // unit) for info in files.files]
    return fingerprint([list(file) for file in sorted(listed)])


def _listed_by_spark(spark: SparkSession, path: str) -> str:
    files = spark.read.format("binaryFile").option("recursiveFileLookup", "true").load(path)
    rows = files.select("path", "length", F.unix_micros("modificationTime").alias("time")).collect()
    return fingerprint(sorted([row["path"], row["length"], row["time"]] for row in rows))
