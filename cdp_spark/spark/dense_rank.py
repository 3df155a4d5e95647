"""Dense ranks of distinct values, without collecting them in one task."""

from __future__ import annotations

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

_SAMPLE_SHARE = 1 << 12
_PER_BUCKET = 1 << 20


def dense_rank(table: DataFrame, column: str, name: str, *, at_most: int | None = None) -> DataFrame:
    """Add the rank of each value, from 0, without gaps.

    A hash sample cuts the values into ranges; a rank is the number of values in lower ranges plus the position in its
    own range. The cuts affect the distribution of work, never the result.

    Parameters
    ----------
    table : DataFrame
        ``column`` holds distinct values without null: integers, ranked by size, or strings, by UTF-8 bytes.
    column, name : str
        The ranked column, and the name of the rank's column.
    at_most : int, optional
        Upper bound of the rows, if known: few rows need no sample.

    Returns
    -------
    DataFrame
        ``table`` with ``name`` (long). Runs two small jobs and reads ``table`` three times, unless rows are few.
    """
    cuts = [] if at_most is not None and at_most <= _PER_BUCKET else _cuts(table, column)
    bucket = F.lit(0)
    if cuts:
        bucket = F.size(F.filter(F.lit(cuts), lambda cut: cut <= F.col(column)))
    placed = table.withColumn("_bucket", bucket)
    counts = {row["_bucket"]: row["count"] for row in placed.groupBy("_bucket").count().collect()} if cuts else {}
    below, total = [], 0
    for number in range(len(cuts) + 1):
        below.append(total)
        total += counts.get(number, 0)
    position = F.row_number().over(Window.partitionBy("_bucket").orderBy(column))
    offset = F.element_at(F.lit(below), F.col("_bucket") + 1)
    return placed.withColumn(name, (position - 1 + offset).cast("long")).drop("_bucket")


def _cuts(table: DataFrame, column: str) -> list[object]:
    """Return values about ``_PER_BUCKET`` ranks apart; empty for a table of fewer rows."""
    every = _PER_BUCKET // _SAMPLE_SHARE
    sampled = table.where(F.pmod(F.xxhash64(column), F.lit(_SAMPLE_SHARE)) == 0).select(column)
    values = [row[0] for row in sampled.sort(column).collect()]
    return values[every - 1 :: every]
