"""The user's tables -> embeddings, items, quarantine and vectors.

Every input row ends in ``items`` or, with a reason, in ``quarantine``. From here on, ids are dense item numbers and
embeddings are float16 unit vectors.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import reduce

import pyarrow as pa
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    DataType,
    DoubleType,
    FloatType,
    LongType,
    StringType,
    StructField,
    StructType,
)

from cdp_spark.base import schemas
from cdp_spark.base.errors import InputError
from cdp_spark.base.numeric.unit_vectors import checked_vectors
from cdp_spark.base.schemas import quoted
from cdp_spark.sources.column_types import is_surely_long, is_whole
from cdp_spark.sources.columns import field_of
from cdp_spark.sources.recipes import embedding_recipe, id_recipe
from cdp_spark.spark.arrow import map_batches

WRONG_LENGTH, NULL_ID, DUPLICATE_ID = "wrong_length", "null_id", "duplicate_id"


def checked_embeddings(
    table: DataFrame, *, id_column: str, embedding_column: str, encoding: str | None = None, where: str = "input"
) -> DataFrame:
    """Check and normalise every embedding of one model, in one pass.

    Parameters
    ----------
    table : DataFrame
        The user's table; ids are integers or strings, embeddings array<float|double>, ML vectors, or encoded bytes.
    id_column, embedding_column : str
    encoding : {"float16", "float32"}, optional
        Encoding of a binary column; ignored for other columns.
    where : str
        How messages name the table.

    Returns
    -------
    DataFrame (``schemas.embeddings``)
        One row per input row: ``vector``, or null and the ``reason``. Lazy.

    Raises
    ------
    InputError
        If a column is missing or of a type that cannot be used.
    """
    id_field = field_of(table, id_column, where)
    embedding = field_of(table, embedding_column, where)
    id_type = _id_type(id_field, where)
    values = _values(embedding, encoding, where)
    encoding = encoding if isinstance(embedding.dataType, BinaryType) else None  # only some models may hold bytes
    source = table.select(F.col(quoted(id_field.name)).cast(id_type).alias("id"), values.alias("embedding"))

    def check(batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        for batch in batches:
            vectors, reasons = checked_vectors(batch.column("embedding"), encoding)
            yield pa.RecordBatch.from_arrays(
                [batch.column("id"), vectors, pa.array(reasons, pa.string())], names=["id", "vector", "reason"]
            )

    return map_batches(source, check, schemas.embeddings(id_type))


def intake_counts(checked: DataFrame) -> DataFrame:
    """Count rows by reason and dimension: (reason: string, dimension: int, rows: long)."""
    dimension = (F.length("vector") / 2).cast("int").alias("dimension")
    return checked.groupBy("reason", dimension).agg(F.count("*").alias("rows"))


def repeated_ids(checked: DataFrame) -> DataFrame:
    """Return the ids that several good rows have: (id, rows: long)."""
    return good_rows(checked).where("id is not null").groupBy("id").agg(F.count("*").alias("rows")).where("rows > 1")


def settled(checked: DataFrame, *, dimension: int, duplicates: str | None) -> DataFrame:
    """Set aside rows by checks of the whole table: wrong lengths, null ids, repeated ids.

    Parameters
    ----------
    checked : DataFrame (``schemas.embeddings``)
    dimension : int
    duplicates : {"keep_first", "quarantine"} or None
        ``keep_first`` keeps the smallest vector, by bytes; ``quarantine`` keeps none. None: no id is repeated.

    Returns
    -------
    DataFrame (``schemas.embeddings``)
        One row per row of ``checked``. Lazy.
    """
    wrong = F.col("vector").isNotNull() & (F.length("vector") != 2 * dimension)
    reason = F.when(F.col("id").isNull(), F.lit(NULL_ID)).when(wrong, F.lit(WRONG_LENGTH)).otherwise(F.col("reason"))
    known = checked.withColumn("reason", reason)
    if duplicates is None:
        return known
    good = F.col("reason").isNull()
    order = Window.partitionBy("id").orderBy(F.col("reason").asc_nulls_first(), F.col("vector").asc_nulls_last())
    repeated = F.count(F.when(good, 1)).over(Window.partitionBy("id")) > 1
    extra = F.row_number().over(order) > 1 if duplicates == "keep_first" else F.lit(True)
    kept = F.when(good & repeated & extra, F.lit(DUPLICATE_ID)).otherwise(F.col("reason"))
    return known.withColumn("reason", kept).select(*checked.columns)


def good_rows(embeddings: DataFrame) -> DataFrame:
    """Return (id, vector) of the rows without a reason."""
    return embeddings.where("reason is null").select("id", "vector")


def common_ids(good: Mapping[str, DataFrame]) -> DataFrame:
    """Return the ids with a good row in every model."""
    ids = [table.select("id") for table in good.values()]
    return reduce(lambda left, right: left.join(right, "id", "inner"), ids)


def quarantine(embeddings: Mapping[str, DataFrame], items: DataFrame) -> DataFrame:
    """Collect the rows that do not become items: (model: string, id, reason: string).

    A good row whose id has no good row in another model gets the reason ``missing_in:<models>``.
    """
    tables = []
    for model, table in embeddings.items():
        bad = table.where("reason is not null").select(F.lit(model).alias("model"), "id", "reason")
        lone = good_rows(table).join(items, "id", "left_anti").select("id")
        missing: list[Column] = []
        for other, rows in embeddings.items():
            if other != model:
                has = good_rows(rows).select("id", F.lit(True).alias(f"has_{len(missing)}"))
                lone = lone.join(has, "id", "left")
                missing.append(F.when(F.col(f"has_{len(missing)}").isNull(), F.lit(other)))
        reason = F.concat(F.lit("missing_in:"), F.concat_ws(",", *missing)) if missing else F.lit("missing_in:")
        tables += [bad, lone.select(F.lit(model).alias("model"), "id", reason.alias("reason"))]
    return reduce(DataFrame.unionByName, tables)


def vectors(embeddings: DataFrame, items: DataFrame) -> DataFrame:
    """Return (item: long, vector: binary) of one model."""
    return good_rows(embeddings).join(items, "id", "inner").select("item", "vector")


def choose_dimension(counts: Mapping[int, int], *, model: str, forced: bool = False) -> int:
    """Choose the length of a model's vectors by the number of rows with each length.

    Raises
    ------
    InputError
        If two lengths are common, or the vectors are longer than 8,192 and that is not forced.
    """
    if not counts:
        return 1
    (dimension, most), *others = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    common = [(length, rows) for length, rows in others if rows > 0.05 * most]
    if common:
        listed = ", ".join(f"{rows:,} of length {length}" for length, rows in [(dimension, most), *common])
        raise InputError(f"model {model}: vectors of different lengths ({listed}): give one model's embeddings only")
    if dimension > 8192 and not forced:
        raise InputError(f"model {model}: {dimension:,} dimensions; set input.force_dimension if this is intended")
    return dimension


def is_ml_vector(kind: DataType) -> bool:
    """Return whether a column holds MLlib's vectors, as Spark knows them."""
    return kind.typeName() in ("vectorudt", "vector", "udt") or type(kind).__name__ == "VectorUDT"


def is_raw_ml_vector(kind: DataType) -> bool:
    """Return whether a column holds MLlib's vectors as structs, for an engine without their type."""
    return isinstance(kind, StructType) and kind.names == ["type", "size", "indices", "values"]


def _id_type(field: StructField, where: str) -> DataType:
    kind = field.dataType
    if isinstance(kind, StringType):
        return StringType()
    if is_whole(kind) and is_surely_long(kind):
        return LongType()
    raise InputError(f"{where}: {id_recipe(field.name, kind)}")


def _values(field: StructField, encoding: str | None, where: str) -> Column:
    """Return the embeddings in a form for Arrow, or refuse them with a recipe."""
    column, kind = F.col(quoted(field.name)), field.dataType
    if isinstance(kind, ArrayType) and isinstance(kind.elementType, (FloatType, DoubleType)):
        return column
    if isinstance(kind, BinaryType):
        if encoding is None:
            raise InputError(f"{where}: {field.name} holds bytes: set input.encoding to float32 or float16")
        return column
    if is_ml_vector(kind):
        from pyspark.ml.functions import vector_to_array

        return vector_to_array(column, "float32")
    if is_raw_ml_vector(kind):
        raise InputError(
            f"{where}: {field.name} holds vectors of MLlib, which reach this engine as a struct: turn them into arrays "
            "on Spark (vector_to_array) and write them again"
        )
    raise InputError(f"{where}: {embedding_recipe(field.name, kind)}")
