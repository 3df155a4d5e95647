"""Labelled embeddings -> mediator: a small network that learns which models to believe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import BooleanType, IntegerType, LongType, StructField, StructType

from cdp_spark.base.errors import ConfigError, InputError, MissingRequirementError
from cdp_spark.config.input_sections import LabelsConfig
from cdp_spark.config.sections import fingerprint
from cdp_spark.config.whole import TrainConfig
from cdp_spark.intake.flow import Intake, taken_in
from cdp_spark.knn.flow import knn_graph
from cdp_spark.networks.kernels.mlp import Ensemble, Mlp
from cdp_spark.pairs.block_join import Join
from cdp_spark.pairs.flow import joined_pairs
from cdp_spark.pairs.kernels.features import chosen_columns, feature_names
from cdp_spark.pairs.pair_ends import with_ends
from cdp_spark.runs import register
from cdp_spark.runs.lease import Lease
from cdp_spark.runs.stage_store import StageResult, StageStore
from cdp_spark.scoring import score_pairs as stage
from cdp_spark.scoring.mediator_folder import Mediator, write_mediator
from cdp_spark.sources import open_table
from cdp_spark.sources.labels import Labels, open_labels
from cdp_spark.spark.arrow import matrix_of
from cdp_spark.spark.progress import Progress
from cdp_spark.training.few_labels import TunedMediator, start_of, starts_from_shipped, tuned_mediator
from cdp_spark.training.held_out import validated
from cdp_spark.training.pair_networks import files_of
from cdp_spark.training.rich_flow import consensus_mediator

_SHARES = (70, 85)
"""Percentiles of identities: below 70 train, below 85 calibrate and stop training, the rest choose the threshold."""
_FILE_PAIRS = 1_000_000
_HELD_OUT_PAIRS = 5_000_000
_SPLIT = StructType(
    [StructField("item", LongType()), StructField("identity", LongType()), StructField("part", IntegerType())]
)
_LABELLED = StructType(
    [*stage.LABELLED_FEATURES.fields, StructField("same", BooleanType()), StructField("part", IntegerType())]
)


def train(config: TrainConfig, *, spark: SparkSession, progress: Progress | None = None) -> Mediator | TunedMediator:
    """Train a mediator and write it to ``config.output``.

    Parameters
    ----------
    config : TrainConfig
    spark : SparkSession
    progress : Progress, optional

    Returns
    -------
    Mediator or TunedMediator
        The latter where training starts from the mediator that ships. Both have a ``card``.

    Raises
    ------
    InputError
        If there are too few labels, or the data cannot be used.
    MissingRequirementError
        If a training from nothing lacks torch (the extra ``train``).
    """
    if not starts_from_shipped(config.mediator, 0):
        _require_torch()
    open_table.check_apart(config.output, _paths(config))
    store = StageStore(spark, config.output, progress or Progress())
    with Lease(config.output) as lease:
        store.guard = lease.check
        given = config.input.labels or LabelsConfig(path="")  # the config requires labels
        labels = open_labels(store.spark, given, store.facts)
        intake = taken_in(store, config.input, {})
        names = feature_names(intake.models, config.mediator.feature_set)
        columns = _columns(names, config.mediator.features)
        people = _people(store, intake.items, labels, config)
        identities = _identities(people)
        for warning in [*labels.warnings, *labels.missed(people.rows, "are left out")]:
            store.progress.say(warning, "warning")
        _check_crowd(store, intake.item_count - people.rows, config)
        if starts_from_shipped(config.mediator, identities):
            return tuned_mediator(store, intake, people, config, identities)
        _require_torch()
        make = consensus_mediator if config.mediator.feature_set == "rich" else _pair_mediator
        made = make(store, intake, people, columns, config)
        card = made.card | {
            "models": intake.models, "k": config.knn.k, "feature_set": config.mediator.feature_set,
            "all_features": names, "features": [names[column] for column in columns],
            "candidates": config.mediator.candidates, "items": intake.item_count,
            "dimensions": {model: vectors.dimension for model, vectors in intake.vectors.items()},
            "start": start_of(config.mediator, identities),
        }  # fmt: skip
        mediator = replace(made, card=card)
        store.guard()
        write_mediator(config.output, mediator)
    return mediator


def _pair_mediator(
    store: StageStore, intake: Intake, people: StageResult, columns: list[int], config: TrainConfig
) -> Mediator:
    """Train one network on all labelled pairs of the training identities."""
    graphs = {model: knn_graph(store, vectors, config.knn) for model, vectors in intake.vectors.items()}
    join = Join(
        config.mediator.feature_set, config.mediator.candidates, stage.learning(columns),
        stage.LABELLED_FEATURES, fingerprint("learning", columns),
    )  # fmt: skip
    features = joined_pairs(store, register.FEATURES, graphs, config.knn, join)
    pairs = _labelled_pairs(store, features, people)
    mlp, card = _learned(store, pairs, people, config)
    card |= validated(store, mlp, (features, pairs, people), intake.item_count, config)
    return Mediator(Ensemble((mlp,)), card | {"data": pairs.fingerprint})


def _require_torch() -> None:
    if find_spec("torch") is None:
        raise MissingRequirementError("training needs torch, which is not installed: pip install 'cdp-spark[train]'")


def _paths(config: TrainConfig) -> list[str]:
    named = [*config.input.sources, config.input.labels]
    return [source.path for source in named if source is not None and source.path is not None]


def _columns(names: Sequence[str], wanted: Sequence[str]) -> list[int]:
    known = {*names, *(name.split(".")[0] for name in names)}
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise ConfigError(f"mediator.features: no feature {unknown[0]}; there are {', '.join(sorted(known))}")
    return chosen_columns(names, wanted)


def _people(store: StageStore, items: StageResult, labels: Labels, config: TrainConfig) -> StageResult:
    """Split the identities by hash into training, calibration and validation."""
    labels.matched(items, store.facts)

    def split() -> DataFrame:
        label = F.col("label").cast("string")
        percent = F.pmod(F.xxhash64(label, F.lit(f"part {config.mediator.seed}")), F.lit(100))
        subset = (
            F.when(percent < _SHARES[0], stage.TRAINING)
            .when(percent < _SHARES[1], stage.CALIBRATION)
            .otherwise(stage.VALIDATION)
            .cast("int")
        )
        known = items.table.join(labels.table, "id", "inner")
        return known.select("item", F.xxhash64(label).alias("identity"), subset.alias("part"))

    return store.stage(
        register.SPLIT,
        fingerprint(register.SPLIT.version, items.fingerprint, labels.fingerprint, config.mediator.seed),
        split,
        schema=_SPLIT,
    )


def _identities(people: StageResult) -> int:
    """Count the identities; refuse fewer than two."""
    identities = people.table.select("identity").distinct().count()
    if identities < 2:
        raise InputError(f"labels: training needs at least two identities; there are {identities}")
    return identities


def _check_crowd(store: StageStore, without_label: int, config: TrainConfig) -> None:
    if config.mediator.crowd and not without_label:
        raise InputError(
            "mediator.crowd: every item has a label: add the images to be clustered, or others like them, to the "
            "embeddings of each model, and leave the labels as they are"
        )
    if config.mediator.feature_set == "rich" and without_label and not config.mediator.crowd:
        store.progress.say(f"{without_label:,} items without a label are left out (mediator.crowd: true keeps them)")


def _labelled_pairs(store: StageStore, features: StageResult, split: StageResult) -> StageResult:
    """Assign a subset to each pair, in reproducible files that each fit into memory."""

    def labelled() -> DataFrame:
        joined = with_ends(features.table, split.table, "identity", "part")
        same = (F.col("src_identity") == F.col("dst_identity")).alias("same")
        subset = F.when(F.col("src_part") == F.col("dst_part"), F.col("src_part")).otherwise(F.lit(stage.STRADDLING))
        chosen = joined.select("src", "dst", "features", same, subset.alias("part"))
        files = max(1, -(-features.rows // _FILE_PAIRS))
        return chosen.repartition(files, F.xxhash64("src", "dst")).sortWithinPartitions("part", "src", "dst")

    key = fingerprint(register.SPLIT.version, features.fingerprint, split.fingerprint)
    return store.stage(register.LABELLED_PAIRS, key, labelled, schema=_LABELLED, partition_by=("part",))


def _learned(
    store: StageStore, pairs: StageResult, split: StageResult, config: TrainConfig
) -> tuple[Mlp, dict[str, Any]]:
    """Train and calibrate the network; the card has the number of pairs and the losses."""
    from cdp_spark.training.kernels.train_network import HeldOut, Recipe, calibrated, train_mlp

    shares = _identity_shares(split)
    features, same = _held_out(store, pairs)
    files, rows = _files(store, pairs, stage.TRAINING)
    readers: list[Callable[[], tuple[NDArray[np.float32], NDArray[np.bool_]]]] = [
        partial(_points, store, name) for name in files
    ]
    settings = config.mediator
    width = features.shape[1]
    hidden = settings.hidden or ((3 * width,) * 2 if settings.feature_set == "code" else (50, 50))
    recipe = Recipe(
        hidden, seed=settings.seed, epochs=settings.epochs, learning_rate=settings.learning_rate,
        negative_weight=1 / shares[stage.TRAINING],
    )  # fmt: skip
    calibration = HeldOut(features, same, 1 / shares[stage.CALIBRATION])
    mlp, curve = train_mlp(readers, rows, calibration, recipe, store.progress.say)
    counts = {"training": rows, "calibration": len(same), "all": pairs.rows}
    return calibrated(mlp, calibration), {"pairs": counts, "curve": curve, "identity_shares": shares}


def _identity_shares(split: StageResult) -> dict[int, float]:
    """Return the share of the identities in each subset, which is the share of negative pairs inside it."""
    rows = split.table.groupBy("part").agg(F.countDistinct("identity").alias("identities")).collect()
    counts = {row["part"]: row["identities"] for row in rows}
    total = sum(counts.values())
    if len(counts) < 3:
        raise InputError(f"labels: {total} identities are too few to hold some out: label more")
    return {subset: count / total for subset, count in counts.items()}


def _files(store: StageStore, pairs: StageResult, subset: int) -> tuple[list[str], int]:
    names = files_of(store, f"{pairs.path}/part={subset}")
    return names, store.folder.parquet_rows(names)


def _points(store: StageStore, name: str) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    table = store.folder.read_parquet(name).combine_chunks()
    return matrix_of(table.column("features").combine_chunks()), table.column("same").to_numpy()


def _held_out(store: StageStore, pairs: StageResult) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Read the calibration subset, up to the files that one process can hold."""
    batches: list[tuple[NDArray[np.float32], NDArray[np.bool_]]] = []
    for name in _files(store, pairs, stage.CALIBRATION)[0]:
        if sum(len(same) for _, same in batches) < _HELD_OUT_PAIRS:
            batches.append(_points(store, name))
    same = np.concatenate([each for _, each in batches]) if batches else np.empty(0, bool)
    if not same.any() or same.all():
        kind = "different" if same.any() else "the same"
        raise InputError(f"labels: no held-out pair of neighbours has {kind} labels: label more identities")
    return np.concatenate([features for features, _ in batches]), same
