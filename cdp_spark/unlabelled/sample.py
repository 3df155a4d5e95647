"""pairs -> the items among which clusterings are compared: whole pieces, chosen by hash."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from cdp_spark.agglomeration.kernels import labelled_pieces as kernel
from cdp_spark.agglomeration.pieces_to_clusters import PIECES
from cdp_spark.base import schemas
from cdp_spark.base.numeric.uniform_hashes import uniform
from cdp_spark.networks.kernels.mlp import log_odds
from cdp_spark.spark.arrow import gathered, in_batches, map_batches
from cdp_spark.unlabelled.unlabelled_tables import SAMPLE

_SALT = 0x9A3
_ROOTS = "root"


def pieces(forest: DataFrame, *, most: int, one_task: bool) -> DataFrame:
    """Cut components of probable pairs until none has more than ``most`` items.

    Parameters
    ----------
    forest : DataFrame (``schemas.FOREST``)
        Forest of pairs of score > .5; whole components in one partition.
    most : int
        Most items of a piece.
    one_task : bool
        Whether the forest is brought into one task here.

    Returns
    -------
    DataFrame (``pieces_to_clusters.PIECES``)
        Lazy.
    """

    def cut(batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        src, dst, score = gathered(batches, schemas.FOREST)
        cut_pieces = kernel.pieces(src, dst, log_odds(score), most=most)
        columns = [pa.array(column) for column in (cut_pieces.items, cut_pieces.root, cut_pieces.level)]
        return in_batches(pa.RecordBatch.from_arrays(columns, names=PIECES.names))

    return map_batches(forest, cut, PIECES, one_task=one_task)


def sampled_items(items: DataFrame, piece_of: DataFrame, share: float) -> DataFrame:
    """Choose whole pieces by hash; an item without a piece is one by itself.

    Parameters
    ----------
    items : DataFrame (item: long)
    piece_of : DataFrame (``pieces_to_clusters.PIECES``)
    share : float
        Share of the pieces.

    Returns
    -------
    DataFrame (``unlabelled_tables.SAMPLE``)
        Lazy.
    """
    piece = F.coalesce("piece", "item").alias(_ROOTS)
    rooted = items.select("item").join(piece_of.select("item", "piece"), "item", "left").select("item", piece)

    def choose(batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        for batch in batches:
            chosen = uniform(batch.column(_ROOTS).to_numpy().astype(np.int64), _SALT) < share
            yield pa.RecordBatch.from_arrays([batch.column("item").filter(pa.array(chosen))], names=SAMPLE.names)

    return map_batches(rooted, choose, SAMPLE, observed=False)


def within(log_odds_of: DataFrame, sample: DataFrame) -> DataFrame:
    """Keep the pairs of which both ends are in the sample."""
    for end in ("src", "dst"):
        log_odds_of = log_odds_of.join(F.broadcast(sample.select(F.col("item").alias(end))), end, "left_semi")
    return log_odds_of
