"""forest, scored_pairs -> labelled items without a threshold: each piece is agglomerated in one task.

A piece is a component of the pairs more probable than not. All pairs inside it count; improbable pairs
keep two identities apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import reduce

import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import FloatType, LongType, StructField, StructType

from cdp_spark.agglomeration.kernels import labelled_pieces as kernel
from cdp_spark.agglomeration.kernels.agglomeration import Rule
from cdp_spark.agglomeration.kernels.labelled_pieces import Clustered, clustered
from cdp_spark.agglomeration.kernels.link_features import Centroids
from cdp_spark.base import schemas
from cdp_spark.base.numeric.dense_numbers import positions
from cdp_spark.base.numeric.unit_vectors import decode
from cdp_spark.base.statuses import CLUSTERED, SINGLETON, STATUSES
from cdp_spark.networks.kernels.mlp import log_odds
from cdp_spark.spark.arrow import gathered, in_batches, map_batches

PIECES = StructType(
    [StructField("item", LongType()), StructField("piece", LongType()), StructField("level", FloatType())]
)
"""Piece of every item that has a pair of score > .5, named by its smallest item. ``level`` is the log odds above which
it is a component; above 0 if a larger component was cut."""

_INSIDE = StructType([StructField("piece", LongType()), *schemas.SCORED_PAIRS.fields])
_BROADCAST_ITEMS = 2_000_000


def pieces(grouped: DataFrame, *, most: int) -> DataFrame:
    """Cut the components until none has more than ``most`` items.

    Parameters
    ----------
    grouped : DataFrame (``schemas.FOREST``)
        The forest of the pairs of score > .5, or a superset of it; whole components in one partition.
    most : int
        Items of a piece.

    Returns
    -------
    DataFrame (``PIECES``)
        Lazy.
    """

    def cut(batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        src, dst, score = gathered(batches, schemas.FOREST)
        cut_pieces = kernel.pieces(src, dst, log_odds(score), most=most)
        columns = [pa.array(column) for column in (cut_pieces.items, cut_pieces.root, cut_pieces.level)]
        return in_batches(pa.RecordBatch.from_arrays(columns, names=PIECES.names))

    return map_batches(grouped, cut, PIECES)


def inside(pairs: DataFrame, piece_of: DataFrame, *, item_count: int) -> DataFrame:
    """Return the pairs inside pieces and, since an item of a cut piece may have none, each of these with itself.

    Parameters
    ----------
    pairs : DataFrame (``schemas.SCORED_PAIRS``)
    piece_of : DataFrame (``PIECES``)
    item_count : int
        Rows of ``piece_of``; affects the kind of join, not the result.

    Returns
    -------
    DataFrame (piece: long, src: long, dst: long, score: float)
        The score of an item with itself is the score above which its piece is a component. Lazy.
    """

    def named(end: str) -> DataFrame:
        table = piece_of.select(F.col("item").alias(end), F.col("piece").alias(f"{end}_piece"))
        return F.broadcast(table) if item_count <= _BROADCAST_ITEMS else table

    joined = pairs.join(named("src"), "src", "inner").join(named("dst"), "dst", "inner")
    both = joined.where(F.col("src_piece") == F.col("dst_piece"))
    item, level = F.col("item"), F.col("level").cast("double")
    above = (F.lit(1.0) / (F.lit(1.0) + F.exp(-level))).cast("float").alias("score")
    alone = piece_of.where("level > 0").select("piece", item.alias("src"), item.alias("dst"), above)
    return both.select(F.col("src_piece").alias("piece"), *schemas.SCORED_PAIRS.names).unionAll(alone)


def agglomerated(inner: DataFrame, rule: Rule, *, tasks: int, dimensions: Sequence[int] = ()) -> DataFrame:
    """Find the clusters of each piece.

    Parameters
    ----------
    inner : DataFrame
        Result of :func:`inside`, with vectors if the rule reads them (:func:`with_vectors`).
    rule : Rule
    tasks : int
        Affects speed and memory, never the result.
    dimensions : sequence of int
        Lengths of the models' vectors, if the rule reads them.

    Returns
    -------
    DataFrame (``schemas.CONFIDENT_ITEMS``)
        One row per item of a piece; ``level`` is the score above which the piece is a component. Lazy.
    """

    widths = tuple(dimensions)

    def agglomerate(batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        arrived = Arrived(widths)
        _, src, dst, score = gathered(arrived.taken(batches), _INSIDE)
        clusters, of_itself = clustered(src, dst, score, rule, centroids=arrived.centroids), src == dst
        level = np.full(len(clusters.items), 0.5)
        level[positions(clusters.items, src[of_itself])] = score[of_itself]
        return in_batches(_rows(clusters, level))

    return map_batches(inner.repartition(tasks, "piece"), agglomerate, schemas.CONFIDENT_ITEMS)


def _rows(clusters: Clustered, level: NDArray[np.float64]) -> pa.RecordBatch:
    status = pa.array(STATUSES).take(pa.array(np.where(clusters.size > 1, CLUSTERED, SINGLETON)))
    columns = [
        pa.array(clusters.items), pa.array(clusters.root), status, pa.array(clusters.size),
        pa.array(clusters.best_score, mask=np.isnan(clusters.best_score)), pa.array(level),
        pa.array(clusters.confidence), pa.array(clusters.cluster_confidence),
        pa.array(clusters.best_other, mask=clusters.best_other < 0), pa.array(clusters.best_other_probability),
    ]  # fmt: skip
    return pa.RecordBatch.from_arrays(columns, names=schemas.CONFIDENT_ITEMS.names)


_VECTOR = -1
"""``dst`` of a row that carries a vector."""


def side_by_side(vectors: Sequence[DataFrame]) -> DataFrame:
    """Concatenate the vectors of all models.

    Parameters
    ----------
    vectors : sequence of DataFrame (item: long, vector: binary)
        Base first.

    Returns
    -------
    DataFrame (item: long, vector: binary)
        Lazy.
    """
    named = [table.select("item", F.col("vector").alias(f"model_{number}")) for number, table in enumerate(vectors)]
    joined = reduce(lambda one, other: one.join(other, "item", "inner"), named)
    return joined.select("item", F.concat(*(f"model_{number}" for number in range(len(named)))).alias("vector"))


def with_vectors(rows: DataFrame, members: DataFrame, vectors: DataFrame) -> DataFrame:
    """Add the items' vectors to rows of pairs.

    Parameters
    ----------
    rows : DataFrame (src: long, dst: long, and other columns of numbers)
    members : DataFrame (item: long, and those other columns that say in whose task the item is)
    vectors : DataFrame (item: long, vector: binary)

    Returns
    -------
    DataFrame (the columns of ``rows``, vector: binary)
        Lazy. :class:`Arrived` reads it.
    """
    known = members.join(vectors, "item", "inner")
    given = {name: F.col(name) for name in members.columns} | {"src": F.col("item"), "dst": F.lit(_VECTOR)}
    columns = [given.get(field.name, F.lit(0)).cast(field.dataType).alias(field.name) for field in rows.schema.fields]
    none = F.lit(bytearray()).alias("vector")  # instead of null: see map_batches
    return rows.select("*", none).unionByName(known.select(*columns, "vector"))


class Arrived:
    """The vectors that came with the rows of a task."""

    def __init__(self, dimensions: Sequence[int]) -> None:
        self._dimensions = dimensions
        self._items: list[NDArray[np.int64]] = []
        self._vectors: list[NDArray[np.float16]] = []

    def taken(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Keep the vectors, and pass on the rows of pairs; without dimensions there are no vectors."""
        if not self._dimensions:
            yield from batches
            return
        for batch in batches:
            brings = pa.compute.equal(batch.column("dst"), _VECTOR)
            own = batch.filter(brings)
            if own.num_rows:
                self._items.append(own.column("src").to_numpy())
                self._vectors.append(decode(own.column("vector"), sum(self._dimensions)))
            yield batch.filter(pa.compute.invert(brings)).drop_columns(["vector"])

    def centroids(self, items: NDArray[np.int64]) -> Centroids | None:
        """Begin with clusters of one item each; None without dimensions."""
        if not self._dimensions:
            return None
        known = np.concatenate([np.empty(0, np.int64), *self._items])
        vectors = np.concatenate([np.empty((0, sum(self._dimensions)), np.float16), *self._vectors])
        order = np.argsort(known, kind="stable")
        rows = order[np.searchsorted(known[order], items)]
        return Centroids.of(vectors[rows], self._dimensions)
