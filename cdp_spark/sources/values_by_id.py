"""Check every table that is joined by ids: labels, clusters of other programs, pictures.

Rows without an id are left out and counted. Ids that are not whole numbers are refused before any work, and so are
tables in which nothing is left to join.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField

from cdp_spark.base.errors import InputError
from cdp_spark.runs.register import Stage
from cdp_spark.sources.columns import check_tables, field_of, ids, is_given

_HOLLOW = ("", "nan", "NaN", "None", "null", "NULL", "<NA>", "NaT", "-1")
"""Texts that programs write for a missing value, when they turn a column into text."""
Facts = Callable[[Stage | str, str, Callable[[], Mapping[str, Any]]], dict[str, Any]]
"""Stores a few numbers and returns them again, as ``StageStore.facts`` does."""


def rows_by_id(
    table: DataFrame, id_column: str, value_column: str, value: Callable[[StructField, str], Column], where: str
) -> DataFrame:
    """Return (id: long or string, value, odd: boolean): null if missing; ``odd`` marks invalid ids.

    Raises
    ------
    InputError
        If a column is missing or of a type that cannot be used.
    """
    check_tables({where: table})
    id_field, value_field = (field_of(table, name, where) for name in (id_column, value_column))
    chosen = ids(id_field, where)
    odd = is_given(id_field) & chosen.isNull()
    return table.select(chosen.alias("id"), value(value_field, where).alias("value"), odd.alias("odd"))


def counts(rows: DataFrame) -> dict[str, int]:
    """Count rows and ids, in one pass.

    Returns
    -------
    dict
        ``rows``, of which ``null_ids`` and ``odd_ids``, and ``hollow``, whose value is a text that looks like a missing
        one; ``ids`` with a value; the largest number of rows (``most``) and of values (``most_values``) of one id.
    """
    is_text = isinstance(rows.schema["value"].dataType, StringType)
    hollow = F.trim("value").isin(*_HOLLOW) if is_text else F.lit(False)
    each = rows.groupBy("id").agg(
        F.count("*").alias("rows"), F.count("value").alias("values"), F.count(F.when(F.col("odd"), 1)).alias("odd"),
        F.count(F.when(hollow, 1)).alias("hollow"),
    )  # fmt: skip
    known = F.col("id").isNotNull()
    row = each.agg(
        F.sum("rows").alias("rows"),
        F.sum(F.when(~known, F.col("rows") - F.col("odd"))).alias("null_ids"),
        F.sum("odd").alias("odd_ids"),
        F.sum("hollow").alias("hollow"),
        F.count(F.when(known & (F.col("values") > 0), 1)).alias("ids"),
        F.max(F.when(known, F.col("rows"))).alias("most"),
        F.max(F.when(known, F.col("values"))).alias("most_values"),
    ).collect()[0]
    return {name: int(number or 0) for name, number in row.asDict().items()}


def check_counts(counted: Mapping[str, int], where: str, what: str | None = None) -> None:
    """Refuse a table with invalid ids, or without a usable row.

    Parameters
    ----------
    counted : mapping
        Result of :func:`counts`.
    where : str
        How messages name the table.
    what : str, optional
        Kind of value that at least one id must have, such as ``a label``.

    Raises
    ------
    InputError
    """
    if counted["odd_ids"]:
        raise InputError(
            f"{where}: {counted['odd_ids']:,} ids are not whole numbers of 64 bits, or beyond what their type holds "
            "exactly: write them as bigint or as text"
        )
    if not counted["rows"]:
        raise InputError(f"{where}: the table has no rows: check the path")
    if counted["null_ids"] == counted["rows"]:
        raise InputError(f"{where}: all {counted['rows']:,} ids are null: name the column of the ids")
    if what is not None and not counted["ids"]:
        raise InputError(f"{where}: none of {counted['rows']:,} rows has {what} (null, NaN and -1 are none)")


def check_once(rows: DataFrame, where: str, mend: str) -> None:
    """Refuse repeated ids, with their number and the first of them.

    Raises
    ------
    InputError
    """
    each = rows.where("id is not null").groupBy("id").agg(F.count("*").alias("rows"))
    several = each.where("rows > 1")
    first = several.orderBy("id").limit(1).collect()
    if first:
        raise InputError(
            f"{where}: {several.count():,} ids occur more than once, such as {first[0]['id']!r} "
            f"({first[0]['rows']} times): {mend}"
        )


def warnings_of(counted: Mapping[str, int], where: str) -> list[str]:
    """Warn of rows without an id, and of texts that look like missing values but count as values."""
    warnings = []
    if counted["null_ids"]:
        warnings.append(f"{where}: {counted['null_ids']:,} rows have no id and are left out")
    if counted["hollow"]:
        warnings.append(
            f"{where}: {counted['hollow']:,} rows hold a text such as 'nan', 'None', '-1' or nothing, which counts as "
            "a name like any other: write null instead"
        )
    return warnings


def shared_ids(values: DataFrame, items: DataFrame) -> int:
    """Count the ids of some rows, (id, ...), that other rows also have (runs one job)."""
    return values.select("id").join(items.select("id"), "id", "left_semi").count()


def matches(values: DataFrame, items: DataFrame, where: str, of: str) -> int:
    """Count the ids that other rows also have.

    Parameters
    ----------
    values, items : DataFrame (id, ...)
        Distinct ids of one kind.
    where, of : str
        How messages name the two.

    Raises
    ------
    InputError
        If there is none.
    """
    count = shared_ids(values, items)
    if not count:
        mine, theirs = (table.select("id").orderBy("id").limit(1).collect() for table in (values, items))
        examples = f" (such as {mine[0][0]!r} and {theirs[0][0]!r})" if mine and theirs else ""
        raise InputError(f"{where}: no id of the {where} is among the {of}{examples}: check the id columns")
    return count
