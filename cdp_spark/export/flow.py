"""A finished run -> training data: its items with cluster labels, beside labelled ones, in a trainer's form."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import BinaryType

from cdp_spark.base.errors import ConfigError, InputError
from cdp_spark.config.input_sections import ImagesConfig
from cdp_spark.config.loading import load_config_of
from cdp_spark.config.sections import fingerprint
from cdp_spark.config.uses import ExportConfig
from cdp_spark.export import training_rows as stage
from cdp_spark.export.listings import written_files
from cdp_spark.files.refusals import engine_refusals
from cdp_spark.runs import register
from cdp_spark.runs.finished_run import FinishedRun
from cdp_spark.runs.lease import Lease
from cdp_spark.runs.run_record import RunRecord, without_secrets, write_record
from cdp_spark.runs.stage_store import StageResult, StageStore
from cdp_spark.sources import open_table
from cdp_spark.sources.labels import named_labels
from cdp_spark.sources.pictures import LEADS_OUT, check_columns
from cdp_spark.spark.progress import Progress

OUTPUTS = ("items", "files")
_FILE_ITEMS = {"csv": 1_000_000, "list": 1_000_000, "webdataset": 10_000}


@dataclass(frozen=True)
class Exported:
    """Training data.

    Attributes
    ----------
    items : DataFrame (``stages.export.exported_schema``)
    card : dict
        What ``card.json`` holds: counts, and how the data were made.
    record : dict
        What ``run.json`` of the output holds.
    """

    items: DataFrame
    card: dict[str, Any]
    record: dict[str, Any]


@dataclass(frozen=True)
class _Labelled:
    """Labelled items beside the clusters, their labels' numbers, and the fingerprint of both."""

    rows: DataFrame
    numbers: StageResult
    fingerprint: str


def export(
    run: str, *, output: str, spark: SparkSession, progress: Progress | None = None, **settings: Any
) -> Exported:
    """Write training data.

    Parameters
    ----------
    run : str
        Output folder of a finished run.
    output : str
        Folder for ``items`` (Parquet), or ``files`` of another form, and ``card.json``, which is written last.
    spark : SparkSession
    progress : Progress, optional
    **settings
        Of ``base.uses.ExportConfig``, such as ``format``, ``min_size``, ``labels`` or ``splits``.

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
    _check_pictures(finished, config)
    store = StageStore(spark, output, progress or Progress(), also=OUTPUTS)
    with Lease(output) as lease:
        store.guard = lease.check
        chosen = _chosen(store, finished, config)
        items = _items(store, finished, _labelled(store, finished, config), chosen, config)
        store.guard()
        store.folder.remove("card.json")  # what is half replaced must not look whole
        files = _files(store, finished, items, config)
        return _told(store, finished, (items, chosen), files, config)


def _check_pictures(run: FinishedRun, config: ExportConfig) -> None:
    if config.format in ("list", "webdataset") and _images(run, config) is None:
        raise ConfigError(f"export: format {config.format} needs images, such as 'images/{{id}}.jpg'")
    if config.soft and not run.config.clusters.soft_labels:
        raise ConfigError("export: the run has no soft labels: cluster with clusters.cut_and_number: true")


def _images(run: FinishedRun, config: ExportConfig) -> ImagesConfig | None:
    return config.images or run.config.input.images


def _labelled(store: StageStore, run: FinishedRun, config: ExportConfig) -> _Labelled | None:
    if (given := config.labels) is None:
        return None
    table = open_table.open_source(store.spark, given, "labels")
    key = fingerprint(
        "export", register.EXPORTED.version, given, open_table.source_fingerprint(store.spark, given, table)
    )
    named = named_labels(run.table(register.ITEMS), table, given.id_column, given.label_column).where(
        "label is not null"
    )
    kinds = {table.schema["id"].dataType for table in (run.table(register.ITEMS), named)}
    if len(kinds) > 1:
        listed = " and ".join(sorted(kind.simpleString() for kind in kinds))
        raise InputError(f"labels: ids of the two sets are {listed}: cast them to one type")
    numbers = store.stage(
        register.LABEL_NUMBERS, key, lambda: stage.label_numbers(named), schema=stage.label_numbers_schema(named)
    )
    return _Labelled(named, numbers, key)


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
        # Of matched sets a labelled item keeps its own label.
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
    """Number the clusters, those that take over a label by that label's number."""
    config, key = how
    first = labelled.numbers.rows if labelled else 0

    def build() -> DataFrame:
        if labelled is None or config.join == "apart":
            return stage.cluster_numbers(kept, None, first)
        clusters, share = run.table(register.CLUSTERS), config.matched_share
        known = stage.matched_clusters(clusters, labelled.rows, labelled.numbers.table, share=share)
        return stage.cluster_numbers(kept, known, first)

    return store.stage(register.CLUSTER_NUMBERS, key, build, schema=stage.CLUSTER_NUMBERS)


def _files(store: StageStore, run: FinishedRun, items: StageResult, config: ExportConfig) -> list[dict[str, Any]]:
    """Write the form that was asked for; return what each file holds."""
    if config.format == "parquet":
        store.folder.remove("files")
        store.publish(register.EXPORTED, items)
        return []
    for other in ("files", "items"):
        store.folder.remove(other)
    per_file = config.file_items or _FILE_ITEMS[config.format]
    counts = {row["split"]: row["count"] for row in items.table.groupBy("split").count().collect()}
    files = {split: -(-count // per_file) for split, count in counts.items()}
    rows = _with_images(store.spark, run, items.table, config)
    if config.format == "csv" and config.soft:
        rows = rows.withColumn("soft_labels", F.to_json("soft_labels"))
    placed = stage.in_files(rows, files, seed=config.seed, shuffled=config.format == "webdataset")
    written = written_files(placed, store.folder.path("files"), config.format)
    with store.progress.stage(store.spark, "files"), engine_refusals(store.output):
        found = sorted(written.collect())
    return [row.asDict() for row in found]


def _with_images(spark: SparkSession, run: FinishedRun, items: DataFrame, config: ExportConfig) -> DataFrame:
    """Add the column ``image``: bytes or a path, null where the source has none."""
    source = _images(run, config)
    if source is None:
        return items
    clustered = _images_of(spark, items.where("source = 'cluster'"), source, config)
    labelled = _images_of(spark, items.where("source = 'labelled'"), config.labelled_images or source, config)
    return clustered.unionByName(labelled)


def _images_of(spark: SparkSession, items: DataFrame, source: ImagesConfig, config: ExportConfig) -> DataFrame:
    if "{id}" in source.path:
        before, after = source.path.split("{id}", 1)
        image = F.concat(F.lit(before), F.col("id").cast("string"), F.lit(after))
        return items.withColumn("image", F.when(~F.col("id").cast("string").rlike(LEADS_OUT), image))
    table = open_table.open_source(spark, source, "images")
    check_columns(table, source)
    pictures = table.select(F.col(source.id_column).alias("id"), F.col(source.image_column).alias("image"))
    if isinstance(pictures.schema["image"].dataType, BinaryType) and config.format != "webdataset":
        raise ConfigError(f"export: format {config.format} needs paths; {source.path} holds the pictures themselves")
    return items.join(pictures, "id", "left")


def _told(
    store: StageStore, run: FinishedRun, tables: tuple[StageResult, StageResult], files: Any, config: ExportConfig
) -> Exported:
    """Write the card, last, and the record."""
    items, chosen = tables
    outcomes = chosen.table.groupBy("outcome").count().collect()
    left_out = dict.fromkeys(stage.LEFT_OUT, 0) | {row["outcome"]: row["count"] for row in outcomes}
    left_out.pop(stage.KEPT, None)
    counts = items.table.groupBy("source", "split").agg(
        F.count("*").alias("items"), F.countDistinct("label").alias("labels"), F.sum("weight").alias("weight")
    )  # fmt: skip
    sizes = items.table.groupBy("source").agg(F.countDistinct("label").alias("labels")).collect()
    card = {
        "items": items.rows,
        "labels": items.table.agg(F.countDistinct("label")).collect()[0][0],
        "labels_by_source": {row["source"]: row["labels"] for row in sizes},
        "first_label_of_clusters": _rows_of(store, register.LABEL_NUMBERS.name),
        "counts": [row.asDict() for row in sorted(counts.collect())],
        "left_out": left_out,
        "files": files,
        "made_from": {
            "run": config.run, "clusters": run.stage(register.CLUSTERS).fingerprint,
            "threshold": run.record.threshold,
            "strategy": run.config.consensus.strategy, "models": run.config.input.models,
        },
        "config": config.model_dump(mode="json"),
    }  # fmt: skip
    record = RunRecord(config)
    record.note(counts={"items": items.rows, "left_out": left_out}, warnings=_warnings(files))
    finished = record.finished(store)
    write_record(store, finished)
    store.write("card.json", json.dumps(without_secrets(card), indent=1))
    return Exported(items.table, card, finished)


def _warnings(files: list[dict[str, Any]]) -> list[str]:
    skipped = sum(file["skipped"] for file in files)
    return [f"images: {skipped:,} items have no picture that can be read and are in no file"] if skipped else []


def _rows_of(store: StageStore, name: str) -> int:
    return next((each.rows for each in store.results if each.name == name), 0)
