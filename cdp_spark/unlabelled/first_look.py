"""joint lists, lists, vectors, backgrounds -> pairs with features and log odds, each pair by itself.

This is the block join of the joint lists: one block owns each pair and computes it. Vectors travel once per block.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame

from cdp_spark.pairs.kernels.neighborhoods import owned_pairs
from cdp_spark.spark.arrow import map_batches
from cdp_spark.unlabelled.blocks import Arrived, Blocks, Sent, arrivals, binary, by_block, flat_lists
from cdp_spark.unlabelled.joint import BinCounts, ModelTables, cosine_of
from cdp_spark.unlabelled.kernels.joint_view import edges_of_some
from cdp_spark.unlabelled.kernels.mediator import UnlabelledMediator
from cdp_spark.unlabelled.kernels.pair_features import JointPairs, ModelViews, numbers_of_subsets
from cdp_spark.unlabelled.kernels.set_features import Standing
from cdp_spark.unlabelled.kernels.view_features import JOINT_SCALE, View
from cdp_spark.unlabelled.unlabelled_tables import FIRST_LOOK, SAMPLE

Longs = NDArray[np.int64]
Bools = NDArray[np.bool_]

_LISTS, _VECTORS, _BACKGROUND, _JOINT, _NEAR = range(5)
_ROWS = 4_096
"""Rows of a batch: some 10 MB of features."""


@dataclass(frozen=True)
class Known:
    """What features are made of.

    Attributes
    ----------
    models : ModelTables
    joint : DataFrame (number: int, item: long, neighbors, similarities)
        By number of the subset.
    near : DataFrame (``unlabelled_tables.NEAR``)
    bin_counts : sequence
        From ``joint.bin_counts``, for all subsets.
    """

    models: ModelTables
    joint: DataFrame
    near: DataFrame
    bin_counts: BinCounts

    @property
    def sent(self) -> list[Sent]:
        """Tables that travel to the blocks."""
        near = self.near.withColumnRenamed("near", "neighbors")
        tables = self.models.lists, self.models.vectors, self.models.background, self.joint, near
        return [Sent(table) for table in tables]


def first_look(
    blocks: Blocks,
    known: Known,
    asked: Mapping[int, tuple[int, ...]],
    mediator: UnlabelledMediator,
    sample: Longs | None = None,
) -> DataFrame:
    """Look at every pair of some subsets by itself.

    What self-training reads of each model is kept for subset 0 alone.

    Parameters
    ----------
    blocks : Blocks
        The halo holds the other ends of own items; with a sample, those of :func:`reached` are enough.
    known : Known
    asked : mapping of int to tuple of int
        Models of the wanted subsets, by number of the subset.
    mediator : UnlabelledMediator
    sample : ndarray of int64, optional
        Items, rising: only pairs with an end among them are looked at; None: all.

    Returns
    -------
    DataFrame (``unlabelled_tables.FIRST_LOOK``)
        Lazy.
    """
    dimensions, bin_counts = known.models.dimensions, known.bin_counts

    def compute(batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        for arrived in by_block(batches):
            block = _Block.of(arrived, dimensions, len(bin_counts), sample)
            subsets = [block.pairs(arrived, subset, asked[subset], bin_counts[subset]) for subset in asked]
            for number, rows, numbers in numbers_of_subsets(block.models, subsets):
                subset, ends = list(asked)[number], (subsets[number].first[rows], subsets[number].second[rows])
                z = mediator.first_look(numbers.features)
                own = numbers.own if subset == 0 else numbers.own[:, :0]
                of_whom = np.array([subset, arrived.block], np.int32)
                inside = block.sampled[ends[0]] & block.sampled[ends[1]]
                for some, kept in ((inside, (numbers.features, own)), (~inside, (numbers.features[:, :0], own[:, :0]))):
                    these = ends[0][some], ends[1][some]
                    yield from _rows(of_whom, block.models.items, these, z[some], (kept[0][some], kept[1][some]))

    rows = arrivals(blocks, known.sent)
    return map_batches(rows, compute, FIRST_LOOK)


def reached(joint: DataFrame, sample: Longs) -> DataFrame:
    """List the items of a sample, and all other ends of their pairs.

    Parameters
    ----------
    joint : DataFrame (number: int, item: long, neighbors: array<long>)
    sample : ndarray of int64, rising, at least one

    Returns
    -------
    DataFrame (item: long)
        One row per item. Lazy.
    """

    def reach(batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        for batch in batches:
            items, lists = batch.column("item").to_numpy(), flat_lists(batch)
            mine, theirs = (
                sample[np.minimum(np.searchsorted(sample, each), len(sample) - 1)] == each
                for each in (items, lists.neighbors)
            )
            row = np.repeat(np.arange(len(items)), np.diff(lists.offsets))
            ends = np.unique(np.concatenate([items[mine], items[row[theirs]], lists.neighbors[mine[row]]]))
            yield pa.RecordBatch.from_arrays([pa.array(ends)], names=SAMPLE.names)

    return map_batches(joint, reach, SAMPLE, observed=False).distinct()


@dataclass(frozen=True)
class _Block:
    """What a block knows, whatever the subset."""

    models: ModelViews
    own: Bools
    sampled: Bools
    near: NDArray[np.int64]

    @classmethod
    def of(cls, arrived: Arrived, dimensions: Sequence[int], subsets: int, sample: Longs | None) -> _Block:
        items, own = arrived.items(_LISTS)
        near = arrived.longs(_NEAR, 0, items, len(dimensions) + subsets)
        within = np.ones(len(items), bool) if sample is None else np.isin(items, sample)
        views = [
            View(arrived.lists(_LISTS, model, items), arrived.doubles(_BACKGROUND, model, items, 2), near[:, model])
            for model in range(len(dimensions))
        ]
        return cls(ModelViews(items, views, cosine_of(arrived, _VECTORS, dimensions)), own, within, near)

    def pairs(
        self, arrived: Arrived, subset: int, models: tuple[int, ...], bin_counts: tuple[Longs, Longs]
    ) -> JointPairs:
        """Return the pairs of a subset that the block owns and that are looked at."""
        items = self.models.items
        joint = arrived.lists(_JOINT, subset, items)
        edges = joint if self.sampled.all() else edges_of_some(joint, items, self.sampled)
        first, second = owned_pairs(items, self.own, [edges])
        units = np.broadcast_to(np.array([0.0, 1.0]), (len(items), 2))
        view = View(joint, units, self.near[:, len(self.models.views) + subset], JOINT_SCALE)
        return JointPairs(models, view, Standing.of(joint).features(bin_counts), first, second)


def _rows(
    of_whom: NDArray[np.int32], items: Longs, ends: tuple[Longs, Longs], z: NDArray[np.float32],
    numbers: tuple[NDArray[np.float16], NDArray[np.float16]],
) -> Iterator[pa.RecordBatch]:  # fmt: skip
    """Write a row per item that owns pairs."""
    first, second = ends
    owners, starts, lengths = np.unique(first, return_index=True, return_counts=True)
    for row in range(0, len(owners), _ROWS):
        some = slice(row, row + _ROWS)
        low, high = starts[row], (starts[some] + lengths[some])[-1]
        offsets = pa.array(np.concatenate([[0], np.cumsum(lengths[some])]).astype(np.int32))
        own = items[owners[some]]
        columns = [
            *(pa.array(np.full(len(own), value, np.int32)) for value in of_whom), pa.array(own),
            pa.ListArray.from_arrays(offsets, pa.array(items[second[low:high]])),
            pa.ListArray.from_arrays(offsets, pa.array(z[low:high])),
            *(binary(each[low:high], lengths[some]) for each in numbers),
        ]  # fmt: skip
        yield pa.RecordBatch.from_arrays(columns, names=FIRST_LOOK.names)
