"""A finished run without labels -> figures of coarser and finer clusters, without another search or scoring."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from cdp_spark.base import schemas
from cdp_spark.base.errors import ConfigError
from cdp_spark.clusters.flow import consensus_clusters
from cdp_spark.commands.cluster import Run, cluster
from cdp_spark.commands.sweep import Sweep, chosen_value
from cdp_spark.commands.swept import check_inputs, row_of, stored
from cdp_spark.config.input_sections import LabelsConfig
from cdp_spark.config.loading import load_config_of
from cdp_spark.evaluation.thresholds import METRICS
from cdp_spark.runs import register
from cdp_spark.runs.finished_run import FinishedRun
from cdp_spark.runs.lease import Lease
from cdp_spark.runs.stage_store import StageResult, StageStore
from cdp_spark.scoring.flow import Scored
from cdp_spark.sources.labels import Labels, open_labels
from cdp_spark.spark.progress import Progress
from cdp_spark.unlabelled.flow import at_granularity, without_labels
from cdp_spark.unlabelled.unlabelled_tables import DUPLICATES

_MOST, _FARTHEST = 100, 20.0


def sweep_granularity(
    run: str,
    granularities: Sequence[float],
    *,
    spark: SparkSession,
    labels: LabelsConfig | str | None = None,
    metric: str = "pairwise_f",
    progress: Progress | None = None,
) -> Sweep:
    """Evaluate coarser and finer clusters than those at the shift where halves agree most.

    Parameters
    ----------
    run : str
        Output folder of a finished run without labels.
    granularities : sequence of float
        Added to the log odds of all pairs: 0 is the chosen shift, above 0 is coarser, below 0 finer.
    spark : SparkSession
    labels : LabelsConfig, or a path, optional
        Default: those that the run's config names.
    metric : str
        Metric that chooses the best value; without labels there is no best.
    progress : Progress, optional

    Returns
    -------
    Sweep
        Its rows have ``granularity`` instead of ``threshold``.

    Raises
    ------
    ConfigError, InputError
        If the run, the granularities, the metric or the labels cannot be used.
    """
    wanted = _checked(granularities, metric)
    finished = FinishedRun.of(spark, run)
    current = _of_run(finished)
    given = finished.config.input.labels if labels is None else load_config_of(LabelsConfig, labels)
    store = StageStore(spark, run, progress or Progress())
    with Lease(run) as lease:
        store.guard = lease.check
        known = open_labels(spark, given, store.facts) if given else None
        items = finished.keyed(register.ITEMS)
        for warning in known.left_out(items, store.facts, "are not evaluated") if known else []:
            store.progress.say(warning, "warning")
        rows = [_row(store, finished, granularity, known) for granularity in wanted]
    best, why = _best(rows, metric if given else None)
    return Sweep(rows, best, why, current)


def _checked(granularities: Sequence[float], metric: str) -> list[float]:
    wanted = sorted({round(float(each), 12) + 0.0 for each in granularities})
    if not wanted or len(wanted) > _MOST or not all(-_FARTHEST <= each <= _FARTHEST for each in wanted):
        raise ConfigError(
            f"sweep: give 1 to {_MOST} granularities from {-_FARTHEST:g} to {_FARTHEST:g}; there are {len(wanted):,}"
        )
    if metric not in METRICS:
        raise ConfigError(f"sweep: no metric {metric}; there are {', '.join(METRICS)}")
    return wanted


def _of_run(run: FinishedRun) -> float:
    if run.record.without_labels is None:
        raise ConfigError(
            f"sweep: {run.folder.location} scores pairs {run.config.why}; --granularity is for runs without labels: "
            "give --thresholds"
        )
    return run.record.without_labels.granularity


def _row(store: StageStore, run: FinishedRun, granularity: float, labels: Labels | None) -> dict[str, Any]:
    """Cluster as a run of this granularity would."""
    config = run.config
    config = config.model_copy(update={"clusters": config.clusters.model_copy(update={"on_giant": "warn"})})
    items = stored(store, run, run.stage(register.ITEMS))
    repeated = stored(store, run, run.stage(register.REPEATED_ITEMS), DUPLICATES)
    pairs = at_granularity(store, _pairs(store, run), granularity)
    decision = without_labels(float(run.record.threshold), repeated, config.consensus.mediator)
    swept = consensus_clusters(store, items, Scored(pairs, decision), config)
    return {"granularity": granularity, **row_of(swept, labels)}


def _pairs(store: StageStore, run: FinishedRun) -> StageResult:
    """Open the scored pairs as they are at the shift where halves agree most."""
    own = run.record.without_labels and run.record.without_labels.scored_pairs
    known = next(
        (each for each in run.record.stages if (each.name, each.fingerprint) == ("scored_pairs", own)),
        run.stage(register.UNLABELLED_PAIRS),
    )
    return stored(store, run, known, schemas.SCORED_PAIRS)


def _best(rows: Sequence[Mapping[str, Any]], metric: str | None) -> tuple[float | None, str]:
    """Choose the best row, nearest 0 among equals, and say why.

    >>> _best([{"granularity": -1.0, "f": 0.5}, {"granularity": 0.0, "f": 0.7}], "f")
    (0.0, 'best f against the labels')
    """
    if metric is None:
        return None, "no labels: 0 is where clusterings by two halves agree most"
    labelled = [row for row in rows if row[metric] is not None]
    if not labelled:
        return None, f"no granularity has a {metric}"
    best = max(labelled, key=lambda row: (row[metric], -abs(row["granularity"]), -row["granularity"]))
    return best["granularity"], f"best {metric} against the labels"


def apply_granularity(
    run: str,
    swept: Sweep,
    wanted: str,
    *,
    spark: SparkSession,
    tables: Mapping[str, DataFrame] | None = None,
) -> Run:
    """Cluster the run again at another granularity, reusing all other stages.

    Parameters
    ----------
    run : str
        Output folder of the swept run.
    swept : Sweep
        Result of :func:`sweep_granularity`.
    wanted : str
        A number, or ``best``.
    spark : SparkSession
    tables : mapping of model to DataFrame, optional
        The DataFrames that the run was made from, if any: their names alone do not bring them back.

    Raises
    ------
    ConfigError
        If there is no such granularity, or an input of the run is gone.
    """
    (granularity,) = _checked([chosen_value(swept, wanted, "granularity")], "pairwise_f")
    config = FinishedRun.of(spark, run).config
    check_inputs(spark, config.input.sources, tables or {}, f"granularity={granularity:g}")
    consensus = config.consensus.model_copy(update={"granularity": granularity})
    return cluster(config.model_copy(update={"consensus": consensus}), spark=spark, tables=tables)
