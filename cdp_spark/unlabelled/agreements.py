"""log odds of all subsets -> how well clusterings by halves agree at shifts; a task per shift.

In: the pairs of the items that are compared, some 20,000, so that a task holds those of all subsets. Out: a few
numbers per shift.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import DoubleType, IntegerType, StructField, StructType

from cdp_spark.base.numeric.dense_numbers import numbered
from cdp_spark.knn.shards import mapped_alone
from cdp_spark.spark.arrow import gathered
from cdp_spark.unlabelled.kernels.mediator import UnlabelledMediator, clusters_of
from cdp_spark.unlabelled.kernels.shift import SHIFTS, Agreement, agreement_of
from cdp_spark.unlabelled.unlabelled_tables import COMPARED

Longs = NDArray[np.int64]
Floats = NDArray[np.float32]
Pairs = tuple[Longs, Longs, Floats]
Splits = Sequence[tuple[int, int]]
"""Numbers of the subsets that are compared; subset 0 is the whole."""

_AGREEMENTS = StructType(
    [
        *(StructField(name, IntegerType()) for name in ("place", "split")),
        *(StructField(name, DoubleType()) for name in ("halves", "whole", "items")),
    ]
)


def agreements(
    compared: DataFrame, splits: Splits, mediator: UnlabelledMediator, places: Sequence[int], *, item_count: int
) -> dict[int, list[Agreement]]:
    """Cluster by the whole and by every half at some shifts, and compare (runs one job).

    Parameters
    ----------
    compared : DataFrame (``unlabelled_tables.COMPARED``)
        Stored: every task reads it.
    splits : sequence of (int, int)
    mediator : UnlabelledMediator
    places : sequence of int
        In ``SHIFTS``.
    item_count : int
        Items that are compared, those without a pair among them.

    Returns
    -------
    dict of int to list of Agreement
        By place, one per split.
    """
    wanted, rule = list(places), mediator.rule

    def compare(number: int, batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        place = wanted[number]
        by_subset = _by_subset(gathered((batch.select(COMPARED.names) for batch in batches), COMPARED))
        shift = np.float32(SHIFTS[place])
        none: Pairs = np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32)

        def root(subset: int) -> Longs:
            src, dst, z = by_subset.get(subset, none)
            return clusters_of(src, dst, z + shift, rule, item_count)

        whole = root(0)
        found = [agreement_of(root(one), root(other), whole) for one, other in splits]
        columns = [
            pa.array(np.full(len(found), place, np.int32)), pa.array(np.arange(len(found), dtype=np.int32)),
            *(pa.array([getattr(each, name) for each in found]) for name in ("halves", "whole", "items")),
        ]  # fmt: skip
        yield pa.RecordBatch.from_arrays(columns, names=_AGREEMENTS.names)

    rows = mapped_alone([compared] * len(wanted), compare, _AGREEMENTS).collect()
    found = {place: [Agreement(0.0, 0.0)] * len(splits) for place in wanted}
    for row in rows:
        found[row["place"]][row["split"]] = Agreement(row["halves"], row["whole"], row["items"])
    return found


def _by_subset(columns: Sequence[NDArray[Any]]) -> dict[int, Pairs]:
    """Number the items densely, and divide the pairs."""
    subset, src, dst, z = columns
    _, place = numbered(np.concatenate([src, dst]).astype(np.int64))
    ends = place[: len(src)], place[len(src) :]
    rows_of = {int(number): np.flatnonzero(subset == number) for number in np.unique(subset)}
    return {number: (ends[0][rows], ends[1][rows], z[rows]) for number, rows in rows_of.items()}


def strengths(compared: DataFrame, splits: Splits) -> list[tuple[float, float]]:
    """Return of the halves of every split the share of the whole's pairs that they list, too (runs one job)."""
    whole = compared.where("subset = 0").select("src", "dst")
    pairs = compared.select("subset", "src", "dst").join(whole, ["src", "dst"], "left_semi")
    counts = {row["subset"]: row["pairs"] for row in pairs.groupBy("subset").agg(F.count("*").alias("pairs")).collect()}
    all_of_them = max(1, counts.get(0, 0))
    shares = {subset: count / all_of_them for subset, count in counts.items()}
    return [(shares.get(one, 0.0), shares.get(other, 0.0)) for one, other in splits]
