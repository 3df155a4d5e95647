"""A table that is known by what it is made from."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import DataFrame


@dataclass(frozen=True)
class KeyedTable:
    """A table, how many rows it has, and a fingerprint of all that it is made from.

    Attributes
    ----------
    table : DataFrame
    rows : int
        Rows of the table, or an upper bound where only speed depends on it.
    fingerprint : str
        Tables with the same fingerprint hold the same rows; stages that read one put it into their own.
    """

    table: DataFrame
    rows: int
    fingerprint: str
