"""A finished run -> what many thresholds would give, without another search or scoring; and which one to take."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from cdp_spark.base import schemas
from cdp_spark.base.errors import CdpError, ConfigError
from cdp_spark.base.plain_numbers import real_number
from cdp_spark.clusters.flow import consensus_clusters
from cdp_spark.clusters.kernels.pruning import Limits
from cdp_spark.commands.cluster import Run, cluster
from cdp_spark.config.sections import ClustersConfig, LabelsConfig, SourceConfig, fingerprint
from cdp_spark.config.shorthand import MOST_THRESHOLDS
from cdp_spark.evaluation import thresholds as stage
from cdp_spark.evaluation.flow import evaluated
from cdp_spark.runs import register
from cdp_spark.runs.finished_run import SWEEP_FILE, FinishedRun
from cdp_spark.runs.lease import Lease
from cdp_spark.runs.stage_store import StageResult, StageStore
from cdp_spark.scoring.flow import Decision, Scored
from cdp_spark.sources.labels import Labels, open_labels
from cdp_spark.spark.progress import Progress


@dataclass(frozen=True)
class Sweep:
    """What a sweep found.

    Attributes
    ----------
    rows : list of dict
        One per threshold, rising: the columns of ``stages.sweep.SWEEP``.
    best : float or None
        The threshold to take; None when no threshold gives a cluster.
    why : str
        By which metric or, without labels, heuristic.
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
    """Judge the clusters of many thresholds.

    Parameters
    ----------
    run : str
        Output folder of a finished run.
    thresholds : sequence of float
        A pair is kept when its score is greater.
    spark : SparkSession
    labels : LabelsConfig, or a path, optional
        Default: those that the run's config names.
    metric : str
        By which the best threshold is chosen where there are labels: one of ``stages.sweep.METRICS``.
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
        raise ConfigError(
            f"sweep: rule {limits.rule} has no threshold; --set rule=code tells what thresholds would give"
        )
    given = finished.config.input.labels if labels is None else LabelsConfig.model_validate(labels)
    store = StageStore(spark, run, progress or Progress())
    with Lease(run) as lease:
        store.guard = lease.check
        known = open_labels(spark, given, store.facts) if given else None
        for warning in _left_out(store, finished, known):
            store.progress.say(warning, "warning")
        rows = _rows(store, finished, wanted, limits, known)
        best, why = best_threshold(rows, metric if given else None)
        found = Sweep(rows, best, why, float(finished.record.threshold))
        of_these = {"pairs": finished.stage(register.VOTED_PAIRS).fingerprint}
        store.folder.write(SWEEP_FILE, json.dumps(asdict(found) | of_these))
    return found


def _checked(thresholds: Sequence[float], metric: str) -> list[float]:
    wanted = sorted({round(float(threshold), 12) for threshold in thresholds})
    if not wanted or len(wanted) > MOST_THRESHOLDS or not all(-1 <= threshold <= 1 for threshold in wanted):
        raise ConfigError(f"sweep: give 1 to {MOST_THRESHOLDS:,} thresholds from -1 to 1; there are {len(wanted):,}")
    if metric not in stage.METRICS:
        raise ConfigError(f"sweep: no metric {metric}; there are {', '.join(stage.METRICS)}")
    return wanted


def _limits(ours: ClustersConfig, other: Mapping[str, Any]) -> ClustersConfig:
    return ClustersConfig.model_validate(ours.model_dump() | dict(other))


def _left_out(store: StageStore, run: FinishedRun, labels: Labels | None) -> list[str]:
    """Say which labels do not count; refuse those of which none does."""
    if labels is None:
        return []
    matched = labels.matched(run.table(register.ITEMS), store.facts, run.stage(register.ITEMS).fingerprint)
    return [*labels.warnings, *labels.missed(matched, "are not judged")]


def _rows(
    store: StageStore, run: FinishedRun, thresholds: list[float], limits: ClustersConfig, labels: Labels | None
) -> list[dict[str, Any]]:
    whole = run.record.forest_complete and run.stage(register.FOREST).rows <= run.config.forest.task_edges
    if limits.rule == "code" and whole:
        return _in_one_pass(store, run, thresholds, limits, labels)
    return [_by_stages(store, run, threshold, limits, labels) for threshold in thresholds]


def _in_one_pass(
    store: StageStore, run: FinishedRun, thresholds: list[float], limits: ClustersConfig, labels: Labels | None
) -> list[dict[str, Any]]:
    pairs = run.table(register.VOTED_PAIRS, schemas.SCORED_PAIRS)
    named = _labels_of_items(run.table(register.ITEMS), labels.table) if labels else None
    starts_key = fingerprint(register.SWEEP.version, run.stage(register.VOTED_PAIRS).fingerprint, thresholds)
    starts = store.facts(register.STARTS, starts_key, lambda: _starts(pairs, thresholds))
    asked = stage.Asked(
        {threshold: starts[str(threshold)] for threshold in thresholds},
        Limits(limits.max_cluster_size, limits.threshold_step, limits.max_iter),
        run.item_count,
    )
    read = labels.fingerprint if labels else None
    key = fingerprint(starts_key, run.stage(register.FOREST).fingerprint, limits, read)
    forest = run.table(register.FOREST, schemas.FOREST)
    found = store.stage(register.SWEEP, key, lambda: stage.sweep(forest, named, asked), schema=stage.SWEEP)
    return [row.asDict() for row in found.table.orderBy("threshold").collect()]


def _starts(pairs: DataFrame, thresholds: list[float]) -> dict[str, float | None]:
    row = stage.smallest_scores(pairs, thresholds).collect()[0]
    return {str(threshold): row[place] for place, threshold in enumerate(thresholds)}


def _labels_of_items(items: DataFrame, labels: DataFrame) -> DataFrame:
    """Return (item, label) with each label as a number."""
    number = F.xxhash64(F.col("label").cast("string")).alias("label")
    return items.join(labels, "id", "inner").select("item", number)


def _by_stages(
    store: StageStore, run: FinishedRun, threshold: float, limits: ClustersConfig, labels: Labels | None
) -> dict[str, Any]:
    """Cluster as a run at this threshold would: the paper's rule needs all pairs, a large graph many tasks."""
    config = run.config.model_copy(update={"clusters": limits.model_copy(update={"on_giant": "warn"})})
    items, pairs = _stored(store, run, "items"), _stored(store, run, "scored_pairs")
    found = consensus_clusters(store, items, Scored(pairs, Decision(threshold)), config)
    clusters = found.clusters.table
    row = clusters.agg(
        F.countDistinct(F.when(F.col("cluster") >= 0, F.col("cluster"))).alias("clusters"),
        *(F.count(F.when(F.col("status") == status, 1)).alias(name) for name, status in _STATUSES.items()),
        F.max("size").alias("largest"),
        F.avg(F.col("status").isin("clustered", "forced").cast("double")).alias("clustered_share"),
    ).collect()[0]
    judged: dict[str, Any] = dict.fromkeys(stage.METRICS)
    if labels is not None:
        kept = evaluated(clusters, labels)[0]["kept"]
        judged = {name: kept[name] for name in stage.METRICS}
    components = {"largest_component": found.facts["largest_component"], "second_component": None}
    return {"threshold": threshold, **row.asDict(), **components, **judged}


_STATUSES = {"singletons": "singleton", "discarded": "discarded", "forced": "forced"}


def _stored(store: StageStore, run: FinishedRun, name: str) -> StageResult:
    known = run.stage(name)

    def missing() -> DataFrame:
        raise CdpError(f"{run.folder.location} no longer has its stage {name}: run cdp-spark cluster again")

    return store.stage(name, known.fingerprint, missing, schema=run.table(name).schema)


def best_threshold(rows: list[dict[str, Any]], metric: str | None) -> tuple[float | None, str]:
    """Choose one of a sweep's thresholds, and say why.

    Without labels it is the one with the most clusters of two items or more: above it clusters fall apart into single
    items, below it they run together. A heuristic; ``benchmarks/threshold.py`` measures what it costs.

    Parameters
    ----------
    rows : list of dict
        As in :class:`Sweep`.
    metric : str, optional
        The greatest decides; None: there are no labels.

    Examples
    --------
    >>> rows = [{"threshold": t, "clusters": c, "singletons": s} for t, c, s in ((0.2, 9, 8), (0.4, 6, 2), (0.6, 4, 0))]
    >>> best_threshold(rows, None)[0]
    0.6
    """
    if metric is not None:
        judged = [row for row in rows if row[metric] is not None]
        if not judged:
            return None, f"no threshold has a {metric}"
        best = max(judged, key=lambda row: (row[metric], -row["threshold"]))
        return best["threshold"], f"best {metric} against the labels"
    best = max(rows, key=lambda row: (row["clusters"] - row["singletons"], row["threshold"]))
    if best["clusters"] == best["singletons"]:
        return None, "no labels, and no threshold gives a cluster"
    return best["threshold"], "a heuristic without labels: the most clusters of two items or more"


def apply_threshold(
    run: str,
    found: Sweep,
    wanted: str,
    *,
    spark: SparkSession,
    clusters: Mapping[str, Any] | None = None,
    tables: Mapping[str, DataFrame] | None = None,
) -> Run:
    """Make the run's clusters those of another threshold: only what depends on it is made anew.

    Parameters
    ----------
    run : str
        Output folder of the swept run.
    found : Sweep
    wanted : str
        A number, or ``best``.
    spark : SparkSession
    clusters : mapping, optional
        As for :func:`sweep`.
    tables : mapping of model to DataFrame, optional
        What the run was made from, where that were DataFrames: they cannot be found again by their names.

    Raises
    ------
    ConfigError
        If the threshold cannot be had, or an input is no longer to be found.
    """
    threshold = found.best if wanted == "best" else _number(wanted)
    if threshold is None:
        raise ConfigError(f"sweep: there is no best threshold ({found.why}): name one")
    config = FinishedRun.of(spark, run).config
    _check_inputs(spark, config.input.sources, tables or {}, threshold)
    changed = {
        "consensus": config.consensus.model_copy(update={"threshold": threshold}),
        "clusters": _limits(config.clusters, clusters or {}),
    }
    return cluster(config.model_copy(update=changed), spark=spark, tables=tables)


def _check_inputs(
    spark: SparkSession, inputs: Sequence[SourceConfig], tables: Mapping[str, DataFrame], threshold: float
) -> None:
    """Say it plainly when the run was made from DataFrames: the config has only their names."""
    for source in inputs:
        if source.table is None or source.model in tables or spark.catalog.tableExists(source.table):
            continue
        raise ConfigError(
            f"sweep: model {source.model}: there is no table {source.table}; if the run was made from DataFrames, "
            f"call cdp_spark.cluster with them again and threshold={threshold:g}: only what depends on it is made anew"
        )


def _number(text: str) -> float:
    try:
        return real_number(text)
    except ValueError:
        raise ConfigError(f"sweep: {text} is neither a threshold nor 'best'") from None
