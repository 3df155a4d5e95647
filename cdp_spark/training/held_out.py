"""Choose a mediator's threshold by the clusters of held-out identities, and measure its quality on them.

The whole labelled set is clustered, for realistic density and look-alikes; the threshold is fitted only on items of
identities that training has not seen.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from cdp_spark.base import schemas
from cdp_spark.base.errors import InputError
from cdp_spark.clusters.cut_and_number import limits_of
from cdp_spark.clusters.forest.grow import grown_forest
from cdp_spark.clusters.kernels.spanning_forest import Edges
from cdp_spark.config.sections import ForestConfig, fingerprint
from cdp_spark.config.whole import TrainConfig
from cdp_spark.evaluation.thresholds import smallest_scores
from cdp_spark.networks.kernels.mlp import Ensemble, Mlp
from cdp_spark.runs import register
from cdp_spark.runs.stage_store import StageResult, StageStore
from cdp_spark.scoring import score_pairs as stage
from cdp_spark.scoring.kernels.world_model import profile
from cdp_spark.spark.arrow import matrix_of
from cdp_spark.training.kernels.threshold_curve import CurvePoint, threshold_curve

THRESHOLDS = np.round(
    np.concatenate([np.arange(0.05, 0.9, 0.025), np.arange(0.9, 0.99, 0.01), [0.99, 0.995, 0.998, 0.999]]), 3
).tolist()
Longs = NDArray[np.int64]
_SAMPLED = 50_000
_BINS = 10


def validated(
    store: StageStore,
    mlp: Mlp,
    tables: tuple[StageResult, StageResult, StageResult],
    item_count: int,
    config: TrainConfig,
) -> dict[str, Any]:
    """Return the threshold, quality and domain for the card.

    Parameters
    ----------
    store : StageStore
    mlp : Mlp
        Calibrated network.
    tables : features of all pairs, those with labels, and the subset of each item
    item_count : int
    config : TrainConfig
    """
    features, pairs, split = tables
    key = fingerprint("validated", features.fingerprint, mlp.digest)
    scored = store.stage(
        register.TRAINING_SCORES,
        key,
        lambda: stage.scored(features.table, Ensemble((mlp,))),
        schema=schemas.SCORED_PAIRS,
    )
    known = split.table.toArrow()
    label, chosen = labels_of(known, item_count), np.zeros(item_count, bool)
    chosen[known.column("item").to_numpy()] = known.column("part").to_numpy() == stage.VALIDATION
    best, curve = best_threshold(store, scored, label, chosen, config)
    named = pairs.table.select("src", "dst", "same").join(scored.table, ["src", "dst"], "inner")
    ours = split.table.where(F.col("part") == stage.VALIDATION).select("item")
    touching = named.join(ours.withColumnRenamed("item", "src"), "src", "left_semi")
    return {
        "threshold": best.threshold,
        "threshold_curve": curve,
        "held_out": {
            "pairwise_f": best.pairwise_f,
            "bcubed_f": best.bcubed_f,
            **_pair_figures(named, touching, best.threshold),
            "note": "items of identities that training has not seen, clustered among all labelled items",
        },
        "domain": profile(sampled_features(features, "src", "dst")),
    }


def labels_of(known: pa.Table, item_count: int) -> Longs:
    """Number the identities (columns item, identity) from 0, for every item; -1 if an item has none."""
    label = np.full(item_count, -1, np.int64)
    label[known.column("item").to_numpy()] = np.unique(known.column("identity").to_numpy(), return_inverse=True)[1]
    return label


def best_threshold(
    store: StageStore, scored: StageResult, label: Longs, chosen: NDArray[np.bool_], config: TrainConfig
) -> tuple[CurvePoint, list[dict[str, Any]]]:
    """Cluster labelled items at all ``THRESHOLDS`` by the code's rule.

    Parameters
    ----------
    store : StageStore
    scored : StageResult (``schemas.SCORED_PAIRS``)
    label : ndarray of int64, shape (items,)
        Identity of every item; negative if unknown.
    chosen : ndarray of bool, shape (items,)
        Items on which the threshold is fitted.
    config : TrainConfig

    Returns
    -------
    CurvePoint
        The threshold with the best pairwise F; the lowest among equals.
    list of dict
        All points, for the card.

    Raises
    ------
    InputError
        If no pair's score is above the smallest threshold.
    """
    tree = _forest(store, scored, len(label))
    curve = threshold_curve(
        tree, _starts(scored.table), label, chosen,
        limits=limits_of(config.clusters),
    )  # fmt: skip
    if not curve:
        raise InputError(
            f"labels: no pair of neighbours is one identity with a probability above {THRESHOLDS[0]}: the models do "
            "not tell these identities apart, or the labels are of other items"
        )
    best = max(curve, key=lambda each: (each.pairwise_f, -each.threshold))
    return best, [asdict(each) for each in curve]


def _forest(store: StageStore, scored: StageResult, item_count: int) -> Edges:
    """Bring the forest of the labelled set to the driver. It has fewer edges than items."""

    def materialise(name: str, table: DataFrame) -> tuple[DataFrame, int]:
        written = store.stage(name, fingerprint("validated", scored.fingerprint), lambda: table, schema=schemas.FOREST)
        return written.table, written.rows

    most = max(ForestConfig().task_edges, item_count)
    grown = grown_forest(
        scored.table, item_count=item_count, pair_count=scored.rows, task_edges=most, materialise=materialise
    )
    table: pa.Table = grown.table.toArrow()
    src, dst, score = (table.column(name).to_numpy() for name in ("src", "dst", "score"))
    return Edges(src, dst, score)


def _starts(scored: DataFrame) -> dict[float, float]:
    """Return the smallest score above each threshold, over all pairs, in one pass."""
    row = smallest_scores(scored, THRESHOLDS).collect()[0]
    return {t: row[f"t{i}"] for i, t in enumerate(THRESHOLDS) if row[f"t{i}"] is not None}


def _pair_figures(named: DataFrame, touching: DataFrame, threshold: float) -> dict[str, Any]:
    """Evaluate pairs with a held-out item, and the share of true pairs among all."""
    score, same = F.col("score").cast("double"), F.col("same").cast("double")
    kept = F.when(score > threshold, 1.0).otherwise(0.0)
    sums = touching.agg(
        F.sum(kept * same).alias("both"), F.sum(kept).alias("kept"), F.sum(same).alias("same")
    ).collect()[0]
    return {
        "pair_precision": sums["both"] / sums["kept"] if sums["kept"] else None,
        "pair_recall": sums["both"] / sums["same"] if sums["same"] else None,
        "positive_share": named.agg(F.avg(same)).collect()[0][0],
        **reliability(touching, score, same),
    }


def reliability(pairs: DataFrame, score: Column, same: Column) -> dict[str, Any]:
    """Compare the probabilities of pairs with the true share, bin by bin; return error and bins."""
    score_bin = F.least(F.floor(score * _BINS), F.lit(_BINS - 1)).cast("int")
    bins = pairs.groupBy(score_bin.alias("bin")).agg(
        F.count("*").alias("pairs"), F.avg(score).alias("said"), F.avg(same).alias("true")
    )
    rows = [row.asDict() for row in bins.orderBy("bin").collect()]
    off = sum(row["pairs"] * abs(row["said"] - row["true"]) for row in rows)
    return {"calibration_error": off / max(1, sum(row["pairs"] for row in rows)), "reliability": rows}


def sampled_features(pairs: StageResult, *key: str) -> NDArray[np.float32]:
    """Bring the features of a hash sample of stored pairs to the driver; ``key`` identifies pairs."""
    every = max(1, pairs.rows // _SAMPLED)
    rows = pairs.table.where(F.pmod(F.xxhash64(*key), F.lit(every)) == 0).select("features").toArrow()
    return matrix_of(rows.column("features").combine_chunks())
