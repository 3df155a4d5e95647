"""Labels: opened, fingerprinted and checked once, before any work, for every command that takes labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from cdp_spark.base.errors import InputError
from cdp_spark.config.input_sections import LabelsConfig
from cdp_spark.config.sections import fingerprint
from cdp_spark.runs import register
from cdp_spark.sources import open_table
from cdp_spark.sources.columns import check_same_kind, id_kind, values
from cdp_spark.sources.values_by_id import Facts, check_counts, counts, matches, rows_by_id, shared_ids, warnings_of
from cdp_spark.spark.keyed_table import KeyedTable


@dataclass(frozen=True)
class Labels:
    """Labels of ids.

    Attributes
    ----------
    table : DataFrame (id: long or string, label)
        One row per id, each with a label.
    ids : int
        Number of rows.
    fingerprint : str
        Fingerprint of the table and the way it was read.
    warnings : list of str
        Rows that were left out, and labels that look like missing ones.
    """

    table: DataFrame
    ids: int
    fingerprint: str = ""
    warnings: list[str] = field(default_factory=list)

    def matched(self, items: KeyedTable, facts: Facts) -> int:
        """Count, once, the labelled ids that are ids of items.

        Parameters
        ----------
        items : KeyedTable (id, ...)
        facts : callable
            Stores the count.

        Raises
        ------
        InputError
            If there is none, or ids are of another kind.
        """
        check_same_kind(id_kind(items.table), id_kind(self.table), "labels", "items")
        key = fingerprint(self.fingerprint, items.fingerprint)
        kept = facts(register.LABELS_MATCHED, key, lambda: {"ids": matches(self.table, items.table, "labels", "items")})
        return int(kept["ids"])

    def shared(self, items: KeyedTable, facts: Facts) -> int:
        """Count, once, the labelled ids that are ids of items; 0 is no error, unlike in :meth:`matched`."""
        key = fingerprint("shared", self.fingerprint, items.fingerprint)
        kept = facts(register.LABELS_MATCHED, key, lambda: {"ids": shared_ids(self.table, items.table)})
        return int(kept["ids"])

    def left_out(self, items: KeyedTable, facts: Facts, doing: str) -> list[str]:
        """Warn of rows without an id and of labels without an item; refuse as :meth:`matched` does."""
        return [*self.warnings, *self.missed(self.matched(items, facts), doing)]

    def missed(self, matched: int, doing: str) -> list[str]:
        """Warn of labels whose ids have no item."""
        missed = self.ids - matched
        return [f"labels: {missed:,} of {self.ids:,} ids have no embedding and {doing}"] if missed else []


def open_labels(spark: SparkSession, given: LabelsConfig, facts: Facts) -> Labels:
    """Open labels and check them.

    Parameters
    ----------
    spark : SparkSession
    given : LabelsConfig
    facts : callable
        Stores the counts, such as ``StageStore.facts``, so that labels are counted once.

    Raises
    ------
    InputError
        See :func:`named_labels`.
    """
    opened = open_table.opened(spark, given, "labels")
    key = fingerprint("labels", register.LABELS.version, given, opened.fingerprint)
    rows = _rows(opened.table, given.id_column, given.label_column)
    return _settled(rows, facts(register.LABELS, key, lambda: counts(rows)), key)


def labels_of_rows(labels: DataFrame, facts: Facts) -> Labels:
    """Check labels that are a DataFrame (id, label), as :func:`open_labels` does."""
    key = fingerprint("labels", register.LABELS.version, open_table.dataframe_fingerprint(labels))
    rows = _rows(labels, "id", "label")
    return _settled(rows, facts(register.LABELS, key, lambda: counts(rows)), key)


def named_labels(labels: DataFrame, id_column: str = "id", label_column: str = "label") -> Labels:
    """Check labels without storing the counts.

    A label that is null, NaN or -1 is no label; if an id has a label in only some rows, the label counts.

    Raises
    ------
    InputError
        If a column is missing, ids are invalid, an id has two labels, or there are no labels.
    """
    rows = _rows(labels, id_column, label_column)
    return _settled(rows, counts(rows))


def _rows(table: DataFrame, id_column: str, label_column: str) -> DataFrame:
    return rows_by_id(table, id_column, label_column, values, "labels")


def _settled(rows: DataFrame, counted: Mapping[str, int], key: str = "") -> Labels:
    check_counts(counted, "labels", "a label")
    known = rows.where("id is not null and value is not null").select("id", F.col("value").alias("label"))
    if counted["most_values"] > 1:
        # Only now, since comparing labels costs far more and is seldom needed.
        several = known.groupBy("id").agg(F.countDistinct("label").alias("labels")).where("labels > 1")
        if different := several.orderBy("id").limit(1).collect():
            raise InputError(f"labels: id {different[0]['id']!r} has more than one label: keep one")
        known = known.dropDuplicates(["id"])
    return Labels(known, counted["ids"], key, warnings_of(counted, "labels"))
