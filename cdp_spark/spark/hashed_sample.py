"""Sample rows by hash: the same rows for any partitioning."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F


def hashed_sample(rows: DataFrame, *by: str, salt: str, below: float, above: float = 0.0) -> DataFrame:
    """Return the rows whose hash of some columns, as a number in [0, 1), lies in [above, below)."""
    share = F.pmod(F.xxhash64(*by, F.lit(salt)), F.lit(1 << 40)) / F.lit(float(1 << 40))
    return rows.where((share >= above) & (share < below))
