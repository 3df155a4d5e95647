"""Open the labels that the report compares the clusters with."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import DataFrame

from cdp_spark.config.input_sections import LabelsConfig
from cdp_spark.config.sections import fingerprint
from cdp_spark.runs import register
from cdp_spark.runs.finished_run import FinishedRun
from cdp_spark.sources import open_table
from cdp_spark.sources.labels import named_labels


@dataclass(frozen=True)
class NamedLabels:
    """Labels of a run's items.

    Attributes
    ----------
    table : DataFrame (id, label)
        One row per id, no nulls.
    fingerprint : str
        Fingerprint of the labels as read.
    """

    table: DataFrame
    fingerprint: str

    @classmethod
    def of(cls, run: FinishedRun, given: LabelsConfig) -> NamedLabels:
        """Open labels.

        Raises
        ------
        InputError
            If the labels cannot be read, or an id has two labels.
        """
        table = open_table.open_source(run.spark, given, "labels")
        named = named_labels(run.table(register.CLUSTERS), table, given.id_column, given.label_column)
        read = fingerprint(given, open_table.source_fingerprint(run.spark, given, table))
        return cls(named.where("label is not null"), read)

    def of_items(self, items: DataFrame) -> DataFrame:
        """Return (item, label)."""
        return items.join(self.table, "id", "inner").select("item", "label")
