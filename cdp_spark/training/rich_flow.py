"""Labelled worlds -> the pair mediator, cross-fitted and calibrated, and the cluster mediator.

Two networks learn from the pairs inside each fold of the identities. Their cross-fitted predictions are calibrated, and
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
from cdp_spark.networks.kernels.mlp import Ensemble, Mlp, world_targets
from cdp_spark.runs import register
from cdp_spark.runs.stage_store import StageResult, StageStore
from cdp_spark.scoring.kernels.world_model import WorldModel, WorldRange, profile, pure_mixtures
from cdp_spark.scoring.mediator_folder import Mediator
from cdp_spark.spark.arrow import matrix_of
from cdp_spark.training import cross_fitted as cross_fitted_stage
from cdp_spark.training import world_tables as stage
from cdp_spark.training.held_out import best_threshold, labels_of, reliability, sampled_features
from cdp_spark.training.kernels.cluster_examples import trust_in
from cdp_spark.training.pair_networks import files_of, pair_nets, report
from cdp_spark.training.worlds import Worlds, labelled_worlds

if TYPE_CHECKING:
    from cdp_spark.training.kernels.train_rich_network import NetRecipe

_CALIBRATED_ON = 2_000_000
"""Largest number of pairs to which the calibration is fitted."""
_EXAMPLES = 4_000_000

Floats = NDArray[np.float32]
Longs = NDArray[np.int64]


def consensus_mediator(
    store: StageStore, intake: Intake, people: StageResult, columns: list[int], config: TrainConfig
) -> Mediator:
    """Train both mediators; the caller adds the common keys of a card (models, features, ...).

    Parameters
    ----------
    store : StageStore
    intake : Intake
    people : StageResult (item: long, identity: long)
    columns : list of int
        Columns of the features to learn from.
    config : TrainConfig

    Raises
    ------
    InputError
        If there are too few labels.
    """
    worlds = labelled_worlds(store, intake, people, columns, config)
    identities = people.table.agg(F.countDistinct("identity")).collect()[0][0]
    halves = pair_nets(store, worlds, config, identities=identities)
    count, seed = len(worlds.items), config.mediator.seed
    digests = [net.digest for half in halves for net in half.nets]
    pairs = store.stage(
        register.CROSS_FITTED,
        fingerprint(register.CROSS_FITTED.version, worlds.pairs.fingerprint, digests, seed),
        lambda: cross_fitted_stage.cross_fitted_logits(worlds.clustered, halves, count, seed=seed),
        schema=schemas.CROSS_FITTED_PAIRS,
    )
    embeddings = Embeddings.of(intake.vectors) if config.mediator.with_embeddings else None
    trust = trust_in(identities)
    fitted = _CrossFitted(pairs, _calibrations(pairs, count), config.knn.k, trust, worlds.members.table, embeddings)
    cluster_net = _cluster_net(store, fitted, worlds, config)
    label = labels_of(people.table.toArrow(), intake.item_count)
    pruned, curve = best_threshold(store, _scored(store, fitted), label, label >= 0, config)
    card = {
        "pairs": {"all": worlds.pairs.rows},
        "worlds": {"gammas": list(config.mediator.worlds), "items": worlds.items},
        "held_out": _held_out(store, fitted, people, label, cluster_net)
        | {"pruning": {"pairwise_f": pruned.pairwise_f, "bcubed_f": pruned.bcubed_f}},
        "domain": profile(sampled_features(worlds.pairs, "world", "src", "dst")),
        "threshold": pruned.threshold,
        "threshold_curve": curve,
        "trust": trust,
        "with_embeddings": embeddings is not None,
        "data": worlds.pairs.fingerprint,
    }
    nets = Ensemble((*halves[0].nets, *halves[1].nets))
    return Mediator(nets, card, cluster_net, _world_model(worlds, fitted, config)).fitted([1 / count] * count)


@dataclass(frozen=True)
class _CrossFitted:
    """Cross-fitted pairs, and the calibration of their logits in each world."""

    pairs: StageResult
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
            self.pairs.fingerprint,
            [asdict(each) for each in self.calibrations],
            self.k,
            self.trust,
            known,
        )

    def learned(self, net: Ensemble) -> Rule:
        """Return the rule that scores links by this network and its trust."""
        return Rule(net.logits, self.k, self.trust)

    @property
    def teaching(self) -> DataFrame:
        """The cross-fitted pairs that calibrate the logits."""
        return stage.teaching(self.pairs.table)

    @property
    def rows(self) -> DataFrame:
        """All cross-fitted pairs, with the items' vectors if the rule reads them."""
        if self.embeddings is None:
            return self.pairs.table
        return with_vectors(self.pairs.table, self.members, self.embeddings.table)

    @property
    def dimensions(self) -> tuple[int, ...]:
        """Lengths of the vectors that come with the rows."""
        return () if self.embeddings is None else self.embeddings.dimensions


def _calibrations(pairs: StageResult, worlds: int) -> tuple[Calibration, ...]:
    """Fit a calibration for each world to a hash sample of its cross-fitted pairs."""
    every = max(1, -(-pairs.rows // _CALIBRATED_ON))
    same = (F.col("src_identity") == F.col("dst_identity")).alias("same")
    chosen = stage.teaching(pairs.table).where(F.pmod(F.xxhash64("src", "dst"), F.lit(every)) == 0)
    rows = chosen.select("world", "src", "dst", "z", same).toArrow().combine_chunks()
    rows = rows.sort_by([("world", "ascending"), ("src", "ascending"), ("dst", "ascending")])
    world, z, true = (rows.column(name).to_numpy() for name in ("world", "z", "same"))
    calibrations = []
    for number in range(worlds):
        here = world == number
        some = 0 < true[here].sum() < here.sum()
        calibrations.append(Calibration.of(z[here], true[here], np.ones(here.sum())) if some else Calibration())
    return tuple(calibrations)


def _cluster_net(store: StageStore, fitted: _CrossFitted, worlds: Worlds, config: TrainConfig) -> Ensemble:
    """Learn in two passes: the first driven by the mean logit, the second by the network of the first.

    The network predicts world and identity together, which fits any mixture of worlds.
    """
    from cdp_spark.training.kernels.train_rich_network import NetRecipe

    recipe, count = NetRecipe(seed=config.mediator.seed, learning_rate=config.mediator.learning_rate), len(worlds.items)
    share = _EXAMPLES // (2 * count)
    rules, seen = [Rule(_mean_z, fitted.k)] * count, []
    net: Mlp | None = None
    for number in (1, 2):
        key = fingerprint(fitted.fingerprint, number, share, None if net is None else net.digest)
        build = partial(
            cross_fitted_stage.examples, fitted.rows, fitted.calibrations, rules, share, dimensions=fitted.dimensions
        )
        examples = store.stage(
            register.CLUSTER_EXAMPLES.of(f"pass-{number}"), key, build, schema=cross_fitted_stage.EXAMPLES
        )
        seen.append(_balanced(store, examples, count))
        features, targets, weight = (np.concatenate(column) for column in zip(*seen, strict=True))
        net = _trained((features, targets, weight), recipe, partial(report, store, f"clusters, pass {number} of 2"))
        rules = [fitted.learned(Ensemble((net,), mixture=mixture)) for mixture in pure_mixtures(count)]
    return Ensemble((cast(Mlp, net),))


def _trained(data: tuple[Floats, Floats, Floats], recipe: NetRecipe, say: Callable[[str], object] = str) -> Mlp:
    """Train on rows that are in memory: features, targets, weights."""
    from cdp_spark.training.kernels.train_rich_network import train_net

    return train_net([lambda: data], len(data[2]), recipe, say)


def _mean_z(features: Floats) -> NDArray[np.float64]:
    return features[:, MEAN].astype(np.float64)


def _balanced(store: StageStore, examples: StageResult, worlds: int) -> tuple[Floats, Floats, Floats]:
    """Read examples, with equal weight per world and in a fixed order, on which a network depends."""
    names = files_of(store, examples.path)
    table = pa.concat_tables([store.folder.read_parquet(name) for name in names]).combine_chunks()
    numbers = np.column_stack([table.column(name).to_numpy() for name in ("same", "weight", "world")])
    rows = matrix_of(table.column("features").combine_chunks())
    table = table.take(np.lexsort(np.column_stack([rows, numbers]).T))
    world, weight = table.column("world").to_numpy(), table.column("weight").to_numpy()
    total = np.bincount(world, weights=weight, minlength=worlds)
    scaled = (weight / np.maximum(total, 1e-12)[world] * (len(world) / worlds)).astype(np.float32)
    features = matrix_of(table.column("features").combine_chunks())
    return features, world_targets(table.column("same").to_numpy(), world, worlds), scaled


def _scored(store: StageStore, fitted: _CrossFitted) -> StageResult:
    """Score the pairs of the labelled set (world 0) by cross-fitted logits, for rules with a threshold."""
    score = _probability(fitted.calibrations[0]).cast("float").alias("score")
    return store.stage(
        register.TRAINING_SCORES,
        fitted.fingerprint,
        lambda: fitted.pairs.table.where("world = 0").select("src", "dst", score),
        schema=schemas.SCORED_PAIRS,
    )


def _probability(calibration: Calibration) -> Column:
    """Return the probability of a pair from its cross-fitted logit."""
    return 1 / (1 + F.exp(-(F.lit(calibration.slope) * F.col("z") + F.lit(calibration.shift))))


def _held_out(
    store: StageStore, fitted: _CrossFitted, people: StageResult, label: Longs, cluster_net: Ensemble
) -> dict[str, Any]:
    """Evaluate the clusters of the labelled set (world 0) by cross-fitted logits."""
    teaching, every, rows = (table.where("world = 0") for table in (fitted.teaching, fitted.pairs.table, fitted.rows))
    calibration, calibrations = fitted.calibrations[0], [asdict(each) for each in fitted.calibrations]
    same = (F.col("src_identity") == F.col("dst_identity")).cast("double")
    figures: dict[str, Any] = {"positive_share": teaching.agg(F.avg(same)).collect()[0][0]}
    as_it_is = replace(cluster_net, mixture=pure_mixtures(len(fitted.calibrations))[0])
    rules = {"contraction": Rule(None, fitted.k), "learned": fitted.learned(as_it_is)}
    items = np.flatnonzero(label >= 0)
    for name, rule in rules.items():
        key = fingerprint(fitted.fingerprint, name, cluster_net.digest)
        reads = () if rule.score is None else fitted.dimensions
        build = partial(cross_fitted_stage.roots, rows if reads else every, calibration, rule, dimensions=reads)
        clusters = store.stage(register.HELD_OUT.of(name), key, build, schema=cross_fitted_stage.ROOTS)
        # Identities of the crowd are unknown, so only labelled items are compared.
        table = clusters.table.join(people.table, "item", "left_semi").toArrow()
        root = items.copy()
        root[np.searchsorted(items, table.column("item").to_numpy())] = table.column("root").to_numpy()
        metrics = scores(sums_of(np.unique(root, return_inverse=True)[1], label[items]))
        figures[name] = {metric: metrics[metric] for metric in ("pairwise_f", "bcubed_f")}
    return {
        **figures, **figures["learned"], **reliability(teaching, _probability(calibration), same),
        "calibrations": calibrations,
        "note": "the labelled items as they are, amid the crowd if there is one, each pair scored by a network that "
        "has seen neither identity; the cluster mediator has seen them",
    }  # fmt: skip


def _world_model(worlds: Worlds, fitted: _CrossFitted, config: TrainConfig) -> WorldModel:
    """Learn to distinguish the worlds, with equal priors."""
    from cdp_spark.training.kernels.train_rich_network import NetRecipe

    features = np.concatenate(worlds.densities)
    number = np.repeat(np.arange(len(worlds.densities)), [len(sample) for sample in worlds.densities])
    targets = np.eye(len(worlds.densities), dtype=np.float32)[number]
    weight = (1 / np.maximum(np.bincount(number), 1))[number].astype(np.float32)
    recipe = NetRecipe(hidden=(32,), seed=config.mediator.seed)
    net = _trained((features, targets, weight), recipe)
    calibrations = np.array([[each.slope, each.shift] for each in fitted.calibrations])
    return WorldModel(net, tuple(WorldRange.of(sample) for sample in worlds.densities), calibrations)
