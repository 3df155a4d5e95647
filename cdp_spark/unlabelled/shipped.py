"""The mediator without labels on disk: a folder of safetensors weights and one JSON card, and the one that ships.

The card says what made it: which simulated sets, which seed, which versions, and the log losses on held-out sets.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from cdp_spark.agglomeration.kernels.link_features import LINK_FEATURES
from cdp_spark.base.errors import ConfigError
from cdp_spark.config.mediator_kind import CARD
from cdp_spark.config.mediator_kind import WITHOUT_LABELS as KIND
from cdp_spark.files.folder import Folder
from cdp_spark.networks.kernels.mlp import Mlp
from cdp_spark.networks.weights_file import Tensors, as_bytes, from_bytes, is_pickle, net_of, tensors_of
from cdp_spark.runs.documents import object_of
from cdp_spark.unlabelled.kernels.mediator import UnlabelledMediator
from cdp_spark.unlabelled.kernels.pair_features import feature_names
from cdp_spark.unlabelled.kernels.second_look import AROUND

SHIPPED = str(Path(__file__).parents[1] / "mediators" / "shipped")
"""The mediator that comes with the package: 400 sets drawn, seed 0."""

FORMAT = 1
WEIGHTS = "mediator.safetensors"


def write_unlabelled(output: str, mediator: UnlabelledMediator, card: dict[str, Any]) -> None:
    """Write the folder; the card comes last, so that a folder with a card is whole."""
    tensors: Tensors = tensors_of("clusters", mediator.clusters)
    for look in ("first", "second"):
        for number, net in enumerate(getattr(mediator, look)):
            tensors |= tensors_of(f"{look}.{number}", net)
    data = as_bytes(tensors)
    folder = Folder(output)
    folder.write_bytes(WEIGHTS, data)
    names = {"features": feature_names(), "around": list(AROUND), "link_features": list(LINK_FEATURES)}
    whole = {"format": FORMAT, "kind": KIND, **card, **names, "sha256": hashlib.sha256(data).hexdigest()}
    folder.write(CARD, json.dumps(whole, indent=1))


def load_unlabelled(location: str = SHIPPED) -> tuple[UnlabelledMediator, dict[str, Any]]:
    """Read a mediator and its card.

    Raises
    ------
    ConfigError
        If it is missing, damaged, of another format or for other features.
    """
    folder = Folder(location)
    text, data = folder.read_bytes(CARD), folder.read_bytes(WEIGHTS)
    if text is None or data is None:
        raise ConfigError(f"mediator {location} lacks {CARD if text is None else WEIGHTS}: train it again")
    try:
        card = object_of(text)
        fits = card["kind"] == KIND and card["format"] == FORMAT and card["features"] == feature_names()
    except (ValueError, KeyError, TypeError):
        fits = False
    if not fits:
        raise ConfigError(
            f"mediator {location}: {CARD} is of another kind or version than format {FORMAT} of this one: train it "
            "again with `cdp-spark train --simulated`"
        )
    if is_pickle(data):
        raise ConfigError(f"mediator {location}: {WEIGHTS} is a pickle, which is never loaded: train it again")
    try:
        if hashlib.sha256(data).hexdigest() != card["sha256"]:
            raise ValueError("other weights than the card's")
        return _put_together(from_bytes(data)), card
    except (KeyError, ValueError, TypeError):
        raise ConfigError(f"mediator {location}: {WEIGHTS} is truncated or damaged: train it again") from None


def _put_together(tensors: Tensors) -> UnlabelledMediator:
    if not all(np.isfinite(value).all() for value in tensors.values()):
        raise ValueError("weights that are no numbers")
    features = len(feature_names())
    looks = [_nets(look, tensors, width) for look, width in (("first", features), ("second", features + len(AROUND)))]
    clusters = net_of("clusters", tensors)
    if not all(looks) or len(clusters.mean) != len(LINK_FEATURES):
        raise ValueError("a network is missing, or for other features")
    return UnlabelledMediator(looks[0], looks[1], clusters)


def _nets(look: str, tensors: Tensors, width: int) -> tuple[Mlp, ...]:
    nets: list[Mlp] = []
    while (name := f"{look}.{len(nets)}") + ".mean" in tensors:
        nets.append(net_of(name, tensors))
    if any(len(net.mean) != width for net in nets):
        raise ValueError("for other features")
    return tuple(nets)
