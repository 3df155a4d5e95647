"""Check that pictures can be read before hours of work: the report, which needs them, comes last."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from cdp_spark.base.errors import InputError
from cdp_spark.config.input_sections import ImagesConfig
from cdp_spark.sources.open_table import open_source
from cdp_spark.sources.pictures import thumbnail

_PATHS, _PICTURES = 1000, 100
"""Number of checks: paths that must be files, and rows of a table that must be pictures."""


def check_readable(spark: SparkSession, source: ImagesConfig, items: DataFrame) -> None:
    """Refuse a source if none of its first pictures can be read.

    Parameters
    ----------
    spark : SparkSession
    source : ImagesConfig
    items : DataFrame (id, ...)

    Raises
    ------
    InputError
    """
    if "{id}" in source.path and "://" in source.path:
        return
    if "{id}" in source.path:
        ids = [row["id"] for row in items.select("id").limit(_PATHS).collect()]
        paths = [source.path.replace("{id}", str(each)) for each in ids]
        if paths and not any(map(_is_file, paths)):
            raise InputError(f"images: none of {len(paths)} paths is a file, such as {paths[0]}: check the path")
        return
    if find_spec("PIL") is None:  # the report says that its extra is missing
        return
    column = F.col(f"`{source.image_column.replace('`', '``')}`")
    table = open_source(spark, source, "images").select(column.alias("image"))
    first = [row["image"] for row in table.where(F.col("image").isNotNull()).limit(_PICTURES).collect()]
    if first and all(thumbnail(each) is None for each in first):
        kind = f"such as {first[0]}" if isinstance(first[0], str) else f"of {len(first[0])} bytes the first"
        raise InputError(
            f"images: {source.path}: none of the first {len(first)} pictures can be read, {kind}: check column "
            f"{source.image_column}, which must hold encoded pictures or paths of files"
        )


def _is_file(path: str) -> bool:
    try:
        return Path(path).is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False
