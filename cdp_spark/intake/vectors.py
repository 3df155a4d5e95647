"""The checked vectors of one model, as all stages read them."""

from __future__ import annotations

from dataclasses import dataclass

from cdp_spark.spark.keyed_table import KeyedTable


@dataclass(frozen=True)
class Vectors(KeyedTable):
    """The vectors of one model: (item: long, vector: binary), and their length."""

    model: str
    dimension: int
