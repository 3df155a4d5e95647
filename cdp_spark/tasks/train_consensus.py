"""Labelled worlds -> the mediators of the learned consensus: of pairs, cross-fitted and calibrated, and of clusters.

Two networks learn from the pairs inside one half of the identities each; their honest predictions are calibrated, and
drive the agglomeration of the worlds, from which the cluster mediator learns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache, partial
from typing import Any, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import functions as F

from cdp_spark.base.config import TrainConfig, fingerprint
from cdp_spark.base.errors import InputError
from cdp_spark.kernels.agglomeration import Rule
from cdp_spark.kernels.cross_fitting import Calibration, half_of, inside_weights
from cdp_spark.kernels.domain import profile
from cdp_spark.kernels.link_features import MEAN
from cdp_spark.kernels.metrics import scores, sums_of
from cdp_spark.kernels.mlp import Ensemble, Mlp, logits
from cdp_spark.kernels.worlds import WorldModel, WorldRange
from cdp_spark.runtime.mediators import Mediator
from cdp_spark.runtime.storage import StageResult, StageStore
from cdp_spark.stages import worlds as stage
from cdp_spark.tasks.intake import Intake
from cdp_spark.tasks.worlds import Worlds, labelled_worlds

VERSION = 1
_CALIBRATED_ON = 2_000_000
"""Pairs, most of them, that the calibration is fitted to."""
_EXAMPLES = 4_000_000
_SAMPLED = 50_000
_CLUSTER_EPOCHS = 6

Floats = NDArray[np.float32]


def consensus_mediator(
    store: StageStore, intake: Intake, people: StageResult, columns: list[int], config: TrainConfig
) -> Mediator:
    """Train all of the learned consensus; the card lacks what every mediator's has (models, features, ...).

    Parameters
    ----------
    store : StageStore
    intake : Intake
    people : StageResult (item: long, identity: long)
    columns : list of int
        Places of the features that are learned from.
    config : TrainConfig

    Raises
    ------
    InputError
        If the labels are too few.
    """
    worlds = labelled_worlds(store, intake, people, columns, config)
    per_pair = _world_weights(store, worlds)
    nets = _pair_nets(store, worlds, per_pair, config)
    honest = store.stage(
        "honest_pairs",
        fingerprint(VERSION, worlds.pairs.fingerprint, [net.digest for net in nets], config.mediator.seed),
        lambda: stage.honest_logits(worlds.pairs.table, nets, seed=config.mediator.seed),
        schema=stage.HONEST,
    )
    calibration = _calibration(honest, per_pair)
    judged = _Judged(honest, calibration, config.knn.k)
    cluster_net = _cluster_net(store, judged, worlds, config)
    card = {
        "pairs": {"all": worlds.pairs.rows},
        "worlds": {"gammas": list(config.mediator.worlds), "items": worlds.items},
        "held_out": _held_out(store, judged, people, cluster_net),
        "domain": profile(_sample(worlds.pairs)),
        "threshold": 0.5,
        "data": worlds.pairs.fingerprint,
    }
    pairs = Ensemble(nets, calibration.slope, calibration.shift)
    return Mediator(pairs, card, cluster_net, _world_model(worlds, config))


@dataclass(frozen=True)
class _Judged:
    """Honest pairs, and how their logits are calibrated."""

    honest: StageResult
    calibration: Calibration
    k: int

    @property
    def fingerprint(self) -> str:
        return fingerprint(VERSION, self.honest.fingerprint, self.calibration.slope, self.calibration.shift, self.k)


def _world_weights(store: StageStore, worlds: Worlds) -> NDArray[np.float32]:
    """Return what a pair of each world weighs: all worlds weigh the same."""

    def counted() -> dict[str, int]:
        return {str(row["world"]): row["count"] for row in worlds.pairs.table.groupBy("world").count().collect()}

    counts = store.facts("world_pair_counts", fingerprint(VERSION, worlds.pairs.fingerprint), counted)
    pairs = np.array([counts.get(str(world), 0) for world in range(len(worlds.items))], np.float64)
    weights: Floats = (pairs.sum() / len(pairs) / np.maximum(pairs, 1)).astype(np.float32)
    return weights


def _pair_nets(store: StageStore, worlds: Worlds, per_pair: Floats, config: TrainConfig) -> tuple[Mlp, Mlp]:
    """Train one network on the pairs inside each half of the identities."""
    from cdp_spark.kernels.consensus_training import NetRecipe, train_net

    settings = config.mediator
    recipe = NetRecipe(settings.hidden or (64, 64), settings.seed, settings.epochs or NetRecipe.epochs)
    names = _files(store, worlds.pairs)
    # One file is read once, more are read again each time: one is in memory.
    read = cache(partial(_inside, store, per_pair, settings.seed)) if len(names) == 1 else partial(
        _inside, store, per_pair, settings.seed
    )  # fmt: skip
    nets = []
    for half in (0, 1):
        parts = [partial(read, half, name) for name in names]
        rows = sum(len(part()[2]) for part in parts)
        _require_both(parts)
        told = partial(_told, store, f"pairs, half {half + 1} of 2")
        nets.append(train_net(parts, rows, recipe, told))
    return nets[0], nets[1]


def _require_both(parts: Sequence[Any]) -> None:
    shares = [part()[1] for part in parts]
    true = sum(float(share.sum()) for share in shares)
    if not 0 < true < sum(len(share) for share in shares):
        raise InputError("labels: half of the identities have no pair of neighbours of one, or of two: label more")


def _inside(store: StageStore, per_pair: Floats, seed: int, half: int, name: str) -> tuple[Floats, Floats, Floats]:
    """Read what the network of a half learns from in one file."""
    table = store.folder.read_parquet(name).combine_chunks()
    one, other = (half_of(table.column(f"{end}_identity").to_numpy(), seed=seed) for end in ("src", "dst"))
    same = table.column("same").to_numpy()
    weight = inside_weights(one, other, same, half) * per_pair[table.column("world").to_numpy()]
    kept = np.flatnonzero(weight)
    features = _matrix(table.column("features").combine_chunks(), len(table))
    return features[kept], same[kept, None].astype(np.float32), weight[kept]


def _calibration(honest: StageResult, per_pair: Floats) -> Calibration:
    """Fit it to a hash sample of the honest pairs."""
    every = max(1, -(-honest.rows // _CALIBRATED_ON))
    same = (F.col("src_identity") == F.col("dst_identity")).alias("same")
    chosen = honest.table.where(F.pmod(F.xxhash64("src", "dst"), F.lit(every)) == 0)
    rows = chosen.select("world", "src", "dst", "z", same).toArrow().combine_chunks()
    rows = rows.sort_by([("world", "ascending"), ("src", "ascending"), ("dst", "ascending")])
    weight = per_pair[rows.column("world").to_numpy()].astype(np.float64)
    return Calibration.of(rows.column("z").to_numpy(), rows.column("same").to_numpy(), weight)


def _cluster_net(store: StageStore, judged: _Judged, worlds: Worlds, config: TrainConfig) -> Mlp:
    """Learn from two passes: one driven by the mean logit, one by what the first has taught."""
    from cdp_spark.kernels.consensus_training import NetRecipe, train_net

    recipe = NetRecipe(seed=config.mediator.seed, epochs=_CLUSTER_EPOCHS)
    share = _EXAMPLES // (2 * len(worlds.items))
    most = dict.fromkeys(range(len(worlds.items)), share)
    rule, seen = Rule(_mean_z, judged.k), []
    net: Mlp | None = None
    for number in (1, 2):
        key = fingerprint(judged.fingerprint, number, share, None if net is None else net.digest)
        build = partial(stage.examples, judged.honest.table, judged.calibration, rule, most, tasks=len(worlds.items))
        found = store.stage(f"cluster_examples/pass-{number}", key, build, schema=stage.EXAMPLES)
        seen.append(_balanced(store, found, len(worlds.items)))
        features, same, weight = (np.concatenate(column) for column in zip(*seen, strict=True))
        parts = [lambda data=(features, same, weight): data]
        net = train_net(parts, len(same), recipe, partial(_told, store, f"clusters, pass {number} of 2"))
        rule = Rule(partial(logits, net), judged.k)
    return cast(Mlp, net)


def _mean_z(features: Floats) -> NDArray[np.float64]:
    return features[:, MEAN].astype(np.float64)


def _balanced(store: StageStore, found: StageResult, worlds: int) -> tuple[Floats, Floats, Floats]:
    """Read examples; all worlds weigh the same."""
    table = _read(store, found)
    world = table.column("world").to_numpy()
    weight = table.column("weight").to_numpy()
    total = np.bincount(world, weights=weight, minlength=worlds)
    scaled = (weight / np.maximum(total, 1e-12)[world] * (len(world) / worlds)).astype(np.float32)
    features = _matrix(table.column("features").combine_chunks(), len(table))
    return features, table.column("same").to_numpy()[:, None], scaled


def _held_out(store: StageStore, judged: _Judged, people: StageResult, cluster_net: Mlp) -> dict[str, Any]:
    """Judge the clusters of the labelled part as it is, by honest logits."""
    first = judged.honest.table.where("world = 0")
    z = F.lit(judged.calibration.slope) * F.col("z") + F.lit(judged.calibration.shift)
    same = (F.col("src_identity") == F.col("dst_identity")).cast("double")
    found: dict[str, Any] = {"positive_share": first.agg(F.avg(same)).collect()[0][0]}
    rules = {"contraction": Rule(None, judged.k), "learned": Rule(partial(logits, cluster_net), judged.k)}
    known = people.table.toArrow().combine_chunks().sort_by("item")
    items, identity = known.column("item").to_numpy(), known.column("identity").to_numpy()
    label = np.unique(identity, return_inverse=True)[1]
    for name, rule in rules.items():
        key = fingerprint(judged.fingerprint, name, cluster_net.digest)
        build = partial(stage.roots, first, judged.calibration, rule)
        table = store.stage(f"held_out/{name}", key, build, schema=stage.ROOTS).table.toArrow()
        root = items.copy()
        root[np.searchsorted(items, table.column("item").to_numpy())] = table.column("root").to_numpy()
        judged_by = scores(sums_of(np.unique(root, return_inverse=True)[1], label))
        found[name] = {metric: judged_by[metric] for metric in ("pairwise_f", "bcubed_f")}
    bins = first.groupBy(F.floor(F.lit(10) / (F.lit(1) + F.exp(-z))).alias("bin"))
    rows = bins.agg(F.count("*").alias("pairs"), F.avg(same).alias("true"), F.avg(1 / (1 + F.exp(-z))).alias("said"))
    reliability = [row.asDict() for row in rows.orderBy("bin").collect()]
    total = sum(row["pairs"] for row in reliability)
    found["calibration_error"] = sum(row["pairs"] * abs(row["said"] - row["true"]) for row in reliability) / max(
        total, 1
    )
    return {
        **found, **found["learned"], "reliability": reliability, "calibration": asdict(judged.calibration),
        "note": "the labelled items as they are, each pair judged by a network that has seen neither identity; the "
        "cluster mediator has seen them",
    }  # fmt: skip


def _world_model(worlds: Worlds, config: TrainConfig) -> WorldModel:
    """Learn to tell worlds apart; all are equally likely."""
    from cdp_spark.kernels.consensus_training import NetRecipe, train_net

    features = np.concatenate(worlds.densities)
    number = np.repeat(np.arange(len(worlds.densities)), [len(part) for part in worlds.densities])
    targets = np.eye(len(worlds.densities), dtype=np.float32)[number]
    weight = (1 / np.maximum(np.bincount(number), 1))[number].astype(np.float32)
    recipe = NetRecipe(hidden=(32,), seed=config.mediator.seed)
    net = train_net([lambda: (features, targets, weight)], len(features), recipe)
    return WorldModel(net, tuple(WorldRange.of(part) for part in worlds.densities))


def _sample(pairs: StageResult) -> Floats:
    every = max(1, pairs.rows // _SAMPLED)
    kept = pairs.table.where(F.pmod(F.xxhash64("world", "src", "dst"), F.lit(every)) == 0)
    rows = kept.select("features").toArrow().combine_chunks()
    return _matrix(rows.column("features").combine_chunks(), len(rows))


def _read(store: StageStore, found: StageResult) -> Any:
    return pa.concat_tables([store.folder.read_parquet(name) for name in _files(store, found)]).combine_chunks()


def _files(store: StageStore, result: StageResult) -> list[str]:
    files = store.folder.files(result.path)
    return [f"{result.path}/{info.path}" for info in files if info.path.endswith(".parquet")]


def _matrix(column: Any, rows: int) -> Floats:
    values: Floats = column.flatten().to_numpy()
    return values.reshape(rows, -1)


def _told(store: StageStore, what: str, line: str) -> None:
    store.progress.say(f"{what}: {line}")
