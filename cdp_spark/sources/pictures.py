"""Pictures of items, as thumbnails for a page."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import BinaryType, LongType, StringType, StructField

from cdp_spark.base.errors import InputError
from cdp_spark.base.schemas import quoted
from cdp_spark.config.input_sections import ImagesConfig
from cdp_spark.config.sections import fingerprint
from cdp_spark.runs import register
from cdp_spark.sources.columns import check_same_kind, id_kind
from cdp_spark.sources.open_table import open_source, opened
from cdp_spark.sources.values_by_id import Facts, check_counts, check_once, counts, matches, rows_by_id
from cdp_spark.spark.keyed_table import KeyedTable

LEADS_OUT = r"(^|[/\\])\.\.([/\\]|$)"
"""Pattern of ids that would leave the folder, for this process and both engines."""
_SIDE = 56
"""Longer side of a thumbnail in pixels."""


def thumbnails(spark: SparkSession, source: ImagesConfig, ids: Sequence[Any]) -> dict[Any, str]:
    """Bring the pictures of a few items to the driver.

    Parameters
    ----------
    spark : SparkSession
    source : ImagesConfig
        A table of encoded pictures or of their paths, or a path with ``{id}`` in it. If an id has several
        pictures, the first counts, by path or by bytes.
    ids : sequence of int or str

    Returns
    -------
    dict of id to data URI
        Ids without a readable picture are left out.

    Raises
    ------
    InputError
        If the source or all of its pictures cannot be read.
    """
    pictures: Mapping[Any, bytes | str]
    if "{id}" in source.path:
        pictures = {each: source.path.replace("{id}", str(each)) for each in ids if not leads_out(each)}
    else:
        pictures = _of_table(pictures_by_id(spark, source), ids)
    small = {each: thumbnail(picture) for each, picture in pictures.items()}
    shown = {each: uri for each, uri in small.items() if uri is not None}
    if ids and not shown:
        raise InputError(f"images: {source.path}: none of {len(ids)} pictures could be read: check path and columns")
    return shown


def leads_out(identity: Any) -> bool:
    """Return whether an id with a step ``..`` would leave the folder of a path with ``{id}``; it has no picture.

    >>> leads_out("a/b..c"), leads_out("../b")
    (False, True)
    """
    return re.search(LEADS_OUT, str(identity)) is not None


def pictures_by_id(spark: SparkSession, source: ImagesConfig) -> DataFrame:
    """Open a table of pictures: (id: long or string, image: binary or string). Lazy.

    Raises
    ------
    InputError
        If it cannot be opened, a column is missing or of a type that cannot be used.
    """
    return _rows(spark, source).select("id", F.col("value").alias("image"))


def check_pictures(spark: SparkSession, source: ImagesConfig, facts: Facts, *, once: bool) -> str:
    """Refuse, before any work, pictures that cannot be joined to items; return their fingerprint.

    Parameters
    ----------
    spark : SparkSession
    source : ImagesConfig
    facts : callable
        Stores the counts, such as ``StageStore.facts``.
    once : bool
        Whether an id may have only one picture.

    Raises
    ------
    InputError
    """
    if "{id}" in source.path:
        return fingerprint("pictures", source)
    named = _rows(spark, source).select("id", F.lit(1).alias("value"), "odd")
    # The pictures may be large and are not read.
    ids = opened(spark, source, "images", {source.id_column: StringType()})
    key = fingerprint("pictures", source, ids.fingerprint)
    counted = facts(register.PICTURES, key, lambda: counts(named))
    check_counts(counted, "images")
    if once and counted["most"] > 1:
        check_once(named, "images", "keep one picture of each id")
    return key


def check_pictures_of(spark: SparkSession, source: ImagesConfig, items: KeyedTable, facts: Facts, read: str) -> None:
    """Refuse pictures if none belongs to an item.

    Parameters
    ----------
    spark : SparkSession
    source : ImagesConfig
    items : KeyedTable (id, ...)
    facts : callable
    read : str
        Fingerprint of the pictures.

    Raises
    ------
    InputError
    """
    if "{id}" in source.path:
        return
    rows = pictures_by_id(spark, source)
    check_same_kind(id_kind(items.table), id_kind(rows), "images", "items")
    key = fingerprint(read, items.fingerprint)
    facts(register.PICTURES_MATCHED, key, lambda: {"ids": matches(rows, items.table, "images", "items")})


def _rows(spark: SparkSession, source: ImagesConfig) -> DataFrame:
    table = open_source(spark, source, "images")
    return rows_by_id(table, source.id_column, source.image_column, _picture, "images")


def _picture(field: StructField, where: str) -> Column:
    if not isinstance(field.dataType, (BinaryType, StringType)):
        raise InputError(
            f"{where}: {field.name} is {field.dataType.simpleString()}; "
            "it must be an encoded picture (binary) or a path (string)"
        )
    column = F.col(quoted(field.name))
    return column if isinstance(field.dataType, BinaryType) else F.when(column != "", column)


def _of_table(pictures: DataFrame, ids: Sequence[Any]) -> dict[Any, bytes | str]:
    if not ids:
        return {}
    ours = StringType() if isinstance(ids[0], str) else LongType()
    check_same_kind(ours, id_kind(pictures), "images", "items")
    # A few hundred ids; as literals, they reach the Parquet reader's filter.
    chosen = pictures.where(F.col("id").isin(list(ids)) & F.col("image").isNotNull())
    rows = chosen.groupBy("id").agg(F.min("image").alias("image")).collect()
    return {row["id"]: row["image"] for row in rows}


def thumbnail(picture: bytes | str) -> str | None:
    """Return a picture as a small data URI, or None if it cannot be read."""
    from PIL import Image

    try:
        opened = Image.open(Path(picture) if isinstance(picture, str) else io.BytesIO(picture))
        image = opened.convert("RGB" if opened.mode not in ("L", "1") else "L")
        image.thumbnail((_SIDE, _SIDE))
        encoded = io.BytesIO()
        image.save(encoded, "WEBP", quality=80)
    except Exception:  # Pillow's many readers fail in many ways; a bomb gives a warning or an error
        return None
    return "data:image/webp;base64," + base64.b64encode(encoded.getvalue()).decode()
