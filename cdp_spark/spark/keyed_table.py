"""A table with a fingerprint of its inputs."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import DataFrame


@dataclass(frozen=True)
class KeyedTable:
    """A table, its number of rows, and a fingerprint of everything that it is made from.

    Attributes
    ----------
    table : DataFrame
    rows : int
        Number of rows, or an upper bound if only speed depends on it.
    fingerprint : str
        Tables with the same fingerprint hold the same rows; readers include it in their own fingerprints.
    """

    table: DataFrame
    rows: int
    fingerprint: str
