"""Pictures of items, as small as a page wants them, whatever they come from."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import BinaryType, StringType

from cdp_spark.base.errors import InputError
from cdp_spark.config.input_sections import ImagesConfig
from cdp_spark.sources.open_table import open_source

LEADS_OUT = r"(^|[/\\])\.\.([/\\]|$)"
"""Pattern of such ids, for this process and for either engine."""
_SIDE = 56
"""Longer side of a thumbnail in pixels."""


def thumbnails(spark: SparkSession, source: ImagesConfig, ids: Sequence[Any]) -> dict[Any, str]:
    """Bring the pictures of a few items to the driver.

    Parameters
    ----------
    spark : SparkSession
    source : ImagesConfig
        A table of encoded pictures or of their paths, or a path with ``{id}`` in it.
    ids : sequence of int or str

    Returns
    -------
    dict of id to data URI
        Ids without a picture that can be read are left out.

    Raises
    ------
    InputError
        If the source cannot be opened, or none of the pictures can.
    """
    found: Mapping[Any, bytes | str]
    if "{id}" in source.path:
        found = {each: source.path.replace("{id}", str(each)) for each in ids if not leads_out(each)}
    else:
        found = _of_table(open_source(spark, source, "images"), source, ids)
    small = {each: thumbnail(picture) for each, picture in found.items()}
    shown = {each: uri for each, uri in small.items() if uri is not None}
    if ids and not shown:
        raise InputError(f"images: {source.path}: none of {len(ids)} pictures could be read: check path and columns")
    return shown


def leads_out(identity: Any) -> bool:
    """Say whether an id would leave the folder that a path with ``{id}`` names: one with a step ``..`` has no picture.

    >>> leads_out("a/b..c"), leads_out("../b")
    (False, True)
    """
    return re.search(LEADS_OUT, str(identity)) is not None


def check_images(spark: SparkSession, source: ImagesConfig) -> None:
    """Refuse, before any work, a source of pictures that cannot be opened.

    Raises
    ------
    InputError
    """
    if "{id}" not in source.path:
        check_columns(open_source(spark, source, "images"), source)


def _of_table(table: DataFrame, source: ImagesConfig, ids: Sequence[Any]) -> dict[Any, bytes | str]:
    check_columns(table, source)
    # A few hundred ids: as literals they reach the Parquet reader's filter.
    chosen = table.where(F.col(source.id_column).isin(list(ids)))
    rows = chosen.select(F.col(source.id_column).alias("id"), F.col(source.image_column).alias("image")).collect()
    return {row["id"]: row["image"] for row in rows if row["image"] is not None}


def check_columns(table: DataFrame, source: ImagesConfig) -> None:
    """Refuse a table of pictures without its columns, or with another kind of picture than bytes or a path.

    Raises
    ------
    InputError
    """
    for column in (source.id_column, source.image_column):
        if column not in table.columns:
            raise InputError(f"images: no column {column}; they have {', '.join(table.columns)}: name it")
    kind = table.schema[source.image_column].dataType
    if not isinstance(kind, (BinaryType, StringType)):
        raise InputError(
            f"images: {source.image_column} is {kind.simpleString()}; "
            "it must be an encoded picture (binary) or a path (string)"
        )


def thumbnail(picture: bytes | str) -> str | None:
    """Return a picture as a small data URI, or None where it cannot be read."""
    from PIL import Image

    try:
        opened = Image.open(Path(picture) if isinstance(picture, str) else io.BytesIO(picture))
        image = opened.convert("RGB" if opened.mode not in ("L", "1") else "L")
        image.thumbnail((_SIDE, _SIDE))
        encoded = io.BytesIO()
        image.save(encoded, "WEBP", quality=80)
    except Exception:  # Pillow's readers of some fifty formats fail in as many ways, a bomb by a warning or an error
        return None
    return "data:image/webp;base64," + base64.b64encode(encoded.getvalue()).decode()
