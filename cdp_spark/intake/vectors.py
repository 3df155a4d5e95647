"""The checked vectors of one model, as all stages read them."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import DataFrame


@dataclass(frozen=True)
class Vectors:
    """The vectors of one model: (item: long, vector: binary), their number and length."""

    model: str
    table: DataFrame
    rows: int
    dimension: int
    fingerprint: str
