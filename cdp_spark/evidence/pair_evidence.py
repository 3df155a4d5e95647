"""Recompute the evidence of all models on a few pairs, as in the run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, reduce
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from cdp_spark.base import schemas
from cdp_spark.base.errors import CdpError
from cdp_spark.config.sections import accept_count
from cdp_spark.evidence.strongest_path import among
from cdp_spark.evidence.terms import Terms, terms
from cdp_spark.pairs.block_join import ordered_lists, ordered_vectors
from cdp_spark.pairs.kernels.features import FeatureSet, feature_names, pair_features
from cdp_spark.pairs.kernels.neighborhoods import Neighborhoods, PairBlock
from cdp_spark.runs import register
from cdp_spark.runs.finished_run import FinishedRun
from cdp_spark.scoring.choice import mediator_of
from cdp_spark.unlabelled.kernels.joint_view import NEAREST, SEARCHED


@dataclass(frozen=True)
class Pair:
    """One pair, and the evidence on it.

    Attributes
    ----------
    src, dst : id
    score : float or None
        None if it was never scored.
    kept : bool
        Whether its score is above the threshold.
    why : str
        Reason, in words.
    features : dict of str to float
        Relationship, affinity and structure (see ``pairs.kernels.features``).
    dst_cluster : int
        Cluster of ``dst``; -1 when it has none.
    terms : dict of str to float or None
        Without labels: the terms of the score (see ``evidence.terms``); else empty.
    """

    src: Any
    dst: Any
    score: float | None
    kept: bool
    why: str
    features: dict[str, float]
    dst_cluster: int
    terms: Terms = field(default_factory=dict)

    @property
    def similarity(self) -> float:
        """Cosine in the base."""
        return next(value for name, value in self.features.items() if name.startswith("affinity."))


class Evidence:
    """Reads the lists and vectors of a few items of a run."""

    def __init__(self, run: FinishedRun) -> None:
        self._run = run
        self._config = run.config
        self._models = self._config.input.models
        self.threshold = float(run.record.threshold)

    def neighbors_of(self, item: int) -> set[int]:
        """Return the item's neighbours in any model."""
        rows = _union(
            self._knn(model).where(F.col("item") == item).select("neighbors") for model in self._models
        ).collect()
        return {neighbor for row in rows for neighbor in row["neighbors"]}

    def pairs(self, ends: Sequence[tuple[int, int]], scores: Sequence[float | None]) -> list[Pair]:
        """Describe pairs of items in the given order."""
        if not ends:
            return []
        items = np.unique(np.array(ends, np.int64))
        ids, clusters = self._named(items)
        graphs, vectors = self._lists(items), self._vectors(items)
        first, second = (np.searchsorted(items, np.array(column)) for column in zip(*ends, strict=True))
        order = np.argsort(first, kind="stable")
        block = PairBlock(items, graphs, lambda model: vectors[model], first[order], second[order])
        features = np.empty((len(ends), len(self._names)), np.float32)
        features[order] = pair_features(block, self._feature_set, self._listed)
        lists = [_as_sets(items, graph) for graph in graphs]
        described = []
        made_of = terms(self._run, ends, scores)
        for (src, dst), score, row, pair_terms in zip(ends, scores, features.tolist(), made_of, strict=True):
            kept = score is not None and score > self.threshold
            why = "kept" if kept else self._why_not(lists, src, dst, score)
            values = dict(zip(self._names, row, strict=True))
            described.append(Pair(ids[src], ids[dst], score, kept, why, values, clusters[dst], pair_terms))
        return described

    @cached_property
    def _feature_set(self) -> FeatureSet:
        try:
            mediator = mediator_of(self._config)
        except CdpError:  # the mediator is gone: show the features that need none
            return "code"
        feature_set: FeatureSet = mediator.known.feature_set if mediator is not None else "code"
        return feature_set

    @property
    def _listed(self) -> int:
        """Neighbours in a full list."""
        return self._config.knn.k if self._run.record.without_labels is None else SEARCHED

    @property
    def _names(self) -> list[str]:
        return feature_names(self._models, self._feature_set)

    def _knn(self, model: str) -> DataFrame:
        return self._run.table(register.KNN.of(model), schemas.KNN)

    def _named(self, items: NDArray[np.int64]) -> tuple[dict[int, Any], dict[int, int]]:
        wanted = self._run.table(register.ITEMS).where(among("item", items.tolist()))
        rows = (
            self._run.table(register.CLUSTERS)
            .select("id", "cluster")
            .join(F.broadcast(wanted), "id", "inner")
            .collect()
        )
        return {row["item"]: row["id"] for row in rows}, {row["item"]: row["cluster"] for row in rows}

    def _lists(self, items: NDArray[np.int64]) -> list[Neighborhoods]:
        table = _of_models([self._knn(model) for model in self._models], items)
        return [ordered_lists(rows, np.argsort(rows.column("item").to_numpy())) for rows in table]

    def _vectors(self, items: NDArray[np.int64]) -> list[NDArray[np.float16]]:
        homes = [
            self._run.table(register.SHARDS.of(model), schemas.SHARDS).where("shard = home").select("item", "vector")
            for model in self._models
        ]
        tables = _of_models(homes, items)
        return [ordered_vectors(rows, len(rows.column("vector")[0].as_py()) // 2) for rows in tables]

    def _why_not(self, lists: Sequence[dict[int, set[int]]], src: int, dst: int, score: float | None) -> str:
        if score is None:
            return self._why_not_scored(lists, src, dst)
        return f"score {score:.3f} is not above {self.threshold:g}"

    def _why_not_scored(self, lists: Sequence[dict[int, set[int]]], src: int, dst: int) -> str:
        if self._config.consensus.without_labels:
            return f"neither has the other among the {NEAREST} nearest by all models together"
        base, *members = lists
        directions = [(a, b) for a, b in ((src, dst), (dst, src)) if b in base[a]]
        if not directions:
            return f"no edge of the base {self._models[0]}"
        votes = max(sum(b in member[a] for member in members) for a, b in directions)
        accept = accept_count(self._config.consensus, len(members))
        return f"{votes} of {len(members)} members agree, needs {accept}"


def _union(tables: Iterable[DataFrame]) -> DataFrame:
    return reduce(DataFrame.unionAll, tables)


def _of_models(tables: Sequence[DataFrame], items: NDArray[np.int64]) -> list[pa.Table]:
    """Read the rows of these items from one table per model, in one job."""
    wanted = among("item", items.tolist())
    chosen = (table.where(wanted).withColumn("model", F.lit(number)) for number, table in enumerate(tables))
    rows = _union(chosen).toArrow()
    model = rows.column("model").to_numpy()
    return [rows.filter(pa.array(model == number)).combine_chunks() for number in range(len(tables))]


def _as_sets(items: NDArray[np.int64], graph: Neighborhoods) -> dict[int, set[int]]:
    return {
        int(item): set(graph.neighbors[start:stop].tolist())
        for item, start, stop in zip(items.tolist(), graph.offsets[:-1], graph.offsets[1:], strict=True)
    }
