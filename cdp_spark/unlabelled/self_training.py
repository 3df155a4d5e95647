"""pairs and clusters -> log odds by networks trained on these clusters, and the final probabilities."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import BinaryType, BooleanType, StructField, StructType

from cdp_spark.base import schemas
from cdp_spark.base.numeric.pair_order import order_of_pairs
from cdp_spark.networks.kernels.mlp import Mlp, sigmoid
from cdp_spark.networks.weights_file import Tensors, as_bytes, from_bytes, net_of, tensors_of
from cdp_spark.spark.arrow import in_batches, map_batches
from cdp_spark.unlabelled.blocks import values_of
from cdp_spark.unlabelled.kernels.self_training import (
    SPLITS,
    Taught,
    drawn_pairs,
    half_of,
    mixed_odds,
    self_scored,
    self_trained,
)
from cdp_spark.unlabelled.unlabelled_tables import LOG_ODDS

Longs = NDArray[np.int64]
Halves = NDArray[np.int8]

_ENDS = ("src", "dst")
TAUGHT = StructType(
    [
        *schemas.SCORED_PAIRS.fields[:2], LOG_ODDS["own"], StructField("same", BooleanType()),
        StructField("halves", BinaryType()),
    ]
)  # fmt: skip
"""Pairs that networks learn from: 12 float16 of each model, whether both ends are in one cluster, and the halves (int8)
of the ends, by split and end."""

NETWORKS = StructType([StructField("networks", BinaryType())])
"""One row, safetensors; none where there is too little to learn from."""

_BROADCAST_ITEMS = 2_000_000
_MOST_ODDS = 16.0
"""Beyond it float32 has no probabilities below 1 any more."""


def first_scores(log_odds: DataFrame, shift: float) -> DataFrame:
    """Turn shifted log odds of the whole into probabilities.

    Parameters
    ----------
    log_odds : DataFrame (``unlabelled_tables.LOG_ODDS``)
        Pairs of the first subset.
    shift : float

    Returns
    -------
    DataFrame (``schemas.SCORED_PAIRS``)
        Lazy.
    """

    def score(batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        for batch in batches:
            yield _scored(batch, batch.column("z").to_numpy() + np.float32(shift))

    return map_batches(log_odds.select("src", "dst", "z"), score, schemas.SCORED_PAIRS)


def moved_scores(scored: DataFrame, by: float) -> DataFrame:
    """Add a number to the log odds of all pairs.

    Parameters
    ----------
    scored : DataFrame (``schemas.SCORED_PAIRS``)
    by : float

    Returns
    -------
    DataFrame (``schemas.SCORED_PAIRS``)
        Lazy.
    """

    def move(batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        for batch in batches:
            yield _scored(batch, log_odds_of(batch.column("score").to_numpy()) + np.float64(by))

    return map_batches(scored.select(*schemas.SCORED_PAIRS.names), move, schemas.SCORED_PAIRS)


def log_odds_of(score: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the log odds of probabilities, which are stored as float32: 16 at most either way.

    >>> log_odds_of(np.float32([0.5, 0.75, 1.0])).round(3).tolist()
    [0.0, 1.099, 16.0]
    """
    wide = score.astype(np.float64)
    with np.errstate(divide="ignore"):
        odds: NDArray[np.float64] = np.clip(np.log(wide) - np.log1p(-wide), -_MOST_ODDS, _MOST_ODDS)
    return odds


def _scored(pairs: pa.RecordBatch, z: NDArray[np.float32] | NDArray[np.float64]) -> pa.RecordBatch:
    score = sigmoid(z.astype(np.float64)).astype(np.float32)
    columns = [pairs.column("src"), pairs.column("dst"), pa.array(score)]
    return pa.RecordBatch.from_arrays(columns, names=schemas.SCORED_PAIRS.names)


def with_clusters(pairs: DataFrame, labelled: DataFrame, *, item_count: int) -> DataFrame:
    """Add name and size of the clusters of both ends; an item without a label is one by itself.

    Parameters
    ----------
    pairs : DataFrame (src: long, dst: long, ...)
    labelled : DataFrame (item: long, root: long, size: long)
    item_count : int
        Decides how they are joined; results do not depend on it.
    """
    for end in _ENDS:
        names = [F.col("item").alias(end), F.col("root").alias(f"{end}_root"), F.col("size").alias(f"{end}_size")]
        table = labelled.select(*names)
        pairs = pairs.join(F.broadcast(table) if item_count <= _BROADCAST_ITEMS else table, end, "left")
    filled = {f"{end}_root": F.coalesce(f"{end}_root", end) for end in _ENDS}
    filled |= {f"{end}_size": F.coalesce(f"{end}_size", F.lit(1)).cast("long") for end in _ENDS}
    return pairs.withColumns(filled)


_UNIT = 1 << 20


def predicted_quality(scored: DataFrame, labelled: DataFrame, *, item_count: int) -> dict[str, float | None]:
    """Predict the precision and the recall of clusters over the scored pairs (runs one job).

    Returns
    -------
    dict of str to float or None
        ``precision``: mean probability of the pairs inside clusters. ``recall``: their share of the sum of all
        probabilities. None if there is no such pair.
    """
    clustered = with_clusters(scored, labelled, item_count=item_count)
    inside = F.col("src_root") == F.col("dst_root")
    # Sums of whole numbers do not depend on the partitions.
    of_pair = F.round(F.col("score").cast("double") * _UNIT).cast("long")
    row = clustered.agg(
        F.count(F.when(inside, 1)).alias("pairs"), F.sum(F.when(inside, of_pair)).alias("inside"),
        F.sum(of_pair).alias("all"),
    ).collect()[0]  # fmt: skip
    return {
        "precision": row["inside"] / row["pairs"] / _UNIT if row["pairs"] else None,
        "recall": (row["inside"] or 0) / row["all"] if row["all"] else None,
    }


def taught_pairs(clustered: DataFrame, *, pair_count: int) -> DataFrame:
    """Choose the pairs that networks learn from: about 500,000 at most.

    Parameters
    ----------
    clustered : DataFrame
        ``unlabelled_tables.LOG_ODDS`` of the first subset, of :func:`with_clusters`.
    pair_count : int

    Returns
    -------
    DataFrame (``TAUGHT``)
        Lazy.
    """

    def choose(batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        for whole in batches:
            src, dst = (whole.column(end).to_numpy() for end in _ENDS)
            batch = whole.filter(pa.array(drawn_pairs(src, dst, among=pair_count)))
            halves = np.ascontiguousarray(np.moveaxis(_halves(batch), 2, 0))
            same = pa.compute.equal(batch.column("src_root"), batch.column("dst_root"))
            packed = pa.array([row.tobytes() for row in halves], pa.binary())
            columns = [*(batch.column(name) for name in ("src", "dst", "own")), same, packed]
            yield pa.RecordBatch.from_arrays(columns, names=TAUGHT.names)

    return map_batches(clustered, choose, TAUGHT)


def _halves(batch: pa.RecordBatch) -> Halves:
    """Return the halves of both ends, by split, end and pair."""
    halves = np.empty((SPLITS, 2, batch.num_rows), np.int8)
    for number, end in enumerate(_ENDS):
        item, root, size = (batch.column(f"{end}{name}").to_numpy() for name in ("", "_root", "_size"))
        for split in range(SPLITS):
            halves[split, number] = half_of(item, root, size, split)
    return halves


def networks(taught: DataFrame) -> DataFrame:
    """Train on all pairs, in one task, in the order of the pairs.

    Parameters
    ----------
    taught : DataFrame (``TAUGHT``)
        Stored.

    Returns
    -------
    DataFrame (``NETWORKS``)
        Lazy.
    """

    def train(batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        kept = [batch for batch in batches if batch.num_rows]
        if not kept:
            return
        table = pa.Table.from_batches(kept)
        order = order_of_pairs(table.column("src").to_numpy(), table.column("dst").to_numpy())
        own = values_of(table.column("own"), np.float16).reshape(len(order), -1)[order]
        same = table.column("same").to_numpy()[order].astype(bool)
        halves = values_of(table.column("halves"), np.int8).reshape(len(order), SPLITS, 2)[order]
        learned = Taught(own, same, np.ascontiguousarray(np.moveaxis(halves, 0, 2)))
        if not learned.enough:
            return
        tensors: Tensors = {}
        for number, net in enumerate(self_trained(learned)):
            tensors |= tensors_of(f"net.{number}", net)
        yield pa.RecordBatch.from_arrays([pa.array([as_bytes(tensors)], pa.binary())], names=NETWORKS.names)

    return map_batches(taught, train, NETWORKS, one_task=True)


def loaded(data: bytes) -> tuple[Mlp, ...]:
    """Read networks of :func:`networks`."""
    tensors = from_bytes(data)
    return tuple(net_of(f"net.{number}", tensors) for number in range(2 * SPLITS))


def final_scores(clustered: DataFrame, nets: tuple[Mlp, ...], shift: float) -> DataFrame:
    """Mix what the mediator says, shifted, with what the networks say that have not learned from the pair.

    Parameters
    ----------
    clustered : DataFrame
        ``unlabelled_tables.LOG_ODDS`` of the first subset, of :func:`with_clusters`.
    nets : tuple of Mlp
    shift : float

    Returns
    -------
    DataFrame (``schemas.SCORED_PAIRS``)
        Lazy.
    """
    width = len(nets[0].mean)

    def score(batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        for batch in batches:
            own = values_of(batch.column("own"), np.float16).reshape(batch.num_rows, width)
            again = self_scored(nets, own, _halves(batch))
            z = mixed_odds(batch.column("z").to_numpy() + np.float32(shift), again)
            yield from in_batches(_scored(batch, z))

    return map_batches(clustered, score, schemas.SCORED_PAIRS)
