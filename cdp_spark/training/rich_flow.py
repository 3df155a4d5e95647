"""Labelled worlds -> the mediators of the learned consensus: of pairs, cross-fitted and calibrated, and of clusters.

Two networks learn from the pairs inside one half of the identities each; their honest predictions are calibrated, and
drive the agglomeration of the worlds, from which the cluster mediator learns.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from cdp_spark.agglomeration.flow import Embeddings
from cdp_spark.agglomeration.kernels.agglomeration import Rule
from cdp_spark.agglomeration.kernels.link_features import MEAN
from cdp_spark.agglomeration.pieces_to_clusters import with_vectors
from cdp_spark.base import schemas
from cdp_spark.config.sections import fingerprint
from cdp_spark.config.whole import TrainConfig
from cdp_spark.evaluation.kernels.metrics import scores, sums_of
from cdp_spark.intake.flow import Intake
from cdp_spark.networks.kernels.cross_fitting import Calibration
from cdp_spark.networks.kernels.mlp import Ensemble, Mlp
from cdp_spark.networks.kernels.world_mixtures import world_targets
from cdp_spark.runs import register
from cdp_spark.runs.stage_store import StageResult, StageStore
from cdp_spark.scoring.kernels.data_shift import profile
from cdp_spark.scoring.kernels.world_model import WorldModel, WorldRange, pure_mixtures
from cdp_spark.scoring.mediator_folder import Mediator
from cdp_spark.spark.arrow import matrix_of
from cdp_spark.training import cross_fitted as honest_stage
from cdp_spark.training import world_tables as stage
from cdp_spark.training.held_out import best_threshold, labels_of, reliability, sampled_features
from cdp_spark.training.kernels.cluster_examples import trust_in
from cdp_spark.training.pair_networks import files_of, pair_nets, told
from cdp_spark.training.worlds import Worlds, labelled_worlds

if TYPE_CHECKING:
    from cdp_spark.training.kernels.train_rich_network import NetRecipe

_CALIBRATED_ON = 2_000_000
"""Pairs, most of them, that the calibration is fitted to."""
_EXAMPLES = 4_000_000

Floats = NDArray[np.float32]
Longs = NDArray[np.int64]


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
    identities = people.table.agg(F.countDistinct("identity")).collect()[0][0]
    halves = pair_nets(store, worlds, config, identities=identities)
    count, seed = len(worlds.items), config.mediator.seed
    digests = [net.digest for half in halves for net in half.nets]
    honest = store.stage(
        register.CROSS_FITTED,
        fingerprint(register.CROSS_FITTED.version, worlds.pairs.fingerprint, digests, seed),
        lambda: honest_stage.honest_logits(worlds.clustered, halves, count, seed=seed),
        schema=schemas.CROSS_FITTED_PAIRS,
    )
    embeddings = Embeddings.of(intake.vectors) if config.mediator.with_embeddings else None
    trust = trust_in(identities)
    judged = _Judged(honest, _calibrations(honest, count), config.knn.k, trust, worlds.members.table, embeddings)
    cluster_net = _cluster_net(store, judged, worlds, config)
    label = labels_of(people.table.toArrow(), intake.item_count)
    pruned, curve = best_threshold(store, _scored(store, judged), label, label >= 0, config)
    card = {
        "pairs": {"all": worlds.pairs.rows},
        "worlds": {"gammas": list(config.mediator.worlds), "items": worlds.items},
        "held_out": _held_out(store, judged, people, label, cluster_net)
        | {"pruning": {"pairwise_f": pruned.pairwise_f, "bcubed_f": pruned.bcubed_f}},
        "domain": profile(sampled_features(worlds.pairs, "world", "src", "dst")),
        "threshold": pruned.threshold,
        "threshold_curve": curve,
        "trust": trust,
        "with_embeddings": embeddings is not None,
        "data": worlds.pairs.fingerprint,
    }
    nets = Ensemble((*halves[0].nets, *halves[1].nets))
    return Mediator(nets, card, cluster_net, _world_model(worlds, judged, config)).fitted([1 / count] * count)


@dataclass(frozen=True)
class _Judged:
    """Honest pairs, and how their logits are calibrated in each world."""

    honest: StageResult
    calibrations: tuple[Calibration, ...]
    k: int
    trust: float
    members: DataFrame
    embeddings: Embeddings | None

    @property
    def fingerprint(self) -> str:
        known = self.embeddings and self.embeddings.fingerprint
        return fingerprint(
            register.CROSS_FITTED.version,
            self.honest.fingerprint,
            [asdict(each) for each in self.calibrations],
            self.k,
            self.trust,
            known,
        )

    def learned(self, net: Ensemble) -> Rule:
        """Return the rule that judges clusters by this network, as far as it is trusted."""
        return Rule(net.logits, self.k, self.trust)

    @property
    def teaching(self) -> DataFrame:
        """The honest pairs by which is judged how probable a pair is."""
        return stage.teaching(self.honest.table)

    @property
    def rows(self) -> DataFrame:
        """All honest pairs and, where they are read, the vectors of the items of all worlds."""
        if self.embeddings is None:
            return self.honest.table
        return with_vectors(self.honest.table, self.members, self.embeddings.table)

    @property
    def dimensions(self) -> tuple[int, ...]:
        """Lengths of the vectors that come with the rows."""
        return () if self.embeddings is None else self.embeddings.dimensions


def _calibrations(honest: StageResult, worlds: int) -> tuple[Calibration, ...]:
    """Fit one per world to a hash sample of its honest pairs."""
    every = max(1, -(-honest.rows // _CALIBRATED_ON))
    same = (F.col("src_identity") == F.col("dst_identity")).alias("same")
    chosen = stage.teaching(honest.table).where(F.pmod(F.xxhash64("src", "dst"), F.lit(every)) == 0)
    rows = chosen.select("world", "src", "dst", "z", same).toArrow().combine_chunks()
    rows = rows.sort_by([("world", "ascending"), ("src", "ascending"), ("dst", "ascending")])
    world, z, true = (rows.column(name).to_numpy() for name in ("world", "z", "same"))
    found = []
    for number in range(worlds):
        here = world == number
        some = 0 < true[here].sum() < here.sum()
        found.append(Calibration.of(z[here], true[here], np.ones(here.sum())) if some else Calibration())
    return tuple(found)


def _cluster_net(store: StageStore, judged: _Judged, worlds: Worlds, config: TrainConfig) -> Ensemble:
    """Learn from two passes: one driven by the mean logit, one by what the first has taught.

    The network names world and identity at once, so that it fits any mixture of worlds.
    """
    from cdp_spark.training.kernels.train_rich_network import NetRecipe

    recipe, count = NetRecipe(seed=config.mediator.seed, learning_rate=config.mediator.learning_rate), len(worlds.items)
    share = _EXAMPLES // (2 * count)
    rules, seen = [Rule(_mean_z, judged.k)] * count, []
    net: Mlp | None = None
    for number in (1, 2):
        key = fingerprint(judged.fingerprint, number, share, None if net is None else net.digest)
        build = partial(
            honest_stage.examples, judged.rows, judged.calibrations, rules, share, dimensions=judged.dimensions
        )
        found = store.stage(register.CLUSTER_EXAMPLES.of(f"pass-{number}"), key, build, schema=honest_stage.EXAMPLES)
        seen.append(_balanced(store, found, count))
        features, targets, weight = (np.concatenate(column) for column in zip(*seen, strict=True))
        net = _trained((features, targets, weight), recipe, partial(told, store, f"clusters, pass {number} of 2"))
        rules = [judged.learned(Ensemble((net,), mixture=mixture)) for mixture in pure_mixtures(count)]
    return Ensemble((cast(Mlp, net),))


def _trained(data: tuple[Floats, Floats, Floats], recipe: NetRecipe, say: Callable[[str], object] = str) -> Mlp:
    """Train on rows that are in memory: features, targets, weights."""
    from cdp_spark.training.kernels.train_rich_network import train_net

    return train_net([lambda: data], len(data[2]), recipe, say)


def _mean_z(features: Floats) -> NDArray[np.float64]:
    return features[:, MEAN].astype(np.float64)


def _balanced(store: StageStore, found: StageResult, worlds: int) -> tuple[Floats, Floats, Floats]:
    """Read examples; all worlds weigh the same. In one order, since a network depends on that of its rows."""
    names = files_of(store, found.path)
    table = pa.concat_tables([store.folder.read_parquet(name) for name in names]).combine_chunks()
    numbers = np.column_stack([table.column(name).to_numpy() for name in ("same", "weight", "world")])
    rows = matrix_of(table.column("features").combine_chunks())
    table = table.take(np.lexsort(np.column_stack([rows, numbers]).T))
    world, weight = table.column("world").to_numpy(), table.column("weight").to_numpy()
    total = np.bincount(world, weights=weight, minlength=worlds)
    scaled = (weight / np.maximum(total, 1e-12)[world] * (len(world) / worlds)).astype(np.float32)
    features = matrix_of(table.column("features").combine_chunks())
    return features, world_targets(table.column("same").to_numpy(), world, worlds), scaled


def _scored(store: StageStore, judged: _Judged) -> StageResult:
    """Score the pairs of the labelled part as it is, by honest logits: what is pruned by a threshold reads them."""
    score = _probability(judged.calibrations[0]).cast("float").alias("score")
    return store.stage(
        register.TRAINING_SCORES,
        judged.fingerprint,
        lambda: judged.honest.table.where("world = 0").select("src", "dst", score),
        schema=schemas.SCORED_PAIRS,
    )


def _probability(calibration: Calibration) -> Column:
    """Return how probable a pair is by its honest logit."""
    return 1 / (1 + F.exp(-(F.lit(calibration.slope) * F.col("z") + F.lit(calibration.shift))))


def _held_out(
    store: StageStore, judged: _Judged, people: StageResult, label: Longs, cluster_net: Ensemble
) -> dict[str, Any]:
    """Judge the clusters of the labelled part as it is, by honest logits."""
    teaching, every, rows = (table.where("world = 0") for table in (judged.teaching, judged.honest.table, judged.rows))
    calibration, calibrations = judged.calibrations[0], [asdict(each) for each in judged.calibrations]
    same = (F.col("src_identity") == F.col("dst_identity")).cast("double")
    found: dict[str, Any] = {"positive_share": teaching.agg(F.avg(same)).collect()[0][0]}
    as_it_is = replace(cluster_net, mixture=pure_mixtures(len(judged.calibrations))[0])
    rules = {"contraction": Rule(None, judged.k), "learned": judged.learned(as_it_is)}
    items = np.flatnonzero(label >= 0)
    for name, rule in rules.items():
        key = fingerprint(judged.fingerprint, name, cluster_net.digest)
        reads = () if rule.score is None else judged.dimensions
        build = partial(honest_stage.roots, rows if reads else every, calibration, rule, dimensions=reads)
        clusters = store.stage(register.HELD_OUT.of(name), key, build, schema=honest_stage.ROOTS)
        # Of the crowd nothing is known by which to judge.
        table = clusters.table.join(people.table, "item", "left_semi").toArrow()
        root = items.copy()
        root[np.searchsorted(items, table.column("item").to_numpy())] = table.column("root").to_numpy()
        judged_by = scores(sums_of(np.unique(root, return_inverse=True)[1], label[items]))
        found[name] = {metric: judged_by[metric] for metric in ("pairwise_f", "bcubed_f")}
    return {
        **found, **found["learned"], **reliability(teaching, _probability(calibration), same),
        "calibrations": calibrations,
        "note": "the labelled items as they are, amid the crowd if there is one, each pair judged by a network that "
        "has seen neither identity; the cluster mediator has seen them",
    }  # fmt: skip


def _world_model(worlds: Worlds, judged: _Judged, config: TrainConfig) -> WorldModel:
    """Learn to tell worlds apart; all are equally likely."""
    from cdp_spark.training.kernels.train_rich_network import NetRecipe

    features = np.concatenate(worlds.densities)
    number = np.repeat(np.arange(len(worlds.densities)), [len(part) for part in worlds.densities])
    targets = np.eye(len(worlds.densities), dtype=np.float32)[number]
    weight = (1 / np.maximum(np.bincount(number), 1))[number].astype(np.float32)
    recipe = NetRecipe(hidden=(32,), seed=config.mediator.seed)
    net = _trained((features, targets, weight), recipe)
    calibrations = np.array([[each.slope, each.shift] for each in judged.calibrations])
    return WorldModel(net, tuple(WorldRange.of(part) for part in worlds.densities), calibrations)
