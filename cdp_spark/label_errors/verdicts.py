"""A finished run and given labels -> a verdict on every label; the first half of ``denoise``."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from pyspark.sql import DataFrame

from cdp_spark.base import schemas
from cdp_spark.base.errors import InputError
from cdp_spark.config.input_sections import LabelsConfig
from cdp_spark.config.sections import fingerprint
from cdp_spark.label_errors import support as stage
from cdp_spark.label_errors.kernels import doubt as kernel
from cdp_spark.runs import register
from cdp_spark.runs.finished_run import FinishedRun
from cdp_spark.runs.stage_store import StageStore
from cdp_spark.sources.columns import check_same_kind, id_kind
from cdp_spark.sources.labels import Labels, labels_of_rows, open_labels
from cdp_spark.unlabelled.distinct import lists_with_duplicates, pairs_with_duplicates
from cdp_spark.unlabelled.kernels.joint_view import NEAREST


@dataclass(frozen=True)
class Given:
    """A finished run, and the labels of its items.

    Attributes
    ----------
    run : FinishedRun
    items : DataFrame (id, item: long)
    known : Labels
    fingerprint : str
    """

    run: FinishedRun
    items: DataFrame
    known: Labels
    fingerprint: str

    @property
    def labels(self) -> DataFrame:
        """The labels, (id, label): one row per id, each with a label."""
        return self.known.table

    @property
    def k(self) -> int:
        """Neighbours of an item."""
        return NEAREST if self.without_labels else self.run.config.knn.k

    @property
    def without_labels(self) -> bool:
        """Whether the pairs were scored without labels, so also by the pairs around them."""
        return self.run.config.consensus.without_labels

    @property
    def pairs(self) -> DataFrame:
        """Scored pairs (``schemas.SCORED_PAIRS``) of all items, those that repeat another in all models included."""
        scored, repeated = self.run.table(register.VOTED_PAIRS, schemas.SCORED_PAIRS), self.run.repeated_items
        return scored if repeated is None else pairs_with_duplicates(scored, repeated)

    @property
    def base_lists(self) -> DataFrame:
        """The base's KNN graph (``schemas.KNN``), likewise of all items."""
        knn = self.run.table(_base_knn(self.run), schemas.KNN)
        repeated = self.run.repeated_items
        return knn if repeated is None else lists_with_duplicates(knn, repeated)


def _base_knn(run: FinishedRun) -> str:
    return register.KNN.of(run.config.input.base.model)


@dataclass(frozen=True)
class Assessed:
    """Verdicts, and the tables that they are made from.

    Attributes
    ----------
    labelled, pairs, supports, items, verdicts : DataFrame
        ``LABELLED``, ``LABELLED_PAIRS``, ``SUPPORTS``, ``ITEM_SUPPORTS`` and ``VERDICTS`` of ``support``.
    strengths : list of int
    model : DoubtModel
    """

    labelled: DataFrame
    pairs: DataFrame
    supports: DataFrame
    items: DataFrame
    verdicts: DataFrame
    strengths: list[int]
    model: kernel.DoubtModel


def given_labels(store: StageStore, run: FinishedRun, labels: LabelsConfig | DataFrame) -> Given:
    """Read the labels and check them against the run's items.

    Raises
    ------
    InputError
        If they cannot be read, columns lack, or an id has two labels.
    """
    items = run.table(register.ITEMS)
    if isinstance(labels, LabelsConfig):
        known = open_labels(store.spark, labels, store.facts)
    else:
        known = labels_of_rows(labels, store.facts)
    check_same_kind(id_kind(items), id_kind(known.table), "labels", "items")
    stages = [run.stage(name).fingerprint for name in ("items", "scored_pairs", "clusters", _base_knn(run))]
    read = known.fingerprint
    return Given(run, items, known, fingerprint("denoise", register.VERDICTS.version, stages, read))


def assessed_labels(store: StageStore, given: Given, precision: float) -> Assessed:
    """Estimate for every label whether it is wrong.

    Parameters
    ----------
    store : StageStore
    given : Given
    precision : float
        Wanted share of wrong labels among those that are called wrong.

    Raises
    ------
    InputError
        If no item has a label.
    """
    key = given.fingerprint
    labelled = store.stage(
        register.LABELLED_ITEMS,
        key,
        lambda: stage.labelled_items(given.items, given.labels),
        schema=stage.LABELLED,
    )
    if not labelled.rows:
        raise InputError("labels: no id of the labels is among the items: check the id columns")
    pairs = store.stage(
        register.LABEL_PAIRS,
        key,
        lambda: stage.labelled_pairs(given.pairs, labelled.table),
        schema=stage.LABELLED_PAIRS,
    ).table
    strengths = store.facts(register.STRENGTHS, key, lambda: {"strengths": _strengths(pairs)})["strengths"]
    weights = kernel.by_odds(np.array(strengths)).tolist() if given.without_labels else strengths
    threshold = float(given.run.record.threshold)
    supports = store.stage(
        register.SUPPORTS, key, lambda: stage.supports(pairs, weights, threshold), schema=stage.SUPPORTS
    ).table
    items = store.stage(
        register.DOUBTS, key, lambda: stage.item_supports(supports, labelled.table), schema=stage.ITEM_SUPPORTS
    ).table  # fmt: skip
    key = fingerprint(key, precision)
    known = store.facts(register.DOUBT_MODEL, key, lambda: asdict(kernel.learned(_census(items, given.k), precision)))
    model = kernel.DoubtModel(**known)
    verdicts = store.stage(
        register.VERDICTS, key, lambda: stage.verdicts(items, model, given.k), schema=stage.VERDICTS
    ).table  # fmt: skip
    return Assessed(labelled.table, pairs, supports, items, verdicts, strengths, model)


def _strengths(pairs: DataFrame) -> list[int]:
    counts = np.zeros((2, kernel.SCORE_BINS), np.int64)
    for row in stage.agreement(pairs).collect():
        counts[:, row["bin"]] = row["pairs"], row["agreeing"]
    strengths: list[int] = kernel.strengths(*counts).tolist()
    return strengths


def _census(of_items: DataFrame, k: int) -> kernel.Census:
    """Count all items in a few hundred numbers."""
    totals = stage.totals(of_items, k).collect()
    could = np.zeros(1 + max(row["opportunities"] for row in totals), np.int64)
    for row in totals:
        could[row["opportunities"]] = row["items"]
    chances = int((could * np.arange(len(could))).sum())
    own = sum(int(row["own"]) for row in totals)
    expected = own / kernel.UNIT / chances if chances else 0.0
    best: dict[int, Any] = {row["bin"]: row["items"] for row in stage.best_supports(of_items).collect()}
    supports = np.zeros(1 + max(best), np.int64)
    supports[list(best)] = list(best.values())
    doubts = np.zeros((2, kernel.DOUBT_BINS), np.int64)
    for row in stage.doubt_counts(of_items, k, expected).collect():
        doubts[row["elsewhere"], row["bin"]] = row["items"]
    return kernel.Census(expected, doubts, supports, could)
