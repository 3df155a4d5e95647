"""Write ``report.html`` of a finished run from its tables."""

from __future__ import annotations

from dataclasses import replace
from statistics import median
from typing import Any

from pyspark.sql import SparkSession

from cdp_spark.base.errors import MissingRequirementError
from cdp_spark.config.input_sections import ImagesConfig, LabelsConfig
from cdp_spark.report import doubtful, graphs, summaries
from cdp_spark.report.certainty import coverage
from cdp_spark.report.figures import Figures, ShownCluster, StageFiles
from cdp_spark.report.given_labels import NamedLabels
from cdp_spark.report.shown import Tables, nearly_joined, shown_clusters
from cdp_spark.runs import register
from cdp_spark.runs.documents import read_sweep
from cdp_spark.runs.finished_run import SWEEP_FILE, FinishedRun
from cdp_spark.runs.manifests import listed_files
from cdp_spark.sources.pictures import thumbnails


def report(
    run: str, *, spark: SparkSession, images: ImagesConfig | None = None, labels: LabelsConfig | None = None
) -> str:
    """Write ``report.html`` of a finished run; return its path.

    Parameters
    ----------
    run : str
        Output folder of the run.
    spark : SparkSession
    images : ImagesConfig, optional
        Pictures of the items; default: those that the run's config names.
    labels : LabelsConfig, optional
        Default: those that the run's config names.

    Raises
    ------
    InputError
        If there is no finished run, or pictures or labels cannot be read.
    MissingRequirementError
        If the extra ``report`` is not installed.
    """
    return write_report(FinishedRun.of(spark, run), images=images, labels=labels)


def write_report(run: FinishedRun, *, images: ImagesConfig | None = None, labels: LabelsConfig | None = None) -> str:
    """Write ``report.html`` of an opened run, as :func:`report` does."""
    try:
        from cdp_spark.report.page import page
    except ImportError as error:
        raise MissingRequirementError(
            f"the report needs {error.name}, which is not installed: pip install 'cdp-spark[report]'"
        ) from None
    given = run.record.config["input"]
    if images is None and given.get("images"):
        images = ImagesConfig.model_validate(given["images"])
    if labels is None and given.get("labels"):
        labels = LabelsConfig.model_validate(given["labels"])
    name = run.folder.location.rstrip("/").split("/")[-1]
    named = NamedLabels.of(run, labels) if labels is not None else None
    run.folder.write("report.html", page(name, _figures(run, images, named)))
    return run.folder.path("report.html")


def _figures(run: FinishedRun, images: ImagesConfig | None, labels: NamedLabels | None) -> Figures:
    tables = Tables.of(run)
    figures = _with_labels(run, labels, _of_tables(run, images, tables))
    if run.config.clusters.has_threshold:
        return figures
    return replace(figures, coverage=coverage(tables.clusters, labels.table if labels is not None else None))


def _of_tables(run: FinishedRun, images: ImagesConfig | None, tables: Tables) -> Figures:
    by_threshold = run.config.clusters.has_threshold
    largest, uncertain = shown_clusters(tables)
    joined = [] if by_threshold else nearly_joined(tables)
    pairs = doubtful.deciding_pairs(run) if by_threshold else []
    shown = {member for each in [*largest, *uncertain, *joined] for group in each.groups for member in group}
    ids = sorted(shown | {end for pair in pairs for end in (pair.src, pair.dst)})
    return Figures(
        run.record,
        scores=sorted((row["bin"], row["pairs"]) for row in summaries.score_histogram(tables.pairs).collect()),
        sizes=sorted((row["size"], row["clusters"]) for row in summaries.cluster_sizes(tables.clusters).collect()),
        largest=largest,
        uncertain=uncertain,
        nearly_joined=joined,
        pictures=thumbnails(run.spark, images, ids) if images is not None and ids else {},
        suspects=doubtful.suspects(tables),
        pairs=pairs,
        hubs=graphs.hubs(run),
        stage_files=_stage_files(run),
        sweep=_last_sweep(run) if by_threshold else None,
    )


def _with_labels(run: FinishedRun, labels: NamedLabels | None, figures: Figures) -> Figures:
    agreement = graphs.agreement(run, labels)
    if labels is None:
        return replace(figures, agreement=agreement)
    shown = _members([*figures.largest, *figures.uncertain])
    comparison = doubtful.compared(run.table(register.CLUSTERS), labels.table, figures.suspects, shown)
    return replace(
        figures,
        agreement=agreement,
        split=comparison.split,
        merged=comparison.merged,
        suspects=[replace(each, others=comparison.others[each.cluster]) for each in figures.suspects],
        pairs=doubtful.labelled_pairs(figures.pairs, labels.table),
        other_labels=comparison.other_labels,
    )


def _members(shown: list[ShownCluster]) -> dict[int, list[Any]]:
    """Return the shown ids by cluster; a cluster may be shown twice."""
    members: dict[int, list[Any]] = {}
    for each in shown:
        members.setdefault(each.cluster, []).extend(member for group in each.groups for member in group)
    return members


def _stage_files(run: FinishedRun) -> dict[str, StageFiles]:
    """Compare the file sizes of each stage, the only lasting trace of its tasks."""
    by_stage = {}
    for stage in run.record.stages:
        sizes = list(listed_files(run.folder, stage.path).values())
        if sizes:
            by_stage[stage.name] = StageFiles(len(sizes), max(sizes) / median(sizes) if len(sizes) > 1 else None)
    return by_stage


def _last_sweep(run: FinishedRun) -> dict[str, Any] | None:
    """Return the last sweep, if it used the scored pairs of this run."""
    swept = read_sweep(run.folder, SWEEP_FILE)
    return swept if swept and swept["pairs"] == run.stage(register.VOTED_PAIRS).fingerprint else None
