"""Check whether a mediator fits the data that it scores."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import LongType, StructField, StructType

from cdp_spark.base import schemas
from cdp_spark.config.sections import fingerprint
from cdp_spark.knn.flow import Graph
from cdp_spark.knn.kernels.neighbor_lists import flat
from cdp_spark.pairs.kernels.neighborhoods import Neighborhoods
from cdp_spark.runs import register
from cdp_spark.runs.stage_store import StageResult, StageStore
from cdp_spark.scoring.kernels import world_model as kernel
from cdp_spark.scoring.kernels.world_model import SHIFTED, estimated_share, odds, population_stability, reweighted
from cdp_spark.scoring.mediator_folder import Mediator
from cdp_spark.spark.arrow import as_lists, map_batches, matrix_of
from cdp_spark.spark.hashed_sample import hashed_sample

_INSTEAD = "train on data like these, or set consensus.mediator shipped, which needs no labels"
_UNEXPLAINED = 0.2
"""Largest share of unexplained items without a warning; on the worlds themselves it is at most .01."""


def fit_of(
    store: StageStore, pairs: StageResult, mediator: Mediator, prior: Mapping[str, float], threshold: float
) -> tuple[dict[str, Any], list[str]]:
    """Compare the run's pairs with those of the training; return the figures, and a warning for each misfit."""
    key = fingerprint(register.MEDIATOR_FIT.version, pairs.fingerprint, mediator.fingerprint, threshold)
    factor = odds(prior["positive_share"]) / odds(prior["trained_positive_share"])
    figures = store.facts(register.MEDIATOR_FIT, key, lambda: _figures(pairs, mediator, threshold, factor))
    warnings = _feature_warnings if mediator.worlds is None else _worlds_warnings
    return figures, warnings(figures["stability"])


def _feature_warnings(stability: Mapping[str, float]) -> list[str]:
    return [
        f"mediator: feature {name} is distributed otherwise than in training (population stability {shift:.2f}, "
        f"more than {SHIFTED}): its scores may mislead; {_INSTEAD}"
        for name, shift in stability.items()
        if shift > SHIFTED
    ]


def _worlds_warnings(stability: Mapping[str, float]) -> list[str]:
    """Warn if most features are shifted. Other shares of the worlds shift some; data of another kind shift most.

    The median shift was .02 to .16 on data of the same kind (glyphs, faces, Omniglot and its long tail), and .33 to
    1.29 on data of another kind.
    """
    if not stability or (middle := median(stability.values())) <= SHIFTED:
        return []
    return [
        "mediator: most features are distributed otherwise than in the worlds that it learned from (median "
        f"population stability {middle:.2f}, more than {SHIFTED}): its clusters may mislead; {_INSTEAD}"
    ]


def _figures(pairs: StageResult, mediator: Mediator, threshold: float, factor: float) -> dict[str, Any]:
    rows = pairs.table.where("features is not null").select("features").toArrow().column("features")
    names = mediator.known.features
    flat = rows.combine_chunks().flatten().to_numpy() if len(rows) else np.empty(0, np.float32)
    sample = flat.reshape(-1, len(names))
    stability = {
        name: population_stability(known.model_dump(), sample[:, position])
        for position, (name, known) in enumerate(zip(names, mediator.known.domain, strict=True))
        if len(sample)
    }
    score = F.col("score").cast("double")
    probability = factor * score / (factor * score + 1 - score)  # scoring.kernels.world_model.reweighted
    kept = F.when(score > threshold, probability)
    row = pairs.table.agg(
        F.sum(probability).alias("true"),
        F.sum(kept).alias("found"),
        F.avg(kept).alias("precision"),
    ).collect()[0]
    return {
        "stability": stability,
        "sampled_pairs": len(sample),
        "pair_precision_estimate": row["precision"],
        "pair_recall_estimate": (row["found"] or 0.0) / row["true"] if row["true"] else None,
    }


class Fitted(NamedTuple):
    """A mediator whose networks are weighted for the shares of the worlds in the items.

    Attributes
    ----------
    mediator : Mediator
    facts : dict
        Shares of the worlds, and the share of items that no world explains.
    warnings : list of str
        One, if that share is large.
    """

    mediator: Mediator
    facts: dict[str, Any]
    warnings: list[str]


def fitted(store: StageStore, graphs: Mapping[str, Graph], mediator: Mediator, k: int) -> Fitted:
    """Fit a mediator of simulated worlds to the items at hand; return other mediators as they are."""
    if (known := mediator.worlds) is None:
        return Fitted(mediator, {}, [])

    def world_shares() -> dict[str, Any]:
        sample = sampled_densities(graphs, k)
        shares = [round(float(share), 4) for share in known.shares(sample)]
        return {"shares": shares, "unexplained": round(known.unexplained(sample), 4), "sampled_items": len(sample)}

    names = [graph.fingerprint for graph in graphs.values()]
    figures = store.facts(
        register.WORLD_SHARES, fingerprint(register.MEDIATOR_FIT.version, names, known.classifier.digest), world_shares
    )
    fits = mediator.fitted(figures["shares"])
    warning = (
        f"mediator: the neighbourhoods of {figures['unexplained']:.0%} of the items resemble none of the worlds "
        f"that it learned from: its clusters may mislead; {_INSTEAD}"
    )
    return Fitted(fits, {"worlds": figures}, [warning] if figures["unexplained"] > _UNEXPLAINED else [])


_SCORE_BINS = 2_000


_POSITIVE_SHIFT = 0.2


def prior_of(store: StageStore, pairs: StageResult, mediator: Mediator) -> dict[str, float]:
    """Estimate the share of true pairs in these data, and adjust the threshold that training chose.

    A mediator of worlds has learned from several shares, so its threshold stays.
    """
    trained = mediator.known.held_out.positive_share
    chosen = mediator.known.threshold

    def estimated() -> float:
        # Whole counts: sums of floats would depend on the partitions.
        score_bin = F.least(F.floor(F.col("score").cast("double") * _SCORE_BINS), F.lit(_SCORE_BINS - 1)).cast("int")
        counts = np.zeros(_SCORE_BINS, np.int64)
        for row in pairs.table.groupBy(score_bin.alias("bin")).count().collect():
            counts[row["bin"]] = row["count"]
        return estimated_share(counts, trained)

    key = fingerprint(register.PRIOR.version, pairs.fingerprint, mediator.fingerprint, trained)
    share = store.facts(register.PRIOR, key, lambda: {"positive_share": estimated()})["positive_share"]
    stays = mediator.worlds is not None
    moved = chosen if stays else float(reweighted(np.array([chosen]), share, trained)[0])
    return {
        "positive_share": round(share, 4), "fitting_threshold": round(moved, 4),
        "trained_positive_share": trained, "trained_threshold": chosen,
    }  # fmt: skip


def prior_warnings(prior: Mapping[str, float], threshold: float) -> list[str]:
    """Warn if the share of true pairs differs much from that in training."""
    here, there = prior["positive_share"], prior["trained_positive_share"]
    if prior["fitting_threshold"] == prior["trained_threshold"]:
        return []
    if abs(here - there) <= _POSITIVE_SHIFT:
        return []
    fitting = prior["fitting_threshold"]
    advice = (
        f"the threshold was moved from {prior['trained_threshold']:g} to {fitting:g}"
        if threshold == fitting
        else f"a threshold of {fitting:g} would fit"
    )
    return [f"mediator: about {here:.0%} of the candidate pairs are true, against {there:.0%} in training: {advice}"]


DENSITIES = StructType([StructField("item", LongType()), schemas.WORLD_PAIRS["features"]])


def densities(graphs: Sequence[DataFrame], k: int) -> DataFrame:
    """Describe the similarities of items' neighbours in every model.

    Parameters
    ----------
    graphs : sequence of DataFrame (``schemas.KNN``)
        Base first; items that the base lacks are left out.
    k : int

    Returns
    -------
    DataFrame (``DENSITIES``)
        Lazy.
    """
    joined = graphs[0].select("item", F.col("similarities").alias("model_0"))
    for number, graph in enumerate(graphs[1:], 1):
        joined = joined.join(graph.select("item", F.col("similarities").alias(f"model_{number}")), "item", "inner")

    def describe(batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        none = np.empty(0, np.int64)
        for batch in batches:
            lists = [flat(column) for column in batch.columns[1:]]
            features = kernel.density_features(
                [Neighborhoods(offsets, none, values.to_numpy()) for offsets, values in lists], k
            )
            yield pa.RecordBatch.from_arrays([batch.column("item"), as_lists(features)], names=DENSITIES.names)

    return map_batches(joined, describe, DENSITIES)


SAMPLED_ITEMS = 20_000
"""Sampled items of a world, or of the data to cluster, whose neighbourhoods distinguish the worlds."""


def sampled_densities(graphs: Mapping[str, Graph], k: int, among: StageResult | None = None) -> NDArray[np.float32]:
    """Describe the neighbourhoods of a hash sample of about ``SAMPLED_ITEMS`` items: shape (n, 9 per model).

    Parameters
    ----------
    graphs : mapping of model to Graph
        Base first.
    k : int
    among : StageResult (item: long, ...), optional
        Take the sample from these items only.
    """
    first, *others = graphs.values()
    wanted, rows = first.table, first.vectors.rows
    if among is not None:
        wanted, rows = wanted.join(among.table, "item", "left_semi"), among.rows
    sample = hashed_sample(wanted, "item", salt="densities", below=min(1.0, SAMPLED_ITEMS / max(1, rows)))
    described = densities([sample, *(graph.table for graph in others)], k).toArrow().combine_chunks().sort_by("item")
    if not len(described):
        return np.empty((0, 9 * len(graphs)), np.float32)
    return matrix_of(described.column("features").combine_chunks())
