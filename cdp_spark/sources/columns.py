"""Columns of the user's tables: lookup by name, ids as whole numbers or text, missing values.

This module defines ids and missing values for labels, clusters and pictures alike.
"""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import (
    CharType,
    DataType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegralType,
    LongType,
    NullType,
    NumericType,
    StringType,
    StructField,
    VarcharType,
)

from cdp_spark.base.errors import InputError
from cdp_spark.base.schemas import quoted
from cdp_spark.sources.read_parquet import no_column

_EXACT_BITS = {"double": 53, "float": 24}
"""Whole numbers up to two to this power are exact in floating point."""


def check_tables(tables: Mapping[str, object]) -> None:
    """Refuse what is no DataFrame of Spark, such as a table of pandas.

    Raises
    ------
    InputError
    """
    for name, table in tables.items():
        if not hasattr(table, "sparkSession"):
            kind = f"{type(table).__module__.split('.')[0]}.{type(table).__name__}".removeprefix("builtins.")
            raise InputError(
                f"{name} is a {kind}, but must be a DataFrame of Spark (a committee: a mapping of names to them): give "
                "spark.createDataFrame(...), or arrays to cdp_spark.cluster_arrays"
            )


def field_of(table: DataFrame, name: str, where: str) -> StructField:
    """Find a column by its name, in any case, as Spark does.

    Raises
    ------
    InputError
        If there is none, or several that differ only in case.
    """
    same = [field for field in table.schema.fields if field.name.lower() == name.lower()]
    if len(same) > 1:
        listed = ", ".join(field.name for field in same)
        raise InputError(f"{where}: columns {listed} differ only in case: rename one")
    if not same:
        raise no_column(name, [(field.name, field.dataType.simpleString()) for field in table.schema.fields], where)
    return same[0]


def ids(field: StructField, where: str) -> Column:
    """Return a column of ids as long or string; null if it is null, NaN or not a whole number of 64 bits.

    Raises
    ------
    InputError
        If its type cannot hold ids.
    """
    column, kind = F.col(quoted(field.name)), field.dataType
    if isinstance(kind, (IntegralType, NullType)):
        return column.cast("long")
    if isinstance(kind, (StringType, CharType, VarcharType)):
        return column.cast("string")
    if isinstance(kind, DecimalType) and kind.scale == 0:
        return column.try_cast("long")
    if isinstance(kind, (FloatType, DoubleType)):  # pandas turns integers with missing values into floats
        most = F.lit(float(2 ** _EXACT_BITS[kind.typeName()]))
        return F.when((F.floor(column) == column) & (F.abs(column) <= most), column.try_cast("long"))
    raise InputError(
        f"{where}: ids ({field.name}) are {kind.simpleString()}; they must be integers or strings: cast them"
    )


def is_given(field: StructField) -> Column:
    """Mark the rows of a column that hold a value: neither null nor NaN."""
    column = F.col(quoted(field.name))
    given = column.isNotNull()
    return given & ~F.isnan(column) if isinstance(field.dataType, (FloatType, DoubleType)) else given


def values(field: StructField, where: str) -> Column:
    """Return a column of labels or clusters as numbers or text; null if it is null, NaN or -1.

    Other types, such as dates, become text.

    Raises
    ------
    InputError
        If a row holds several values.
    """
    column, kind = F.col(quoted(field.name)), field.dataType
    if kind.typeName() in ("array", "map", "struct", "variant", "udt"):
        raise InputError(f"{where}: {field.name} is {kind.simpleString()}; it must be a number or text: take one value")
    if isinstance(kind, NumericType):
        # 0.0 + x: -0.0 and 0.0 are equal as numbers, but not as text.
        number = F.lit(0.0).cast(kind) + column if isinstance(kind, (FloatType, DoubleType)) else column
        return F.when(is_given(field) & (column != -1), number)
    return F.hex(column) if kind.typeName() == "binary" else column.cast("string")


def check_same_kind(ours: DataType, theirs: DataType, where: str, of: str) -> None:
    """Refuse ids that are text on one side and numbers on the other.

    Parameters
    ----------
    ours, theirs : DataType
        long or string.
    where, of : str
        How messages name the two tables.
    """
    if ours != theirs:
        kinds = f"{theirs.simpleString()} but those of the {of} are {ours.simpleString()}"
        raise InputError(
            f"{where}: ids are {kinds}: cast them to one type (columns of a CSV are text: write it as Parquet)"
        )


def id_kind(table: DataFrame) -> DataType:
    """Return the type of a table's ids after :func:`ids`."""
    return StringType() if isinstance(table.schema["id"].dataType, (StringType, CharType, VarcharType)) else LongType()
