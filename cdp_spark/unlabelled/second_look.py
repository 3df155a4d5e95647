"""pairs with log odds -> log odds that take the pairs around into account, one step around each pair."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import FloatType, IntegerType, LongType, StructField, StructType

from cdp_spark.base import schemas
from cdp_spark.base.numeric.dense_numbers import positions
from cdp_spark.knn.kernels.neighbor_lists import flat
from cdp_spark.spark.arrow import gathered, in_batches, map_batches
from cdp_spark.unlabelled.blocks import Arrived, Blocks, Sent, arrivals, binary, by_block
from cdp_spark.unlabelled.kernels.mediator import UnlabelledMediator
from cdp_spark.unlabelled.kernels.pair_features import feature_names
from cdp_spark.unlabelled.kernels.second_look import around
from cdp_spark.unlabelled.unlabelled_tables import LOG_ODDS

_PARTNERS, _PAIRS, _OWN = range(3)
_ENDS = StructType(
    [
        StructField("subset", IntegerType()), StructField("item", LongType()), StructField("other", LongType()),
        StructField("z", FloatType()),
    ]
)  # fmt: skip
_BOTH_WAYS = StructType([StructField("number", IntegerType()), *schemas.KNN.fields])


def both_ways(looked_at: DataFrame, tasks: int) -> DataFrame:
    """Gather the pairs of each item, whichever end owns them.

    Parameters
    ----------
    looked_at : DataFrame (``unlabelled_tables.FIRST_LOOK``)
    tasks : int
        Affects memory, not the result.

    Returns
    -------
    DataFrame (number: int, item: long, neighbors: array<long>, similarities: array<float>)
        One row per subset and item that has a pair: the other ends, rising, and log odds. Lazy.
    """
    ends = map_batches(looked_at.select("subset", *schemas.KNN.names), _both_ends, _ENDS, observed=False)
    return map_batches(ends.repartition(tasks, "item"), _lists_of_ends, _BOTH_WAYS, observed=False)


def _both_ends(batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
    for batch in batches:
        offsets, others = flat(batch.column("neighbors"))
        row = np.repeat(np.arange(batch.num_rows), np.diff(offsets))
        item, other = batch.column("item").to_numpy()[row], others.to_numpy()
        subset, z = batch.column("subset").to_numpy()[row], batch.column("similarities").flatten().to_numpy()
        for here, there in ((item, other), (other, item)):
            yield from in_batches(
                pa.RecordBatch.from_arrays([pa.array(each) for each in (subset, here, there, z)], names=_ENDS.names)
            )


def _lists_of_ends(batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
    subset, item, other, z = gathered(batches, _ENDS)
    order = np.lexsort((other, item, subset))
    subset, item = subset[order], item[order]
    new = (np.diff(item, prepend=-1) != 0) | (np.diff(subset, prepend=-1) != 0)
    starts = np.flatnonzero(new)
    offsets = pa.array(np.append(starts, len(item)).astype(np.int32))
    lists = (pa.ListArray.from_arrays(offsets, pa.array(values[order])) for values in (other, z))
    columns = [pa.array(subset[starts]), pa.array(item[starts]), *lists]
    yield from in_batches(pa.RecordBatch.from_arrays(columns, names=_BOTH_WAYS.names))


def second_look(blocks: Blocks, looked_at: DataFrame, mediator: UnlabelledMediator) -> DataFrame:
    """Look at every pair again, with what is around it.

    Parameters
    ----------
    blocks : Blocks
        The same as in the first look.
    looked_at : DataFrame (``unlabelled_tables.FIRST_LOOK``)
        Stored. Pairs without features only lie around others.
    mediator : UnlabelledMediator

    Returns
    -------
    DataFrame (``unlabelled_tables.LOG_ODDS``)
        One row per subset and pair. Lazy.
    """
    pairs = looked_at.where(F.length("features") > 0).withColumnRenamed("subset", "number")
    features = pairs.select("number", "item", "neighbors", F.col("features").alias("payload"))
    own = pairs.select("number", "item", F.col("own").alias("payload"))
    sent = [Sent(both_ways(looked_at, blocks.count)), Sent(features, own_only=True), Sent(own, own_only=True)]

    def compute(batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        for block in by_block(batches):
            for subset in block.numbers(_PAIRS):
                yield from in_batches(_looked_at_again(block, subset, mediator))

    return map_batches(arrivals(blocks, sent), compute, LOG_ODDS)


def _looked_at_again(block: Arrived, subset: int, mediator: UnlabelledMediator) -> pa.RecordBatch:
    items, _ = block.items(_PARTNERS, subset)
    lists = block.lists(_PARTNERS, subset, items)
    owners, _ = block.items(_PAIRS, subset)
    pairs = block.lists(_PAIRS, subset, owners)
    first = np.repeat(positions(items, owners), np.diff(pairs.offsets))
    second = positions(items, pairs.neighbors)
    features = block.values(_PAIRS, subset, np.float16).reshape(len(first), len(feature_names()))
    own = block.values(_OWN, subset, np.float16).reshape(len(first), -1)
    seen = around(items, lists, first, second)
    z = mediator.second_look(features, seen)
    ends = items[first], items[second]
    columns = [
        pa.array(np.full(len(z), subset, np.int32)), pa.array(np.minimum(*ends)), pa.array(np.maximum(*ends)),
        pa.array(z), binary(own, np.ones(len(z), np.int64)),
    ]  # fmt: skip
    return pa.RecordBatch.from_arrays(columns, names=LOG_ODDS.names)
