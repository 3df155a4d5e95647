"""Labelled embeddings -> mediator: a small network that has learned whom to believe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import BooleanType, IntegerType, LongType, StructField, StructType

from cdp_spark.base.config import LabelsConfig, TrainConfig, fingerprint
from cdp_spark.base.errors import ConfigError, InputError, MissingRequirementError
from cdp_spark.kernels.curve import threshold_curve
from cdp_spark.kernels.domain import profile
from cdp_spark.kernels.features import chosen_columns, feature_names
from cdp_spark.kernels.mlp import Mlp, probabilities
from cdp_spark.kernels.pruning import Limits
from cdp_spark.runtime import sources
from cdp_spark.runtime.lease import Lease
from cdp_spark.runtime.mediators import Mediator, write_mediator
from cdp_spark.runtime.progress import Progress
from cdp_spark.runtime.storage import StageResult, StageStore
from cdp_spark.stages import mediator as stage
from cdp_spark.tasks.evaluate import named_labels
from cdp_spark.tasks.intake import taken_in
from cdp_spark.tasks.knn import knn_graph
from cdp_spark.tasks.pairs import Join, judged_pairs

VERSION = 1
TRAINING, CALIBRATION, VALIDATION = range(3)
_SHARES = (70, 85)
"""Percent of the identities: up to 70 train, up to 85 calibrate and stop, the rest choose the threshold."""
_FILE_PAIRS = 1_000_000
_HELD_OUT_PAIRS = 5_000_000
THRESHOLDS = np.round(
    np.concatenate([np.arange(0.05, 0.9, 0.025), np.arange(0.9, 0.99, 0.01), [0.99, 0.995, 0.998]]), 3
)

_PARTS = StructType(
    [StructField("item", LongType()), StructField("identity", LongType()), StructField("part", IntegerType())]
)
_LABELLED = StructType(
    [*stage.LABELLED_FEATURES.fields, StructField("same", BooleanType()), StructField("part", IntegerType())]
)


def train(config: TrainConfig, *, spark: SparkSession, progress: Progress | None = None) -> Mediator:
    """Train a mediator and write it to ``config.output``.

    Parameters
    ----------
    config : TrainConfig
    spark : SparkSession
    progress : Progress, optional

    Raises
    ------
    InputError
        If the labels are too few, or the data cannot be used.
    MissingRequirementError
        If torch or safetensors (the extra ``train``) is not installed.
    """
    _require_torch()
    sources.check_apart(config.output, _paths(config))
    store = StageStore(spark, config.output, progress or Progress())
    with Lease(config.output) as lease:
        store.guard = lease.check
        intake = taken_in(store, config.input, {})
        graphs = {model: knn_graph(store, vectors, config.knn) for model, vectors in intake.vectors.items()}
        names = feature_names(intake.models, config.mediator.feature_set)
        columns = _columns(names, config.mediator.features)
        join = Join(
            config.mediator.feature_set, config.mediator.candidates, stage.learning(columns),
            stage.LABELLED_FEATURES, fingerprint("learning", columns),
        )  # fmt: skip
        features = judged_pairs(store, "features", intake.models, graphs, config.knn, join)
        parts = _parts(store, intake.items, config)
        pairs = _labelled_pairs(store, features, parts)
        mlp, card = _learned(store, pairs, parts, config)
        card |= {
            "models": intake.models, "k": config.knn.k, "feature_set": config.mediator.feature_set,
            "all_features": names, "features": [names[column] for column in columns],
            "candidates": config.mediator.candidates, "items": intake.item_count, "data": pairs.fingerprint,
            "dimensions": {model: vectors.dimension for model, vectors in intake.vectors.items()},
        }  # fmt: skip
        mediator = Mediator(mlp, card)
        write_mediator(config.output, mediator)
    return mediator


def _require_torch() -> None:
    try:
        import safetensors
        import torch  # noqa: F401
    except ImportError as error:
        raise MissingRequirementError(
            f"training needs {error.name}, which is not installed: pip install 'cdp-spark[train]'"
        ) from None
    del safetensors


def _paths(config: TrainConfig) -> list[str]:
    named = [config.input.base, *config.input.committee, config.input.labels]
    return [source.path for source in named if source is not None and source.path is not None]


def _columns(names: Sequence[str], wanted: Sequence[str]) -> list[int]:
    known = {*names, *(name.split(".")[0] for name in names)}
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise ConfigError(f"mediator.features: no feature {unknown[0]}; there are {', '.join(sorted(known))}")
    return chosen_columns(names, wanted)


def _parts(store: StageStore, items: StageResult, config: TrainConfig) -> StageResult:
    """Split the identities, by hash, into those that train, calibrate and validate."""
    given = config.input.labels or LabelsConfig(path="")  # the config has made sure of it
    table = sources.open_source(store.spark, given, "labels")
    read = sources.source_fingerprint(store.spark, given, table)

    def split() -> DataFrame:
        named = named_labels(items.table, table, given.id_column, given.label_column)
        label = F.col("label").cast("string")
        percent = F.pmod(F.xxhash64(label, F.lit(f"part {config.mediator.seed}")), F.lit(100))
        part = F.when(percent < _SHARES[0], 0).when(percent < _SHARES[1], 1).otherwise(2).cast("int")
        known = items.table.join(named.where("label is not null"), "id", "inner")
        return known.select("item", F.xxhash64(label).alias("identity"), part.alias("part"))

    return store.stage(
        "parts", fingerprint(VERSION, items.fingerprint, given, read, config.mediator.seed), split, schema=_PARTS
    )


def _labelled_pairs(store: StageStore, features: StageResult, parts: StageResult) -> StageResult:
    """Keep the pairs inside one part, in files that each fit into memory and hold the same pairs every time."""

    def labelled() -> DataFrame:
        src, dst = (
            parts.table.select(
                F.col("item").alias(end), F.col("identity").alias(f"{end}_identity"), F.col("part").alias(f"{end}_part")
            )
            for end in ("src", "dst")
        )
        joined = features.table.join(src, "src", "inner").join(dst, "dst", "inner").where("src_part = dst_part")
        same = (F.col("src_identity") == F.col("dst_identity")).alias("same")
        chosen = joined.select("src", "dst", "features", same, F.col("src_part").alias("part"))
        files = max(1, -(-features.rows // _FILE_PAIRS))
        return chosen.repartition(files, F.xxhash64("src", "dst")).sortWithinPartitions("part", "src", "dst")

    key = fingerprint(VERSION, features.fingerprint, parts.fingerprint)
    return store.stage("labelled_pairs", key, labelled, schema=_LABELLED, partition_by=("part",))


@dataclass(frozen=True)
class _Pairs:
    src: NDArray[np.int64]
    dst: NDArray[np.int64]
    features: NDArray[np.float32]
    same: NDArray[np.bool_]


def _learned(
    store: StageStore, pairs: StageResult, parts: StageResult, config: TrainConfig
) -> tuple[Mlp, dict[str, Any]]:
    from cdp_spark.kernels.mediator_training import Recipe, calibrated, train_mlp

    held, judged = (_held_out(store, pairs, part) for part in (CALIBRATION, VALIDATION))
    files, rows = _files(store, pairs, TRAINING)
    _require_both(held, judged)
    readers: list[Callable[[], tuple[NDArray[np.float32], NDArray[np.bool_]]]] = [
        partial(_points, store, name) for name in files
    ]
    settings = config.mediator
    width = held.features.shape[1]
    hidden = settings.hidden or ((3 * width,) * 2 if settings.feature_set == "code" else (50, 50))
    recipe = Recipe(hidden, seed=settings.seed, epochs=settings.epochs, learning_rate=settings.learning_rate)
    mlp, curve = train_mlp(readers, rows, (held.features, held.same), recipe, store.progress.say)
    mlp = calibrated(mlp, held.features, held.same)
    card = {"pairs": {"training": rows, "calibration": len(held.same), "validation": len(judged.same)}, "curve": curve}
    card["domain"] = profile(held.features)
    return mlp, card | _validated(store, mlp, judged, parts, config)


def _validated(store: StageStore, mlp: Mlp, pairs: _Pairs, parts: StageResult, config: TrainConfig) -> dict[str, Any]:
    """Choose the threshold whose clusters of the held-out identities are best, and say how good they are."""
    table = parts.table.where(F.col("part") == VALIDATION).select("item", "identity").toArrow().sort_by("item")
    items = table.column("item").to_numpy()
    label = np.unique(table.column("identity").to_numpy(), return_inverse=True)[1]
    score = probabilities(mlp, pairs.features)
    limits = config.clusters
    curve = threshold_curve(
        np.searchsorted(items, pairs.src), np.searchsorted(items, pairs.dst), score, label,
        thresholds=[float(value) for value in THRESHOLDS],
        limits=Limits(limits.max_cluster_size, limits.threshold_step, limits.max_iter),
    )  # fmt: skip
    best = max(curve, key=lambda each: (each.pairwise_f, -each.threshold))
    kept = score > best.threshold
    return {
        "threshold": best.threshold,
        "threshold_curve": [asdict(each) for each in curve],
        "held_out": {
            "pairwise_f": best.pairwise_f,
            "bcubed_f": best.bcubed_f,
            "pair_precision": float(pairs.same[kept].mean()) if kept.any() else None,
            "pair_recall": float(kept[pairs.same].mean()),
            "positive_share": float(pairs.same.mean()),
            "calibration_error": _calibration_error(score, pairs.same),
            "note": "held-out identities alone: fewer look-alikes than in the whole set, so figures lean upwards",
        },
        "reliability": _reliability(score, pairs.same),
    }


def _reliability(score: NDArray[np.float32], same: NDArray[np.bool_]) -> list[dict[str, float]]:
    """Compare, in ten bins of the probability, what was said with what was true."""
    place = np.minimum((score * 10).astype(int), 9)
    bins = [(place == number) for number in range(10)]
    return [
        {"pairs": int(inside.sum()), "said": float(score[inside].mean()), "true": float(same[inside].mean())}
        for inside in bins
        if inside.any()
    ]


def _calibration_error(score: NDArray[np.float32], same: NDArray[np.bool_]) -> float:
    rows = _reliability(score, same)
    return sum(row["pairs"] * abs(row["said"] - row["true"]) for row in rows) / max(1, len(score))


def _files(store: StageStore, pairs: StageResult, part: int) -> tuple[list[str], int]:
    folder = f"{pairs.path}/part={part}"
    names = [f"{folder}/{info.path}" for info in store.folder.files(folder) if info.path.endswith(".parquet")]
    return names, store.folder.parquet_rows(names)


def _read(store: StageStore, name: str) -> _Pairs:
    table = store.folder.read_parquet(name).combine_chunks()
    features = table.column("features").combine_chunks()
    values = features.flatten().to_numpy().reshape(len(table), -1) if len(table) else np.empty((0, 0), np.float32)
    src, dst, same = (table.column(column).to_numpy() for column in ("src", "dst", "same"))
    return _Pairs(src, dst, values, same)


def _points(store: StageStore, name: str) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    pairs = _read(store, name)
    return pairs.features, pairs.same


def _held_out(store: StageStore, pairs: StageResult, part: int) -> _Pairs:
    """Read one held-out part, or as many of its files as one process may hold."""
    found: list[_Pairs] = []
    for name in _files(store, pairs, part)[0]:
        if sum(len(each.same) for each in found) < _HELD_OUT_PAIRS:
            found.append(_read(store, name))
    if not found:
        raise InputError(
            f"labels: no pair of neighbours inside the {'calibration' if part == CALIBRATION else 'validation'} part: "
            "label more identities"
        )
    return _Pairs(*(np.concatenate([getattr(each, name) for each in found]) for name in _Pairs.__dataclass_fields__))


def _require_both(*parts: _Pairs) -> None:
    for pairs in parts:
        if pairs.same.all() or not pairs.same.any():
            kind = "different" if pairs.same.all() else "the same"
            raise InputError(f"labels: no held-out pair of neighbours has {kind} labels: label more identities")
