"""Open the labels that the report compares the clusters with."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import DataFrame

from cdp_spark.config.input_sections import LabelsConfig
from cdp_spark.runs import register
from cdp_spark.runs.finished_run import FinishedRun
from cdp_spark.sources.labels import open_labels


@dataclass(frozen=True)
class NamedLabels:
    """Labels of a run's items.

    Attributes
    ----------
    table : DataFrame (id, label)
        One row per id, each with a label.
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
        labels = open_labels(run.spark, given, run.facts)
        if run.item_count:
            labels.matched(run.keyed(register.ITEMS), run.facts)
        return cls(labels.table, labels.fingerprint)

    def of_items(self, items: DataFrame) -> DataFrame:
        """Return (item, label)."""
        return items.join(self.table, "id", "inner").select("item", "label")
