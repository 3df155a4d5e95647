"""A finished run and given labels -> labels that are wrong, doubled or mixed, and a corrected list."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from cdp_spark.base.errors import ConfigError
from cdp_spark.config.input_sections import LabelsConfig
from cdp_spark.config.loading import load_config_of
from cdp_spark.config.sections import fingerprint
from cdp_spark.config.uses import DenoiseConfig
from cdp_spark.label_errors import issue_tables as stage
from cdp_spark.label_errors import whole_labels
from cdp_spark.label_errors.verdicts import Assessed, Given, assessed_labels, given_labels
from cdp_spark.runs import register
from cdp_spark.runs.finished_run import FinishedRun
from cdp_spark.runs.lease import Lease
from cdp_spark.runs.run_record import RunRecord, write_record
from cdp_spark.runs.stage_store import StageResult, StageStore
from cdp_spark.sources import open_table
from cdp_spark.spark.progress import Progress

OUTPUTS = ("issues", "scores", "summary", "cleaned_labels")
_TASK_ITEMS = 250_000
_FEWEST_TASKS = 8


@dataclass(frozen=True)
class Denoised:
    """Result of :func:`denoise`.

    Attributes
    ----------
    issues : DataFrame (``issue_tables.issues_schema``)
        One row per item and issue.
    scores : DataFrame (``issue_tables.scores_schema``)
        One row per labelled item: the probability that its label is wrong.
    summary : DataFrame (``issue_tables.summary_schema``)
        One row per label.
    labels : DataFrame (``issue_tables.cleaned_schema``) or None
        Cleaned labels, if asked for.
    record : dict
        Contents of the output's ``run.json``.
    """

    issues: DataFrame
    scores: DataFrame
    summary: DataFrame
    labels: DataFrame | None
    record: dict[str, Any]


def denoise(
    run: str,
    labels: LabelsConfig | DataFrame,
    *,
    output: str,
    spark: SparkSession,
    progress: Progress | None = None,
    **settings: Any,
) -> Denoised:
    """Check given labels against the scored pairs of a finished run.

    Parameters
    ----------
    run : str
        Output folder of a finished run.
    labels : LabelsConfig or DataFrame (id, label)
        At most one label per item; items without one are neither checked nor used as evidence.
    output : str
        Folder that ``issues``, ``scores``, ``summary`` and, where asked for, ``cleaned_labels`` are written to.
    spark : SparkSession
    progress : Progress, optional
    **settings
        ``precision``, ``duplicate``, ``merged``, ``near_duplicate``, ``apply``: see ``config.uses.DenoiseConfig``.

    Returns
    -------
    Denoised

    Raises
    ------
    ConfigError, InputError
        If the settings, the run or the labels cannot be used.
    GuardError
        If another run holds the output.
    """
    config = _config(run, labels, output, settings)
    open_table.check_apart(output, [run, *([config.labels.path] if config.labels else [])])
    finished = FinishedRun.of(spark, run)
    store = StageStore(spark, output, progress or Progress(), also=OUTPUTS)
    with Lease(output) as lease:
        store.guard = lease.check
        given = given_labels(store, finished, labels)
        assessed = assessed_labels(store, given, config.precision)
        flagged = _flagged(store, given, assessed, config)
        return _tables(store, given, assessed, flagged, config)


def _config(run: str, labels: LabelsConfig | DataFrame, output: str, settings: Mapping[str, Any]) -> DenoiseConfig:
    own = {"run": run, "output": output, "labels": labels if isinstance(labels, LabelsConfig) else None}
    if wrong := sorted(set(own) & set(settings)):
        raise ConfigError(f"denoise: {wrong[0]} is not a setting: it is an argument of its own")
    return load_config_of(DenoiseConfig, {**settings, **own})


def _flagged(store: StageStore, given: Given, assessed: Assessed, config: DenoiseConfig) -> DataFrame:
    doubles = store.stage(
        register.DUPLICATES,
        fingerprint(given.fingerprint, config.duplicate),
        lambda: whole_labels.duplicates(assessed.supports, assessed.items, least=config.duplicate),
        schema=whole_labels.DUPLICATES,
    ).table

    def find() -> DataFrame:
        tasks = max(_FEWEST_TASKS, given.run.item_count // _TASK_ITEMS)
        fragments = whole_labels.merged(assessed.pairs, assessed.verdicts, assessed.strengths, k=given.k, tasks=tasks)
        twice = whole_labels.near_duplicates(given.base_lists, assessed.labelled, similarity=config.near_duplicate)
        return whole_labels.flagged(assessed.verdicts, doubles, fragments, twice, least=config.merged)

    return store.stage(register.FLAGGED, _key(given, config), find, schema=whole_labels.FLAGGED).table


def _key(given: Given, config: DenoiseConfig) -> str:
    return fingerprint(given.fingerprint, config.precision, config.duplicate, config.merged, config.near_duplicate)


def _tables(store: StageStore, given: Given, assessed: Assessed, flagged: DataFrame, config: DenoiseConfig) -> Denoised:
    """Write the tables for the user."""
    kinds = (given.items.schema["id"].dataType, given.labels.schema["label"].dataType)
    names = store.stage(
        register.LABEL_NAMES,
        given.fingerprint,
        lambda: stage.label_names(given.items, given.labels, assessed.labelled),
        schema=stage.names_schema(kinds[1]),
    ).table

    def tell() -> DataFrame:
        near = stage.examples(flagged, assessed.pairs, assessed.verdicts)
        known = stage.evidence(flagged, assessed.supports)
        return stage.issues(known, near, names, given.items, given.run.table(register.CLUSTERS))

    issues = store.stage(register.ISSUES, _key(given, config), tell, schema=stage.issues_schema(*kinds))
    scores = store.stage(
        register.LABEL_SCORES,
        _key(given, config),
        lambda: stage.scores(assessed.verdicts, names, given.items),
        schema=stage.scores_schema(*kinds),
    )
    of_items = given.labels.join(given.items.select("id"), "id", "left_semi")
    summary = store.stage(
        register.SUMMARY,
        _key(given, config),
        lambda: stage.summary(of_items, issues.table),
        schema=stage.summary_schema(kinds[1]),
    )
    cleaned = _cleaned(store, given, (flagged, names), config) if config.apply is not None else None
    for name, result in zip(OUTPUTS, (issues, scores, summary, cleaned), strict=True):
        if result is not None:
            store.publish(name, result)
    record = _record(store, config, (given, assessed), (issues.table, cleaned.table if cleaned else None))
    return Denoised(issues.table, scores.table, summary.table, cleaned.table if cleaned else None, record)


def _cleaned(
    store: StageStore, given: Given, tables: tuple[DataFrame, DataFrame], config: DenoiseConfig
) -> StageResult:
    flagged, names = tables
    applied = sorted(config.apply or ())
    labels = given.labels.join(given.items, "id", "left")
    kinds = (given.items.schema["id"].dataType, given.labels.schema["label"].dataType)
    return store.stage(
        register.CLEANED_LABELS,
        fingerprint(_key(given, config), applied),
        lambda: stage.cleaned_labels(labels, flagged, names, applied=applied),
        schema=stage.cleaned_schema(*kinds),
    )


def _record(
    store: StageStore, config: DenoiseConfig, of: tuple[Given, Assessed], tables: tuple[DataFrame, DataFrame | None]
) -> dict[str, Any]:
    (given, assessed), (issues, cleaned) = of, tables
    rows = issues.groupBy("issue").agg(F.count("*").alias("items"), F.min("score").alias("least")).collect()
    by_issue = {row["issue"]: row for row in rows}
    size = assessed.labelled.agg(F.count("*").alias("items"), F.countDistinct("label").alias("labels")).collect()[0]
    record = RunRecord(config)
    record.note(
        counts={
            **size.asDict(),
            "issues": {name: by_issue[name]["items"] if name in by_issue else 0 for name in stage.ISSUES},
            "changed": None if cleaned is None else cleaned.where("issue is not null").count(),
        },
        wrong_share=assessed.model.wrong_share,
        smallest_scores={name: float(by_issue[name]["least"]) for name in stage.ISSUES if name in by_issue},
        warnings=[*given.known.warnings, *given.known.missed(size["items"], "are not evaluated")],
    )
    finished = record.finished(store)
    write_record(store, finished)
    return finished
