"""Evaluate many thresholds of a finished run without new scores, and choose one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from cdp_spark.base import schemas
from cdp_spark.base.errors import ConfigError
from cdp_spark.base.plain_numbers import real_number
from cdp_spark.clusters.cut_and_number import limits_of
from cdp_spark.clusters.flow import consensus_clusters
from cdp_spark.commands.cluster import Run, cluster
from cdp_spark.commands.committee_halves import alike_by_halves
from cdp_spark.commands.swept import check_inputs, row_of, starts_key, starts_of, stored
from cdp_spark.config.input_sections import LabelsConfig
from cdp_spark.config.loading import load_config_of
from cdp_spark.config.sections import ClustersConfig, fingerprint
from cdp_spark.config.shorthand import MOST_THRESHOLDS
from cdp_spark.evaluation import thresholds as stage
from cdp_spark.runs import register
from cdp_spark.runs.finished_run import SWEEP_FILE, FinishedRun
from cdp_spark.runs.lease import Lease
from cdp_spark.runs.stage_store import StageStore
from cdp_spark.scoring.flow import Decision, Scored
from cdp_spark.sources.labels import Labels, open_labels
from cdp_spark.spark.progress import Progress
from cdp_spark.unlabelled.flow import without_labels


@dataclass(frozen=True)
class Sweep:
    """Results of a sweep.

    Attributes
    ----------
    rows : list of dict
        One per threshold, ascending: the columns of ``evaluation.thresholds.SWEEP``. Without labels, a vote with two
        members or more also has ``alike``: items in clusters that two halves of the committee have in common.
    best : float or None
        Recommended threshold; None when no threshold gives a cluster.
    why : str
        Metric or, without labels, heuristic that chose it.
    current : float
        The run's own threshold.
    """

    rows: list[dict[str, Any]]
    best: float | None
    why: str
    current: float


def sweep(
    run: str,
    thresholds: Sequence[float],
    *,
    spark: SparkSession,
    labels: LabelsConfig | str | None = None,
    metric: str = "pairwise_f",
    clusters: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Sweep:
    """Evaluate the clusters of many thresholds.

    Parameters
    ----------
    run : str
        Output folder of a finished run.
    thresholds : sequence of float
        A pair is kept when its score is greater.
    spark : SparkSession
    labels : LabelsConfig, or a path, optional
        Default: the labels that the run's config names.
    metric : str
        Metric that chooses the best threshold if there are labels: one of ``evaluation.thresholds.METRICS``.
    clusters : mapping, optional
        Other values of ``max_cluster_size``, ``threshold_step``, ``max_iter`` or ``rule``.
    progress : Progress, optional

    Returns
    -------
    Sweep

    Raises
    ------
    ConfigError, InputError
        If the run, the thresholds, the metric or the labels cannot be used.
    """
    wanted = _checked(thresholds, metric)
    finished = FinishedRun.of(spark, run)
    limits = _limits(finished.config.clusters, clusters or {})
    if not limits.has_threshold:
        raise ConfigError(f"sweep: rule {limits.rule} has no threshold; {_instead(finished)}")
    given = finished.config.input.labels if labels is None else load_config_of(LabelsConfig, labels)
    store = StageStore(spark, run, progress or Progress())
    with Lease(run) as lease:
        store.guard = lease.check
        known = open_labels(spark, given, store.facts) if given else None
        items = finished.keyed(register.ITEMS)
        for warning in known.left_out(items, store.facts, "are not evaluated") if known else []:
            store.progress.say(warning, "warning")
        rows = _rows(store, finished, wanted, limits, known)
        if known is None and (alike := alike_by_halves(store, finished, wanted, limits)) is not None:
            rows = [row | {"alike": alike[row["threshold"]]} for row in rows]
        best, why = best_threshold(rows, metric if given else None)
        swept = Sweep(rows, best, why, float(finished.record.threshold))
        of_these = {"pairs": finished.stage(register.VOTED_PAIRS).fingerprint}
        store.write(SWEEP_FILE, json.dumps(asdict(swept) | of_these))
    return swept


def _instead(run: FinishedRun) -> str:
    if run.config.consensus.without_labels:
        return "sweep --granularity -2:2:0.5 shows coarser and finer clusters"
    return "add --set rule=code to see the clusters of thresholds"


def _checked(thresholds: Sequence[float], metric: str) -> list[float]:
    wanted = sorted({round(float(threshold), 12) for threshold in thresholds})
    if not wanted or len(wanted) > MOST_THRESHOLDS or not all(-1 <= threshold <= 1 for threshold in wanted):
        bounds = f", from {wanted[0]:g} to {wanted[-1]:g}" if wanted else ""
        raise ConfigError(f"sweep: needs 1 to {MOST_THRESHOLDS:,} thresholds from -1 to 1, got {len(wanted):,}{bounds}")
    if metric not in stage.METRICS:
        raise ConfigError(f"sweep: there is no metric {metric}; choose one of {', '.join(stage.METRICS)}")
    return wanted


def _limits(ours: ClustersConfig, other: Mapping[str, Any]) -> ClustersConfig:
    return ClustersConfig.model_validate(ours.model_dump() | dict(other))


def _rows(
    store: StageStore, run: FinishedRun, thresholds: list[float], limits: ClustersConfig, labels: Labels | None
) -> list[dict[str, Any]]:
    whole = run.record.forest_complete and run.stage(register.FOREST).rows <= run.config.forest.task_edges
    whole = whole and run.repeated_items is None  # those are in no tree of merges
    if limits.rule == "code" and whole:
        return _in_one_pass(store, run, thresholds, limits, labels)
    return [_by_stages(store, run, threshold, limits, labels) for threshold in thresholds]


def _in_one_pass(
    store: StageStore, run: FinishedRun, thresholds: list[float], limits: ClustersConfig, labels: Labels | None
) -> list[dict[str, Any]]:
    pairs = run.keyed(register.VOTED_PAIRS)
    named = _labels_of_items(run.table(register.ITEMS), labels.table) if labels else None
    wanted = stage.SweepInput(
        starts_of(store, pairs, thresholds),
        limits_of(limits),
        run.item_count,
    )
    read = labels.fingerprint if labels else None
    of_pairs = starts_key(pairs.fingerprint, thresholds)
    key = fingerprint(of_pairs, run.stage(register.FOREST).fingerprint, limits, read)
    forest = run.table(register.FOREST, schemas.FOREST)
    swept = store.stage(register.SWEEP, key, lambda: stage.sweep(forest, named, wanted), schema=stage.SWEEP)
    return [row.asDict() for row in swept.table.orderBy("threshold").collect()]


def _labels_of_items(items: DataFrame, labels: DataFrame) -> DataFrame:
    """Return (item, label) with each label hashed to a number."""
    number = F.xxhash64(F.col("label").cast("string")).alias("label")
    return items.join(labels, "id", "inner").select("item", number)


def _by_stages(
    store: StageStore, run: FinishedRun, threshold: float, limits: ClustersConfig, labels: Labels | None
) -> dict[str, Any]:
    """Cluster as a run at this threshold would.

    For the paper's rule, which needs all pairs, and for graphs that no single task can hold.
    """
    config = run.config.model_copy(update={"clusters": limits.model_copy(update={"on_giant": "warn"})})
    items, pairs = stored(store, run, run.stage(register.ITEMS)), stored(store, run, run.stage(register.VOTED_PAIRS))
    decision = Decision(threshold)
    if run.repeated_items is not None:
        decision = without_labels(
            threshold, stored(store, run, run.stage(register.REPEATED_ITEMS)), config.consensus.mediator
        )
    consensus = consensus_clusters(store, items, Scored(pairs, decision), config)
    return {"threshold": threshold, **row_of(consensus, labels)}


def best_threshold(rows: list[dict[str, Any]], metric: str | None) -> tuple[float | None, str]:
    """Choose one of a sweep's thresholds, and explain the choice.

    Without labels, a committee of two or more chooses the threshold with the most items in clusters that two halves of
    it have in common. Otherwise a heuristic takes the threshold with the most clusters of two items or more. At higher
    thresholds clusters fall apart into single items; at lower ones they run together. ``benchmarks/threshold.py``
    measures the cost.

    Parameters
    ----------
    rows : list of dict
        As in :class:`Sweep`.
    metric : str, optional
        The threshold with the greatest value is chosen. None without labels.

    Examples
    --------
    >>> rows = [{"threshold": t, "clusters": c, "singletons": s} for t, c, s in ((0.2, 9, 8), (0.4, 6, 2), (0.6, 4, 0))]
    >>> best_threshold(rows, None)[0]
    0.6
    """
    if metric is not None:
        measured = [row for row in rows if row[metric] is not None]
        if not measured:
            return None, f"no threshold has a {metric}"
        best = max(measured, key=lambda row: (row[metric], -row["threshold"]))
        return best["threshold"], f"best {metric} against the labels"
    if max(row.get("alike", 0) for row in rows):
        best = max(rows, key=lambda row: (row["alike"], row["threshold"]))
        return best["threshold"], "no labels: the most items in clusters that two halves of the committee give alike"
    best = max(rows, key=lambda row: (row["clusters"] - row["singletons"], row["threshold"]))
    if best["clusters"] == best["singletons"]:
        return None, "no labels, and no threshold gives a cluster"
    return best["threshold"], "a heuristic without labels: the most clusters of two items or more"


def chosen_threshold(swept: Sweep, wanted: str) -> float:
    """Turn the user's choice, a number or ``best``, into a threshold.

    Raises
    ------
    ConfigError
        If it is neither, or the sweep has no best threshold.
    """
    return chosen_value(swept, wanted, "threshold")


def chosen_value(swept: Sweep, wanted: str, what: str) -> float:
    """Turn the user's choice into one of the swept values; see :func:`chosen_threshold`."""
    if wanted == "best":
        if swept.best is None:
            raise ConfigError(f"sweep: there is no best {what} ({swept.why}): give a number")
        return swept.best
    try:
        return real_number(wanted)
    except ValueError:
        raise ConfigError(f"sweep: --apply takes a {what} or 'best', not {wanted}") from None


def apply_threshold(
    run: str,
    threshold: float,
    *,
    spark: SparkSession,
    clusters: Mapping[str, Any] | None = None,
    tables: Mapping[str, DataFrame] | None = None,
) -> Run:
    """Cluster the run again at another threshold, reusing all other stages.

    Parameters
    ----------
    run : str
        Output folder of the swept run.
    threshold : float
    spark : SparkSession
    clusters : mapping, optional
        As for :func:`sweep`.
    tables : mapping of model to DataFrame, optional
        The DataFrames that the run was made from, if any: their names alone do not bring them back.

    Raises
    ------
    ConfigError
        If an input of the run is gone.
    """
    config = FinishedRun.of(spark, run).config
    check_inputs(spark, config.input.sources, tables or {}, f"threshold={threshold:g}")
    changed = {
        "consensus": config.consensus.model_copy(update={"threshold": threshold}),
        "clusters": _limits(config.clusters, clusters or {}),
    }
    return cluster(config.model_copy(update=changed), spark=spark, tables=tables)
