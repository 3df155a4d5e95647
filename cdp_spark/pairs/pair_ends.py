"""Add facts about the ends of pairs, or list pairs from either end."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

_ENDS = ("src", "dst")


def with_ends(pairs: DataFrame, people: DataFrame, *columns: str) -> DataFrame:
    """Add the columns of both ends to each pair; drop pairs with an unknown end.

    Parameters
    ----------
    pairs : DataFrame (src: long, dst: long, ...)
    people : DataFrame (item: long, and ``columns``)

    Returns
    -------
    DataFrame
        ``pairs`` with src_<column> and dst_<column>. Lazy.
    """
    for end in _ENDS:
        known = people.select(F.col("item").alias(end), *(F.col(name).alias(f"{end}_{name}") for name in columns))
        pairs = pairs.join(known, end, "inner")
    return pairs


def from_either_end(pairs: DataFrame, *columns: str) -> DataFrame:
    """Return each labelled pair twice, once from each end.

    Parameters
    ----------
    pairs : DataFrame (src: long, dst: long, src_label, dst_label, and ``columns``)

    Returns
    -------
    DataFrame (item: long, given, other: long, label, and ``columns``)
        ``given`` is the label of the item, ``label`` that of the other end. Lazy.
    """
    there, back = (
        pairs.select(
            F.col(end).alias("item"), F.col(f"{end}_label").alias("given"),
            F.col(other).alias("other"), F.col(f"{other}_label").alias("label"), *columns,
        )
        for end, other in (_ENDS, _ENDS[::-1])
    )  # fmt: skip
    return there.unionByName(back)
