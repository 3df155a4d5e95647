"""pairs -> scored_pairs by the mediator: a small network scores each candidate pair from the evidence of all models.

The paper's "mediator". A pair's score is the calibrated probability that its ends are one identity; no threshold is
applied here. The closure carries the weights, and workers need no torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql.types import ArrayType, FloatType, StructField, StructType

from cdp_spark.base import schemas
from cdp_spark.networks.kernels.mlp import Engine, Ensemble, probabilities
from cdp_spark.pairs.block_join import PairFunction
from cdp_spark.spark.arrow import as_lists, map_batches, matrix_of

TRAINING, CALIBRATION, VALIDATION, STRADDLING = range(4)
"""Subsets of labelled pairs: both identities in one subset, or (straddling) in two."""

SAMPLED_PAIRS = StructType([*schemas.SCORED_PAIRS.fields, StructField("features", ArrayType(FloatType()))])
"""Scored pairs; ``features`` of a hash sample of them, null elsewhere, to compare with those seen in training."""

LABELLED_FEATURES = StructType(
    [schemas.SCORED_PAIRS["src"], schemas.SCORED_PAIRS["dst"], StructField("features", ArrayType(FloatType()))]
)
"""Pairs to learn from."""


def scoring(model: Ensemble, columns: Sequence[int], *, sample_every: int, engine: Engine = "numpy") -> PairFunction:
    """Return a function that scores a batch of pairs: rows of ``SAMPLED_PAIRS``.

    Parameters
    ----------
    model : Ensemble
    columns : sequence of int
        Columns of the features that it reads.
    sample_every : int
        About one pair in this many keeps its features.
    engine : {"numpy", "torch"}
        Library that computes it; torch agrees within 1e-5, but its last bits depend on the batch.
    """
    chosen = np.array(columns)

    def score(src: NDArray[np.int64], dst: NDArray[np.int64], features: NDArray[np.float32]) -> pa.RecordBatch:
        read = np.ascontiguousarray(features[:, chosen])
        kept = hashed(src, dst) % np.uint64(sample_every) == 0
        said = probabilities(model, read, engine=engine)
        columns = [pa.array(src), pa.array(dst), pa.array(said), as_lists(read, kept)]
        return pa.RecordBatch.from_arrays(columns, names=SAMPLED_PAIRS.names)

    return score


def scored(features: DataFrame, model: Ensemble) -> DataFrame:
    """Score pairs whose features are stored.

    Parameters
    ----------
    features : DataFrame (``LABELLED_FEATURES``)
    model : Ensemble

    Returns
    -------
    DataFrame (``schemas.SCORED_PAIRS``)
        One row per row. Lazy.
    """

    def score(batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        for batch in batches:
            score = probabilities(model, matrix_of(batch.column("features")))
            columns = [batch.column("src"), batch.column("dst"), pa.array(score)]
            yield pa.RecordBatch.from_arrays(columns, names=schemas.SCORED_PAIRS.names)

    return map_batches(features, score, schemas.SCORED_PAIRS)


def learning(columns: Sequence[int]) -> PairFunction:
    """Return a function that keeps the features of a batch of pairs: rows of ``LABELLED_FEATURES``."""
    chosen = np.array(columns)

    def keep(src: NDArray[np.int64], dst: NDArray[np.int64], features: NDArray[np.float32]) -> pa.RecordBatch:
        columns = [pa.array(src), pa.array(dst), as_lists(features[:, chosen])]
        return pa.RecordBatch.from_arrays(columns, names=LABELLED_FEATURES.names)

    return keep


def hashed(src: NDArray[np.int64], dst: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Hash pairs; the hash of a pair does not depend on its batch."""
    mixed = src.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) ^ dst.astype(np.uint64)
    mixed = (mixed ^ (mixed >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
    return mixed ^ (mixed >> np.uint64(32))
