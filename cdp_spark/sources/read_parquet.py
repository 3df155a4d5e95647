"""Inspected Parquet files -> one table of the asked columns, for files of any writer."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from itertools import groupby
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    DataType,
    DecimalType,
    DoubleType,
    LongType,
    MapType,
    StringType,
    StructField,
    StructType,
)

from cdp_spark.base.errors import InputError, listed
from cdp_spark.base.schemas import quoted
from cdp_spark.files.data_files import DataFiles
from cdp_spark.files.paths import shown
from cdp_spark.sources.column_types import (
    UnreadableError,
    common_type,
    engine_type,
    is_surely_long,
    is_untyped,
    is_whole,
)
from cdp_spark.sources.one_valued import read_by_arrow
from cdp_spark.sources.parquet_files import NO_VALUE, ParquetFile
from cdp_spark.spark.differences import is_sail

_MOST_FOLDER_VALUES = 1_000
_LONGEST = 40
_MANY_NUMBERS = 8
"""Number of numeric columns that suggests an embedding with one column per dimension."""
_LONGS = range(-(2**63), 2**63)
_EXACT = range(-(2**53), 2**53 + 1)
"""Whole numbers that floats of 64 bits hold."""


def read_parquet(
    spark: SparkSession, files: DataFiles, looked_at: Sequence[ParquetFile], columns: Mapping[str, DataType], where: str
) -> DataFrame:
    """Read the asked columns of all files. Lazy.

    Parameters
    ----------
    spark : SparkSession
    files : DataFiles
    looked_at : sequence of ParquetFile
    columns : mapping of str to DataType
        Asked columns, with the type of a column without values. The first holds ids: integers become long.
    where : str

    Returns
    -------
    DataFrame
        The asked columns under the asked names, in order; one row for each row of the files.

    Raises
    ------
    InputError
        If columns are missing, or their types differ in meaning or cannot be read.
    """
    for column in columns:
        _check_present(looked_at, column, where)
        if is_sail(spark):
            _check_folder_values(looked_at, column, where)
    read = [file for file in looked_at if file.rows] or list(looked_at)
    kinds = _types(files, read, columns, where)
    kinds = _with_long_ids(read, next(iter(columns)), kinds, where)
    if not any(file.rows for file in looked_at):
        return spark.createDataFrame([], StructType([StructField(*field) for field in kinds.items()]))
    if not is_sail(spark):
        _check_reader(files, read, where)
    groups = _layouts(read, tuple(columns), on_sail=is_sail(spark))
    whole = files.flat and len(groups) == 1 and len(read) == len(looked_at)
    return _united([_layout(_rows(spark, files, group, whole), group[0], kinds) for group in groups])


def _united(tables: list[DataFrame]) -> DataFrame:
    """Unite tables pairwise: engines limit the depth of a plan."""
    while len(tables) > 1:
        pairs = [reduce(DataFrame.unionByName, tables[at : at + 2]) for at in range(0, len(tables), 2)]
        tables = pairs
    return tables[0]


def no_column(column: str, present: Sequence[tuple[str, str]], where: str) -> InputError:
    """Return the error for a column that is not among the present ones (names and types)."""
    known = listed([f"{name}: {kind if len(kind) < _LONGEST else kind[:_LONGEST] + '...'}" for name, kind in present])
    numbers = [name for name, kind in present if kind in ("float", "double")]
    more = ""
    if len(numbers) >= _MANY_NUMBERS:
        more = f"; if each dimension has a column, write them as one, array({numbers[0]}, {numbers[1]}, ...)"
    mend = "name it in the config" if where.startswith("model ") else "name another, or rename it"
    return InputError(f"{where}: no column {column or repr(column)}; it has {known}: {mend}{more}")


def _check_present(looked_at: Sequence[ParquetFile], column: str, where: str) -> None:
    """Refuse a column that a file with rows lacks, unless a folder's name gives its value."""
    without = [file for file in looked_at if column not in file.names and column not in file.partition]
    lacking = [file for file in without if file.rows] or (without if len(without) == len(looked_at) else [])
    if lacking:
        file = "" if len(lacking) == len(looked_at) else f" in {lacking[0].path}"
        present = [(field.name, _shown(field.type)) for field in lacking[0].schema]
        raise no_column(f"{column}{file}", present, where)


def _check_folder_values(looked_at: Sequence[ParquetFile], column: str, where: str) -> None:
    """Refuse more values in folder names than Sail, which cannot tell the file of a row, can handle."""
    values = {file.partition[column] for file in looked_at if column in file.partition}
    if len(values) > _MOST_FOLDER_VALUES:
        raise InputError(
            f"{where}: {column} comes from the names of {len(values):,} folders, such as "
            f"{column}={min(map(str, values))}, but at most {_MOST_FOLDER_VALUES:,} are read: write it into the files"
        )


def _types(
    files: DataFiles, read: Sequence[ParquetFile], columns: Mapping[str, DataType], where: str
) -> dict[str, DataType]:
    kinds_by_column: dict[str, DataType] = {}
    for column, fallback in columns.items():
        kinds = []
        for file in read:
            if column not in file.names and column not in file.partition:
                continue  # a file without rows
            try:
                if not is_untyped(file.kind(column)):
                    kinds.append(engine_type(file.kind(column)))
            except UnreadableError as error:
                raise InputError(f"{where}: {_path_of(files, file)}: {error.of(column)}") from None
        kind = common_type(kinds) if kinds else fallback
        if kind is None or (kind == DoubleType() and not _exact_as_doubles(read, column)):
            raise InputError(
                f"{where}: {shown(files.location)} holds files with different schemas: {_schemas(read, columns)}"
            )
        kinds_by_column[column] = kind
    return kinds_by_column


def _exact_as_doubles(read: Sequence[ParquetFile], column: str) -> bool:
    """Return whether integers of some files keep all digits beside floats of others, which pandas writes for gaps."""
    limits = [file.limits[column] for file in read if column in file.limits]
    return all(limit is not None and limit[0] in _EXACT and limit[1] in _EXACT for limit in limits)


def _path_of(files: DataFiles, file: ParquetFile) -> str:
    return shown(f"{files.location}/{file.path}")


def _schemas(read: Sequence[ParquetFile], columns: Iterable[str]) -> str:
    by_schema: dict[str, list[str]] = {}
    for file in read:
        known = [column for column in columns if column in file.names or column in file.partition]
        kinds = ", ".join(f"{column}: {_shown(file.kind(column))}" for column in known)
        by_schema.setdefault(kinds, []).append(file.path)
    schemas = [
        f"{names[0]}{f' and {len(names) - 1:,} more' if len(names) > 1 else ''} ({kinds})"
        for kinds, names in list(by_schema.items())[:3]
    ]
    return f"{' | '.join(schemas)}: cast them to one type, or give one of them alone"


def _shown(kind: Any) -> str:
    try:
        return engine_type(kind).simpleString()
    except UnreadableError:
        return str(kind)


def _with_long_ids(
    read: Sequence[ParquetFile], column: str, kinds: dict[str, DataType], where: str
) -> dict[str, DataType]:
    """Read integers of every width as long, if all of them fit."""
    kind = kinds[column]
    if not is_whole(kind):
        return kinds
    if not is_surely_long(kind):
        limits = [file.limits[column] for file in read if column in file.limits]
        beyond = [limit for limit in limits if limit is None or limit[0] not in _LONGS or limit[1] not in _LONGS]
        if beyond:
            what = "unsigned 64-bit integers" if kind == DecimalType(20, 0) else kind.simpleString()
            far = "some are beyond 2^63 - 1" if beyond[0] else "the files do not say how large"
            raise InputError(
                f"{where}: ids ({column}) are {what}, {far}: cast them to int64 where all fit, else to text"
            )
    return kinds | {column: LongType()}


def _check_reader(files: DataFiles, read: Sequence[ParquetFile], where: str) -> None:
    for file in read:
        if file.unread:
            raise InputError(
                f"{where}: {_path_of(files, file)} is written with {', '.join(file.unread)}, which Spark does not "
                "read: write it with other settings (zstd, default encodings), or run on the engine Sail"
            )


def _layouts(read: Sequence[ParquetFile], columns: tuple[str, ...], *, on_sail: bool) -> list[list[ParquetFile]]:
    """Group files that one reader can read together.

    Sail compares the types of all columns, even of unread ones, and cannot tell the file of a row.
    """

    def layout(file: ParquetFile) -> tuple[str, ...]:
        own = [f"{file.names.get(column)!r} {column in file.partition} {file.kind(column)}" for column in columns]
        if not on_sail:
            return tuple(own)
        return (
            *own,
            *map(repr, file.partition.items()),
            *sorted(f"{field.name} {field.type}" for field in file.schema),
        )

    return [list(group) for _, group in groupby(sorted(read, key=layout), key=layout)]


def _rows(spark: SparkSession, files: DataFiles, group: Sequence[ParquetFile], whole: bool) -> DataFrame:
    """Read files of one layout."""
    if is_sail(spark) and any(file.may_hide_nan for file in group):
        return read_by_arrow(spark, files, [file.path for file in group], _schema(group[0]))
    paths = [files.location] if whole else [f"{files.location}/{file.path}" for file in group]
    reader = spark.read.option("parquet.page.verify-checksum.enabled", "true")
    # Spark is asked for the needed columns alone, which others cannot stop then; Sail takes columns as it finds them.
    return (reader if is_sail(spark) else reader.schema(_schema(group[0]))).parquet(*paths)


def _layout(table: DataFrame, like: ParquetFile, kinds: Mapping[str, DataType]) -> DataFrame:
    """Select the asked columns from files of one layout."""
    on_sail = is_sail(table.sparkSession)
    chosen = [
        _of_folder(like, column, on_sail=on_sail) if column in like.partition else _cast(like, column, kind)
        for column, kind in kinds.items()
    ]
    return table.select(*(value.alias(column) for value, column in zip(chosen, kinds, strict=True)))


def _of_folder(like: ParquetFile, column: str, *, on_sail: bool) -> Column:
    """Return the value from the name of a row's folder; see :func:`cdp_spark.sources.parquet_files.folder_value`."""
    if on_sail:
        return F.lit(like.partition[column]).cast(StringType())

    def decoded(text: Column) -> Column:
        plain = F.replace(text, F.lit("+"), F.lit("%2B"))
        return F.coalesce(F.try_url_decode(plain), text)

    # The path is a URI, and the writer has encoded the name within it.
    path = decoded(F.col("_metadata.file_path"))
    value = decoded(F.regexp_extract(path, f"(?i)^.*/{re.escape(column)}=([^/]*)/", 1))
    return F.when(value != F.lit(NO_VALUE), value)


def _schema(like: ParquetFile) -> StructType:
    fields = []
    for column, name in like.names.items():
        if not _is_null(like, column):
            fields.append(StructField(name, _spark_type(engine_type(like.kind(column)))))
    return StructType(fields)


def _is_null(file: ParquetFile, column: str) -> bool:
    return str(file.kind(column)) == "null"


def _spark_type(kind: DataType) -> DataType:
    """Turn structs of MLlib's vectors back into vectors, on Spark."""
    if isinstance(kind, StructType) and kind.names == ["type", "size", "indices", "values"]:
        from pyspark.ml.linalg import VectorUDT

        return VectorUDT()
    return kind


def _cast(file: ParquetFile, column: str, kind: DataType) -> Column:
    if _is_null(file, column):
        return F.lit(None).cast(kind)
    value = F.col(quoted(file.names[column]))
    nested = isinstance(kind, (StructType, MapType)) or (
        isinstance(kind, ArrayType) and isinstance(kind.elementType, (StructType, MapType))
    )
    return value if nested else value.cast(kind)
