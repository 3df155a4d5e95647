"""log odds of all subsets -> how well clusterings by halves agree at shifts; a task per shift.

In: the pairs of the compared items, of which there are about 20,000, so that a task holds the pairs of all subsets.
Out: a few numbers per shift.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import DoubleType, IntegerType, StructField, StructType

from cdp_spark.agglomeration.kernels.agglomeration import Rule
from cdp_spark.base.numeric.dense_numbers import numbered
from cdp_spark.knn.shards import mapped_alone
from cdp_spark.spark.arrow import gathered
from cdp_spark.unlabelled.kernels.mediator import UnlabelledMediator, clusters_of
from cdp_spark.unlabelled.kernels.shift import SHIFTS, Agreement, agreement_of, likeness_of
from cdp_spark.unlabelled.unlabelled_tables import COMPARED

Longs = NDArray[np.int64]
Floats = NDArray[np.float32]
Pairs = tuple[Longs, Longs, Floats]
Splits = Sequence[tuple[int, int]]
"""Numbers of the subsets that are compared; subset 0 is the whole."""

_WHERE = [StructField(name, IntegerType()) for name in ("shift", "split")]
_AGREEMENTS = StructType([*_WHERE, *(StructField(name, DoubleType()) for name in ("halves", "whole", "items"))])
_LIKENESS = StructType([*_WHERE, StructField("likeness", DoubleType())])


def agreements(
    compared: DataFrame, splits: Splits, mediator: UnlabelledMediator, indices: Sequence[int], *, item_count: int
) -> dict[int, list[Agreement]]:
    """Cluster by the whole and by every half at some shifts, and compare (runs one job).

    Parameters
    ----------
    compared : DataFrame (``unlabelled_tables.COMPARED``)
        Stored: every task reads it.
    splits : sequence of (int, int)
    mediator : UnlabelledMediator
    indices : sequence of int
        Indices of shifts in ``SHIFTS``.
    item_count : int
        Compared items, including those without a pair.

    Returns
    -------
    dict of int to list of Agreement
        By index of the shift; one per split.
    """
    wanted, rule = list(indices), mediator.rule

    def compare(number: int, batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        index = wanted[number]
        root = _clusterings(batches, rule, item_count)
        whole = root(0, index)
        each = [agreement_of(root(one, index), root(other, index), whole) for one, other in splits]
        columns = [
            pa.array(np.full(len(each), index, np.int32)), pa.array(np.arange(len(each), dtype=np.int32)),
            *(pa.array([getattr(agreement, name) for agreement in each]) for name in ("halves", "whole", "items")),
        ]  # fmt: skip
        yield pa.RecordBatch.from_arrays(columns, names=_AGREEMENTS.names)

    by_shift = {index: [Agreement(0.0, 0.0)] * len(splits) for index in wanted}
    for row in mapped_alone([compared] * len(wanted), compare, _AGREEMENTS).collect():
        by_shift[row["shift"]][row["split"]] = Agreement(row["halves"], row["whole"], row["items"])
    return by_shift


def likeness(
    compared: DataFrame,
    splits: Splits,
    mediator: UnlabelledMediator,
    shifts: tuple[int, Sequence[int]],
    *,
    item_count: int,
) -> dict[int, list[float]]:
    """Compare the halves at one shift with the whole at others (runs one job, with a task per split).

    Parameters
    ----------
    compared, splits, mediator, item_count
        As for :func:`agreements`.
    shifts : tuple of (int, sequence of int)
        Indices in ``SHIFTS``: of the halves, and of the whole.

    Returns
    -------
    dict of int to list of float
        By index of the whole's shift; one number per split.
    """
    (top, wanted), rule = shifts, mediator.rule

    def compare(number: int, batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        root = _clusterings(batches, rule, item_count)
        one, other = (root(half, top) for half in splits[number])
        values = [likeness_of(one, other, root(0, at)) for at in wanted]
        index = np.array(wanted, np.int32)
        columns = [pa.array(index), pa.array(np.full_like(index, number)), pa.array(values)]
        yield pa.RecordBatch.from_arrays(columns, names=_LIKENESS.names)

    by_shift = {index: [0.0] * len(splits) for index in wanted}
    for row in mapped_alone([compared] * len(splits), compare, _LIKENESS).collect():
        by_shift[row["shift"]][row["split"]] = row["likeness"]
    return by_shift


def _clusterings(batches: Iterable[pa.RecordBatch], rule: Rule, item_count: int) -> Callable[[int, int], Longs]:
    """Return what clusters a subset at the shift of an index."""
    by_subset = _by_subset(gathered((batch.select(COMPARED.names) for batch in batches), COMPARED))
    none: Pairs = np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32)

    def root(subset: int, index: int) -> Longs:
        src, dst, z = by_subset.get(subset, none)
        return clusters_of(src, dst, z + np.float32(SHIFTS[index]), rule, item_count)

    return root


def _by_subset(columns: Sequence[NDArray[Any]]) -> dict[int, Pairs]:
    """Number the items densely, and divide the pairs."""
    subset, src, dst, z = columns
    _, number_of = numbered(np.concatenate([src, dst]).astype(np.int64))
    ends = number_of[: len(src)], number_of[len(src) :]
    rows_of = {int(number): np.flatnonzero(subset == number) for number in np.unique(subset)}
    return {number: (ends[0][rows], ends[1][rows], z[rows]) for number, rows in rows_of.items()}


def strengths(compared: DataFrame, splits: Splits) -> list[tuple[float, float]]:
    """Return, for each half of every split, the share of the whole's pairs that it also lists (runs one job)."""
    whole = compared.where("subset = 0").select("src", "dst")
    pairs = compared.select("subset", "src", "dst").join(whole, ["src", "dst"], "left_semi")
    counts = {row["subset"]: row["pairs"] for row in pairs.groupBy("subset").agg(F.count("*").alias("pairs")).collect()}
    all_of_them = max(1, counts.get(0, 0))
    shares = {subset: count / all_of_them for subset, count in counts.items()}
    return [(shares.get(one, 0.0), shares.get(other, 0.0)) for one, other in splits]
