"""Recipes for columns of embeddings or ids whose type cannot be used."""

from __future__ import annotations

from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    BooleanType,
    DataType,
    DecimalType,
    DoubleType,
    FloatType,
    MapType,
    NumericType,
    StringType,
    StructType,
)

from cdp_spark.base.schemas import quoted

_LONGEST = 60
_SHOWN = 4
_NEEDED = "it must be array<float> or array<double>"


def embedding_recipe(name: str, kind: DataType) -> str:
    """Name a column's type and say how to turn it into an embedding, in Spark SQL.

    >>> from pyspark.sql.types import ShortType
    >>> embedding_recipe("face", ArrayType(ArrayType(FloatType())))
    'face is array<array<float>>: write one vector, face[0], or flatten(face) where all its parts are one'
    >>> embedding_recipe("face", ArrayType(ShortType())).partition(": ")[2]
    'convert it, transform(face, x -> cast(x as float)), scaled back if it was quantised'
    """
    column = name if name.isidentifier() else quoted(name)
    what = "text" if isinstance(kind, StringType) else _short(kind)
    return f"{name} is {what}{_remedy(column, kind)}"


def id_recipe(name: str, kind: DataType) -> str:
    """Name the type of a column of ids and say what to write instead."""
    column = name if name.isidentifier() else quoted(name)
    needed = "they must be integers or strings"
    if isinstance(kind, (FloatType, DoubleType)):
        how = f"cast({column} as bigint), where a missing id has made numbers of integers"
    elif isinstance(kind, BinaryType):
        how = f"write them as text, hex({column}); UUID by the writer's own cast"
    elif isinstance(kind, DecimalType) and kind.scale == 0:
        how = f"cast({column} as bigint) where all fit, else cast({column} as string)"
    elif isinstance(kind, ArrayType):
        how = f"write one value, {column}[0]"
    elif isinstance(kind, StructType) and kind.names:
        how = f"write one field, {column}.{kind.names[0]}"
    else:
        how = f"cast them, cast({column} as string)"
    return f"ids ({name}) are {_short(kind)}; {needed}: {how}"


def _short(kind: DataType) -> str:
    text = kind.simpleString()
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _remedy(column: str, kind: DataType) -> str:
    if isinstance(kind, ArrayType):
        return _of_array(column, kind.elementType)
    if isinstance(kind, StructType):
        if {"indices", "values"} <= set(kind.names):
            return f"; {_NEEDED}: it is sparse, write all numbers of each row, zeros too"
        inside = next((field for field in kind.fields if isinstance(field.dataType, ArrayType)), None)
        if inside is not None:
            return f"; {_NEEDED}: write its field {column}.{inside.name}"
        fields = [f"{column}.{name}" for name in kind.names[:_SHOWN]] + ["..."] * (len(kind.names) > _SHOWN)
        return f"; {_NEEDED}: write its fields as one, array({', '.join(fields)})"
    if isinstance(kind, MapType):
        return f"; {_NEEDED}: write its values as an array, in one order for all rows"
    if isinstance(kind, StringType):
        return f": parse it, from_json({column}, 'array<float>'), and write it as Parquet"
    if isinstance(kind, NumericType):
        return f"; {_NEEDED}: with one column for each dimension, write array(e0, e1, ...)"
    return f"; {_NEEDED}"


def _of_array(column: str, inside: DataType) -> str:
    if isinstance(inside, ArrayType):
        flat = f"flatten({column})"
        first = f"{column}[0]"
        while isinstance(inside.elementType, ArrayType):
            inside, flat, first = inside.elementType, f"flatten({flat})", f"{first}[0]"
        return f": write one vector, {first}, or {flat} where all its parts are one"
    if isinstance(inside, StructType) and inside.names:
        return f": write one number of each, transform({column}, x -> cast(x.{inside.names[-1]} as float))"
    if isinstance(inside, (NumericType, StringType, BooleanType)):
        whole = isinstance(inside, NumericType) and not isinstance(inside, DecimalType)
        return f": convert it, transform({column}, x -> cast(x as float))" + (
            ", scaled back if it was quantised" if whole else ""
        )
    return f"; {_NEEDED}"
