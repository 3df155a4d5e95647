"""The consensus graph: the pairs whose score is above the threshold."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import DataFrame

from cdp_spark.runs.stage_store import StageResult
from cdp_spark.spark.keyed_table import KeyedTable


@dataclass(frozen=True)
class ConsensusGraph:
    """The pairs above one threshold.

    Attributes
    ----------
    pairs_above, edges_above : DataFrame
        All of its pairs; its forest, or a superset of that.
    grouped : DataFrame
        ``edges_above``, whole components in one partition.
    components : StageResult
    tasks : int
    engine, why : str
    start : float or None
        The smallest score; None when there is no pair.
    largest : int
        Items of the largest component.
    fingerprint : str
    """

    pairs_above: DataFrame
    edges_above: DataFrame
    grouped: DataFrame
    components: StageResult
    tasks: int
    engine: str
    why: str
    start: float | None
    largest: int
    fingerprint: str

    @property
    def whole_components(self) -> KeyedTable:
        """``grouped``, with at most as many rows as there are items."""
        return KeyedTable(self.grouped, self.components.rows, self.fingerprint)
