"""A mediator on disk: a folder of safetensors weights and one JSON card. Loading never unpickles.

The card describes the weights: models in order, feature set and names, k, candidates, calibration, threshold,
its training, and its quality on held-out identities.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from cdp_spark.agglomeration.kernels.link_features import link_feature_names
from cdp_spark.base.errors import ConfigError
from cdp_spark.config.sections import fingerprint
from cdp_spark.files.folder import Folder
from cdp_spark.networks.kernels.mlp import Ensemble, Mlp
from cdp_spark.networks.weights_file import Tensors, as_bytes, from_bytes, is_pickle, net_of, tensors_of
from cdp_spark.runs.documents import object_of
from cdp_spark.scoring.kernels.world_model import WorldModel, WorldRange

FORMAT = 2
CARD, WEIGHTS = "card.json", "mediator.safetensors"
_NEEDED = (
    "models", "k", "features", "all_features", "candidates", "feature_set", "calibration", "threshold", "domain",
    "held_out",
)  # fmt: skip


class _Calibration(BaseModel):
    slope: float
    shift: float
    mixture: list[float] | None


class Domain(BaseModel):
    """Distribution of one feature in the training: shares of the pairs between edges."""

    edges: list[float]
    shares: list[float]


class HeldOut(BaseModel):
    """Figures on held-out identities."""

    model_config = ConfigDict(extra="allow", frozen=True)

    positive_share: float


class MediatorCard(BaseModel):
    """The typed keys of a card; further keys describe the training."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True, allow_inf_nan=False)

    models: list[str]
    k: int
    features: list[str]
    all_features: list[str]
    candidates: Literal["base", "all"]
    feature_set: Literal["code", "paper", "rich"]
    calibration: _Calibration | None = None
    threshold: float
    domain: list[Domain]
    held_out: HeldOut
    trust: float = 1.0
    with_embeddings: bool = False


@dataclass(frozen=True)
class Mediator:
    """A trained mediator.

    Attributes
    ----------
    pairs : Ensemble
        Scores pairs.
    card : dict
        Contents of ``card.json``; ``known`` has the same with types.
    cluster_net : Ensemble, optional
        The cluster mediator: scores whether two clusters are one identity.
    worlds : WorldModel, optional
        Estimates from the similarities of an item's neighbours which simulated world it resembles.
    """

    pairs: Ensemble
    card: dict[str, Any]
    cluster_net: Ensemble | None = None
    worlds: WorldModel | None = None

    @cached_property
    def known(self) -> MediatorCard:
        """The card, with types."""
        return MediatorCard.model_validate(self.card)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of everything that affects the score of a pair."""
        nets = [[net.digest for net in self.pairs.nets], self.pairs.mixture]
        return fingerprint(nets, self.pairs.slope, self.pairs.shift, self.known.features, self.known.candidates)

    @property
    def with_embeddings(self) -> bool:
        """Whether the cluster mediator reads vectors."""
        return self.known.with_embeddings

    @property
    def trust(self) -> float:
        """Weight of the cluster mediator beside the sum of z; 1 if the card has none."""
        return self.known.trust

    @property
    def columns(self) -> list[int]:
        """Columns of its feature set that it reads."""
        names = self.known.all_features
        return [names.index(name) for name in self.known.features]

    def fitted(self, shares: Sequence[float]) -> Mediator:
        """Return it with its networks weighted for these shares of its worlds; unchanged if it has no worlds."""
        if self.worlds is None:
            return self
        pairs = self.worlds.fitted(self.pairs, shares)
        clusters = None if self.cluster_net is None else replace(self.cluster_net, mixture=pairs.mixture)
        return replace(self, pairs=pairs, cluster_net=clusters)


def write_mediator(output: str, mediator: Mediator) -> None:
    """Write the folder; the card comes last, so that a folder with a card is complete."""
    tensors: Tensors = {}
    for number, net in enumerate(mediator.pairs.nets):
        tensors |= tensors_of(f"pairs.{number}", net)
    if mediator.cluster_net is not None:
        for number, net in enumerate(mediator.cluster_net.nets):
            tensors |= tensors_of(f"clusters.{number}", net)
    if mediator.worlds is not None:
        tensors |= tensors_of("worlds", mediator.worlds.classifier)
        tensors["worlds.calibrations"] = mediator.worlds.calibrations
        for number, known in enumerate(mediator.worlds.ranges):
            of_world = {"centre": known.centre, "whitening": known.whitening, "limit": np.array([known.limit])}
            tensors |= {f"range.{number}.{name}": array for name, array in of_world.items()}
    folder = Folder(output)
    folder.write_bytes(WEIGHTS, as_bytes(tensors))
    calibration = {name: getattr(mediator.pairs, name) for name in ("slope", "shift", "mixture")}
    card = {"format": FORMAT, "kind": "cdp-spark mediator", **mediator.card, "calibration": calibration}
    folder.write(CARD, json.dumps(card, indent=1))


def load_mediator(location: str, *, models: Sequence[str], k: int) -> Mediator:
    """Read a mediator and check that it fits.

    Parameters
    ----------
    location : str
    models : sequence of str
        Names of the run's models, base first.
    k : int
        Neighbours in the run's graphs.

    Raises
    ------
    ConfigError
        If it is missing, damaged, of a newer format, or made for other models, another k or other features.
    """
    folder = Folder(location)
    card = _card(folder, location)
    if card["models"] != list(models):
        raise ConfigError(
            f"mediator {location} was trained for {', '.join(card['models'])} (base first); the run has "
            f"{', '.join(models)}: give the same models in the same order, or train another"
        )
    if card["k"] != k:
        raise ConfigError(
            f"mediator {location} was trained with knn.k {card['k']}; the run has {k}: set knn.k, or train"
        )
    tensors = _tensors(folder, location)
    try:
        mediator = _put_together(tensors, card)
    except (KeyError, ValueError, TypeError):
        raise ConfigError(f"mediator {location}: {WEIGHTS} is truncated or damaged: train it again") from None
    if any(len(net.mean) != len(card["features"]) for net in mediator.pairs.nets):
        raise ConfigError(
            f"mediator {location}: its weights are for other features than its card names: train it again"
        )
    if not all(np.isfinite(value).all() for value in tensors.values()) or not mediator.pairs.slope > 0:
        raise ConfigError(f"mediator {location} has weights that are not finite: train it again")
    return mediator


def require_cluster_net(mediator: Mediator, location: str) -> Ensemble:
    """Return the cluster mediator.

    Raises
    ------
    ConfigError
        If this mediator has none.
    """
    if mediator.cluster_net is None:
        raise ConfigError(
            f"mediator {location} has no cluster mediator, which clusters.rule learned needs: train it with "
            "mediator.feature_set: rich, or set clusters.rule: contraction"
        )
    return mediator.cluster_net


def _card(folder: Folder, location: str) -> dict[str, Any]:
    data = folder.read_bytes(CARD)
    if data is None:
        raise ConfigError(f"mediator {location} has no {CARD}: give a folder that `cdp-spark train` has written")
    try:
        card = object_of(data)
        kind, version = card["kind"], card["format"]
    except (ValueError, KeyError):
        raise ConfigError(f"mediator {location}: {CARD} is not the card of a mediator: train it again") from None
    if kind != "cdp-spark mediator" or not isinstance(version, int) or version > FORMAT:
        raise ConfigError(f"mediator {location} has format {version}, newer than {FORMAT}: update cdp-spark")
    if version < FORMAT:
        raise ConfigError(f"mediator {location} has format {version}, older than {FORMAT}: train it again")
    missing = [name for name in _NEEDED if name not in card]
    if missing or not _features_fit(card):
        raise ConfigError(f"mediator {location}: its card lacks {', '.join(missing) or 'its features'}: train it again")
    try:
        MediatorCard.model_validate(card)
    except ValidationError as error:
        where = ".".join(str(step) for step in error.errors(include_url=False)[0]["loc"])
        raise ConfigError(f"mediator {location}: its card is truncated or damaged at {where}: train it again") from None
    return card


def _features_fit(card: dict[str, Any]) -> bool:
    names = [card["features"], card["all_features"]]
    return all(isinstance(each, list) for each in names) and all(name in names[1] for name in names[0])


def _tensors(folder: Folder, location: str) -> Tensors:
    data = folder.read_bytes(WEIGHTS)
    if data is None:
        raise ConfigError(f"mediator {location} has no {WEIGHTS}: train it again")
    if is_pickle(data):
        raise ConfigError(f"mediator {location}: {WEIGHTS} is a pickle, which is never loaded: train it again")
    try:
        return from_bytes(data)
    except ValueError:
        raise ConfigError(f"mediator {location}: {WEIGHTS} is truncated or damaged: train it again") from None


def _put_together(tensors: Tensors, card: dict[str, Any]) -> Mediator:
    slope, shift, mixture = (card["calibration"][name] for name in ("slope", "shift", "mixture"))
    weights = None if mixture is None else tuple(map(float, mixture))
    nets, cluster_nets = (_nets(kind, tensors, weights) for kind in ("pairs", "clusters"))
    if not nets:
        raise ValueError("no network")
    clusters = Ensemble(cluster_nets, mixture=weights) if cluster_nets else None
    mediator = Mediator(Ensemble(nets, float(slope), float(shift), weights), card, clusters, _worlds(tensors))
    wanted = len(link_feature_names(len(card["models"]) if mediator.with_embeddings else 0))
    if any(len(net.mean) != wanted for net in cluster_nets):
        raise ValueError("a cluster mediator for other features")
    return mediator


def _nets(kind: str, tensors: Tensors, mixture: tuple[float, ...] | None) -> tuple[Mlp, ...]:
    nets: list[Mlp] = []
    while (name := f"{kind}.{len(nets)}") + ".mean" in tensors:
        net = net_of(name, tensors)
        nets.append(_with_outputs(net, 1 if mixture is None or len(net.layers[-1][1]) == 1 else 2 * len(mixture)))
    return tuple(nets)


def _worlds(tensors: Tensors) -> WorldModel | None:
    ranges: list[WorldRange] = []
    while (name := f"range.{len(ranges)}") + ".centre" in tensors:
        known = [tensors[f"{name}.{suffix}"] for suffix in ("centre", "whitening", "limit")]
        ranges.append(WorldRange(known[0], known[1], float(known[2][0])))
    if not ranges:
        return None
    calibrations = tensors["worlds.calibrations"]
    if calibrations.shape != (len(ranges), 2):
        raise ValueError("worlds without calibration")
    return WorldModel(_with_outputs(net_of("worlds", tensors), len(ranges)), tuple(ranges), calibrations)


def _with_outputs(net: Mlp, outputs: int) -> Mlp:
    if net.layers[-1][0].shape[1] != outputs:
        raise ValueError("a network with another number of outputs")
    return net
