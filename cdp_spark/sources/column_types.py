"""Types of the columns of Parquet files, as engines read them: equivalent types are one type.

Arrow names the layout that a writer chose (``large_list``, ``string_view``, ``dictionary``); pandas, polars, DuckDB and
Hugging Face choose different ones. Parquet, and so both engines, knows only the type of the values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pyarrow as pa
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    BooleanType,
    ByteType,
    DataType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    MapType,
    NullType,
    ShortType,
    StringType,
    StructField,
    StructType,
    TimestampNTZType,
    TimestampType,
)

INTEGERS = (ByteType, ShortType, IntegerType, LongType)
FLOATS = (FloatType, DoubleType)
UNSIGNED = DecimalType(20, 0)
"""The type in which engines read unsigned integers of 64 bits."""
_LARGEST_DECIMAL = 38
_HALF = "float16, which Spark cannot read: cast it to float32"
_SURELY_LONG = 18
"""Number of decimal digits that always fit into 64 bits."""

_PLAIN: tuple[tuple[Callable[[pa.DataType], bool], DataType], ...] = (
    (pa.types.is_null, NullType()), (pa.types.is_boolean, BooleanType()), (pa.types.is_date, DateType()),
    (pa.types.is_int8, ByteType()), (pa.types.is_uint8, ShortType()), (pa.types.is_int16, ShortType()),
    (pa.types.is_uint16, IntegerType()), (pa.types.is_int32, IntegerType()), (pa.types.is_uint32, LongType()),
    (pa.types.is_int64, LongType()), (pa.types.is_uint64, UNSIGNED),
    (pa.types.is_float32, FloatType()), (pa.types.is_float64, DoubleType()),
    (pa.types.is_string, StringType()), (pa.types.is_large_string, StringType()),
    (pa.types.is_string_view, StringType()), (pa.types.is_binary, BinaryType()),
    (pa.types.is_large_binary, BinaryType()), (pa.types.is_binary_view, BinaryType()),
    (pa.types.is_fixed_size_binary, BinaryType()),
)  # fmt: skip


class UnreadableError(ValueError):
    """No engine reads the type; the message names it and says what to do with ``{column}``."""

    def of(self, column: str) -> str:
        """Return the message for a column.

        >>> UnreadableError("UUID: write it as text, such as {column}::varchar").of("id")
        'column id is UUID: write it as text, such as id::varchar'
        """
        return f"column {column} is {self}".replace("{column}", column)


def engine_type(kind: pa.DataType) -> DataType:
    """Return the type in which engines read a column.

    Raises
    ------
    UnreadableError

    Examples
    --------
    >>> engine_type(pa.large_list(pa.float32())) == engine_type(pa.list_(pa.float32(), 512))
    True
    >>> engine_type(pa.dictionary(pa.int32(), pa.string_view())).simpleString()
    'string'
    """
    if isinstance(kind, pa.DictionaryType):
        return engine_type(kind.value_type)
    if isinstance(kind, pa.BaseExtensionType):
        if kind.extension_name == "arrow.uuid":
            raise UnreadableError("UUID: write it as text, such as {column}::varchar")
        return engine_type(kind.storage_type)
    for is_kind, spark_type in _PLAIN:
        if is_kind(kind):
            return spark_type
    return _compound(kind) or _number_or_time(kind)


def _compound(kind: pa.DataType) -> DataType | None:
    if pa.types.is_map(kind):
        return MapType(engine_type(kind.key_type), engine_type(kind.item_type))
    if pa.types.is_struct(kind):
        return StructType([StructField(field.name, engine_type(field.type)) for field in kind])
    lists = ("list", "large_list", "fixed_size_list", "list_view", "large_list_view")
    if any(getattr(pa.types, f"is_{name}")(kind) for name in lists):
        if pa.types.is_float16(kind.value_type):
            raise UnreadableError(f"{_HALF}, or store the bytes and set encoding: float16")
        inner = engine_type(kind.value_type)
        # Lists without any value have no type; engines read them as lists of integers.
        return ArrayType(IntegerType() if isinstance(inner, NullType) else inner)
    return None


def _number_or_time(kind: pa.DataType) -> DataType:
    if pa.types.is_decimal(kind) and kind.precision <= _LARGEST_DECIMAL:
        return DecimalType(kind.precision, kind.scale)
    if pa.types.is_timestamp(kind) and kind.unit != "ns":
        return TimestampNTZType() if kind.tz is None else TimestampType()
    if pa.types.is_float16(kind):
        raise UnreadableError(_HALF)
    how = "cast it to microseconds" if pa.types.is_timestamp(kind) else "cast it to another type, such as text"
    raise UnreadableError(f"{kind}, which Spark cannot read: {how}")


def is_untyped(kind: pa.DataType) -> bool:
    """Return whether a column holds only nulls or only empty lists, which have no type."""
    return bool(pa.types.is_null(kind) or pa.types.is_null(getattr(kind, "value_type", kind)))


def common_type(kinds: Sequence[DataType]) -> DataType | None:
    """Return the common type of a column in several files; None if the types differ in meaning.

    >>> common_type([IntegerType(), LongType()]).simpleString(), common_type([FloatType(), StringType()])
    ('bigint', None)
    >>> common_type([ArrayType(FloatType()), ArrayType(DoubleType())]).simpleString()
    'array<double>'
    """
    if all(kind == kinds[0] for kind in kinds):
        return kinds[0]
    if all(isinstance(kind, ArrayType) for kind in kinds):
        inner = [kind.elementType for kind in kinds if isinstance(kind, ArrayType)]
        return ArrayType(DoubleType()) if all(isinstance(kind, FLOATS) for kind in inner) else None
    if all(isinstance(kind, INTEGERS) for kind in kinds):
        return LongType()
    if all(isinstance(kind, INTEGERS) or kind == UNSIGNED for kind in kinds):
        return UNSIGNED
    if all(is_whole(kind) for kind in kinds):
        return DecimalType(_LARGEST_DECIMAL, 0)
    return DoubleType() if all(isinstance(kind, (*INTEGERS, *FLOATS)) for kind in kinds) else None


def is_whole(kind: DataType) -> bool:
    """Return whether a type holds only integers."""
    return isinstance(kind, INTEGERS) or (isinstance(kind, DecimalType) and kind.scale == 0)


def is_surely_long(kind: DataType) -> bool:
    """Return whether each integer of a type fits into signed 64 bits."""
    return not isinstance(kind, DecimalType) or kind.precision <= _SURELY_LONG
