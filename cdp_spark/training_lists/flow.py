"""A finished run -> training data: items with cluster labels, and optionally labelled ones, in a trainer's format."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from cdp_spark.base.errors import ConfigError, InputError
from cdp_spark.config.loading import load_config_of
from cdp_spark.config.sections import fingerprint
from cdp_spark.config.uses import ExportConfig
from cdp_spark.runs import register
from cdp_spark.runs.finished_run import FinishedRun
from cdp_spark.runs.lease import Lease
from cdp_spark.runs.own_files import is_of_export, remove_own
from cdp_spark.runs.run_record import RunRecord, without_secrets, write_record
from cdp_spark.runs.stage_store import StageResult, StageStore
from cdp_spark.sources import open_table
from cdp_spark.sources.columns import check_same_kind, id_kind
from cdp_spark.sources.labels import open_labels
from cdp_spark.spark.progress import Progress
from cdp_spark.training_lists import training_rows as stage
from cdp_spark.training_lists.listings import written_files
from cdp_spark.training_lists.pictures_of_items import Pictures

OUTPUTS = ("items", "files")
_FILE_ITEMS = {"csv": 1_000_000, "list": 1_000_000, "webdataset": 10_000}


@dataclass(frozen=True)
class Exported:
    """Training data.

    Attributes
    ----------
    items : DataFrame (``training_rows.exported_schema``)
    card : dict
        Contents of ``card.json``: counts, and how the data were made.
    record : dict
        Contents of the output's ``run.json``.
    """

    items: DataFrame
    card: dict[str, Any]
    record: dict[str, Any]


@dataclass(frozen=True)
class _Labelled:
    """Labelled items beside the clusters, the numbers of their labels, a fingerprint of both, and warnings."""

    rows: DataFrame
    numbers: StageResult
    fingerprint: str
    warnings: list[str]


def export(
    run: str, *, output: str, spark: SparkSession, progress: Progress | None = None, **settings: Any
) -> Exported:
    """Write training data.

    Parameters
    ----------
    run : str
        Output folder of a finished run.
    output : str
        Folder for ``items`` (Parquet), or ``files`` of another format, and ``card.json``, which is written last.
    spark : SparkSession
    progress : Progress, optional
    **settings
        Keys of ``config.uses.ExportConfig``, such as ``format``, ``min_size``, ``labels`` or ``splits``.

    Returns
    -------
    Exported

    Raises
    ------
    ConfigError, InputError
        If the settings, the run, the labels or the pictures cannot be used, or nothing is left to export.
    GuardError
        If another run holds the output.
    """
    config = load_config_of(ExportConfig, {**settings, "run": run, "output": output})
    open_table.check_apart(output, [run, *([config.labels.path] if config.labels else [])])
    finished = FinishedRun.of(spark, run)
    pictures = _pictures(finished, config)
    store = StageStore(spark, output, progress or Progress(), also=OUTPUTS)
    with Lease(output) as lease:
        store.guard = lease.check
        pictures.check(store)
        labelled = _labelled(store, finished, config)
        chosen = _chosen(store, finished, config)
        items = _items(store, finished, labelled, chosen, config)
        files = _files(store, items, pictures, config)
        warnings = labelled.warnings if labelled else []
        return _recorded(store, finished, (items, chosen), (files, warnings), config)


def _pictures(run: FinishedRun, config: ExportConfig) -> Pictures:
    images = config.images or run.config.input.images
    if config.format in ("list", "webdataset") and images is None:
        raise ConfigError(f"export: format {config.format} needs images, such as 'images/{{id}}.jpg'")
    if config.soft and not run.config.clusters.soft_labels:
        raise ConfigError("export: the run has no soft labels: cluster with clusters.soft_labels: true")
    return Pictures(images, config.labelled_images, config.format)


def _labelled(store: StageStore, run: FinishedRun, config: ExportConfig) -> _Labelled | None:
    if config.labels is None:
        return None
    labels = open_labels(store.spark, config.labels, store.facts)
    named, items, warnings = labels.table, run.table(register.ITEMS), labels.warnings
    check_same_kind(id_kind(items), id_kind(named), "labels", "items")
    if config.join == "matched":
        warnings = labels.left_out(run.keyed(register.ITEMS), store.facts, "match no item")
    elif both := labels.shared(run.keyed(register.ITEMS), store.facts):
        warnings = [
            *warnings,
            f"labels: {both:,} of {labels.ids:,} ids are also items of the run, and both are exported: "
            "set join to matched if they are the same images",
        ]
    key = fingerprint("export", register.EXPORTED.version, labels.fingerprint)
    numbers = store.stage(
        register.LABEL_NUMBERS, key, lambda: stage.label_numbers(named), schema=stage.label_numbers_schema(named)
    )
    return _Labelled(named, numbers, key, warnings)


def _chosen(store: StageStore, run: FinishedRun, config: ExportConfig) -> StageResult:
    clusters = run.table(register.CLUSTERS)
    key = fingerprint(
        "export",
        register.EXPORTED.version,
        run.stage(register.CLUSTERS).fingerprint,
        config.min_size,
        config.min_confidence,
    )
    schema = stage.chosen_schema(clusters.schema["id"].dataType)
    sure = store.stage(
        register.SURE,
        key,
        lambda: stage.confident(clusters, min_size=config.min_size, min_confidence=config.min_confidence),
        schema=schema,
    )
    if config.largest_share == 1:
        return sure
    kept = sure.table.where(F.col("outcome") == stage.KEPT).count()
    most = max(1, int(config.largest_share * kept))
    return store.stage(register.CHOSEN, fingerprint(key, most), lambda: stage.at_most(sure.table, most), schema=schema)


def _items(
    store: StageStore, run: FinishedRun, labelled: _Labelled | None, chosen: StageResult, config: ExportConfig
) -> StageResult:
    kept = chosen.table.where(F.col("outcome") == stage.KEPT)
    settings = config.model_dump(include={"join", "matched_share", "soft", "splits", "split_by", "seed"}, mode="json")
    key = fingerprint(chosen.fingerprint, labelled.fingerprint if labelled else None, settings)
    numbers = _numbers(store, run, labelled, kept, (config, key))

    def build() -> DataFrame:
        # In matched sets, a labelled item keeps its own label.
        ours = kept.join(labelled.rows, "id", "left_anti") if labelled and config.join == "matched" else kept
        soft = run.table(register.CLUSTERS).select("id", "soft_labels") if config.soft else None
        rows = stage.cluster_rows(ours, numbers.table, soft)
        if labelled:
            rows = rows.unionByName(stage.labelled_rows(labelled.rows, labelled.numbers.table, soft=config.soft))
        return stage.with_splits(rows, config.splits, by=config.split_by, seed=config.seed)

    schema = stage.exported_schema(kept.schema["id"].dataType, soft=config.soft)
    items = store.stage(register.EXPORTED, key, lambda: build().select(*schema.names), schema=schema)
    if not items.rows:
        raise InputError("export: nothing is left: lower min_size or min_confidence")
    return items


def _numbers(
    store: StageStore, run: FinishedRun, labelled: _Labelled | None, kept: DataFrame, how: tuple[ExportConfig, str]
) -> StageResult:
    """Number the clusters; a cluster that takes over a label gets the label's number."""
    config, key = how
    first = labelled.numbers.rows if labelled else 0

    def build() -> DataFrame:
        if labelled is None or config.join == "apart":
            return stage.cluster_numbers(kept, None, first)
        clusters, share = run.table(register.CLUSTERS), config.matched_share
        known = stage.matched_clusters(clusters, labelled.rows, labelled.numbers.table, share=share)
        return stage.cluster_numbers(kept, known, first)

    return store.stage(register.CLUSTER_NUMBERS, key, build, schema=stage.CLUSTER_NUMBERS)


def _files(store: StageStore, items: StageResult, pictures: Pictures, config: ExportConfig) -> list[dict[str, Any]]:
    """Write the requested format; return the rows by file and source."""
    rows = pictures.beside(store, items) if config.format != "parquet" else items.table
    store.guard()
    store.folder.remove("card.json")  # an output that is being replaced must not look complete
    if config.format == "parquet":
        remove_own(store.folder, "files", is_of_export)
        store.publish(register.EXPORTED, items)
        return []
    remove_own(store.folder, "files", is_of_export)
    remove_own(store.folder, "items")
    per_file = config.file_items or _FILE_ITEMS[config.format]
    counts = {row["split"]: row["count"] for row in items.table.groupBy("split").count().collect()}
    files = {split: -(-count // per_file) for split, count in counts.items()}
    if config.format == "csv" and config.soft:
        rows = rows.withColumn("soft_labels", F.to_json("soft_labels"))
    placed = stage.in_files(rows, files, seed=config.seed, shuffled=config.format == "webdataset")
    written = written_files(placed, store.folder.path("files"), config.format)
    with store.progress.stage(store.spark, "files"):
        written_rows = [row.asDict() for row in sorted(written.collect())]
    if not any(row["items"] for row in written_rows):
        remove_own(store.folder, "files", is_of_export)
        raise InputError(f"images: none of {items.rows:,} pictures could be read: check the paths")
    return written_rows


def _recorded(
    store: StageStore,
    run: FinishedRun,
    tables: tuple[StageResult, StageResult],
    written: tuple[list[dict[str, Any]], list[str]],
    config: ExportConfig,
) -> Exported:
    """Write the card, last, and the record."""
    (items, chosen), (counts_by_file, warnings) = tables, written
    counts = _counts(items, counts_by_file, in_files=config.format != "parquet")
    left_out = _left_out(chosen, counts_by_file)
    names = sorted({row["name"] for row in counts_by_file})
    sizes = items.table.groupBy("source").agg(F.countDistinct("label").alias("labels")).collect()
    card = {
        "items": sum(row["items"] for row in counts),
        "labels": items.table.agg(F.countDistinct("label")).collect()[0][0],
        "labels_by_source": {row["source"]: row["labels"] for row in sizes},
        "first_label_of_clusters": _rows_of(store, register.LABEL_NUMBERS.name),
        "counts": counts,
        "left_out": left_out,
        "files": [{"name": name, **_sums(counts_by_file, "name", name)} for name in names],
        "made_from": {
            "run": config.run, "clusters": run.stage(register.CLUSTERS).fingerprint,
            "threshold": run.record.threshold,
            "strategy": run.config.consensus.strategy, "models": run.config.input.models,
        },
        "config": config.model_dump(mode="json"),
    }  # fmt: skip
    record = RunRecord(config)
    record.note(
        counts={"items": card["items"], "left_out": left_out}, warnings=[*warnings, *_skipped(counts_by_file)]
    )  # fmt: skip
    finished = record.finished(store)
    write_record(store, finished)
    store.write("card.json", json.dumps(without_secrets(card), indent=1))
    return Exported(items.table, card, finished)


def _counts(items: StageResult, counts_by_file: list[dict[str, Any]], *, in_files: bool) -> list[dict[str, Any]]:
    """Count rows by source and split, in the table or in the files."""
    by = ("source", "split")
    rows = items.table.groupBy(*by).agg(
        F.count("*").alias("items"), F.countDistinct("label").alias("labels"), F.sum("weight").alias("weight")
    )  # fmt: skip
    counts = [row.asDict() for row in sorted(rows.collect())]
    if not in_files:
        return counts
    for row in counts:
        own = [each for each in counts_by_file if all(each[name] == row[name] for name in by)]
        row |= {name: sum(each[name] for each in own) for name in ("items", "weight")}
    return counts


def _left_out(chosen: StageResult, counts_by_file: list[dict[str, Any]]) -> dict[str, int]:
    """Count the run's items that are not exported, by reason."""
    outcomes = chosen.table.groupBy("outcome").count().collect()
    left_out = dict.fromkeys(stage.LEFT_OUT, 0) | {row["outcome"]: row["count"] for row in outcomes}
    left_out.pop(stage.KEPT, None)
    return left_out | {"no_picture": _sums(counts_by_file, "source", "cluster")["skipped"]}


def _sums(counts_by_file: list[dict[str, Any]], column: str, value: str) -> dict[str, int]:
    own = [each for each in counts_by_file if each[column] == value]
    return {name: sum(each[name] for each in own) for name in ("items", "skipped")}


def _skipped(counts_by_file: list[dict[str, Any]]) -> list[str]:
    skipped = sum(each["skipped"] for each in counts_by_file)
    return [f"images: {skipped:,} items have no picture that can be read and are in no file"] if skipped else []


def _rows_of(store: StageStore, name: str) -> int:
    return next((each.rows for each in store.results if each.name == name), 0)
