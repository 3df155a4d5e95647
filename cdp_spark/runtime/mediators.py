"""A mediator on disk: a folder of safetensors weights and one JSON card. Loading never unpickles.

The card says what the weights are for: models in order, feature set and names, k, candidates, statistics, temperature,
threshold, how it was trained and how good it was on held-out identities.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cdp_spark.base.config import fingerprint
from cdp_spark.base.errors import ConfigError
from cdp_spark.kernels.mlp import Mlp
from cdp_spark.runtime.files import Folder

FORMAT = 1
CARD, WEIGHTS = "card.json", "mediator.safetensors"


@dataclass(frozen=True)
class Mediator:
    """A trained mediator: the network, and its card."""

    mlp: Mlp
    card: dict[str, Any]

    @property
    def fingerprint(self) -> str:
        """SHA-256 of weights and statistics, and of what they are for."""
        arrays = [self.mlp.mean, self.mlp.scale, *(array for layer in self.mlp.layers for array in layer)]
        weights = hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()
        return fingerprint(weights, self.mlp.temperature, self.card["features"], self.card["candidates"])

    @property
    def columns(self) -> list[int]:
        """Places of the features that it reads, in its feature set."""
        names = self.card["all_features"]
        return [names.index(name) for name in self.card["features"]]


def write_mediator(output: str, mediator: Mediator) -> None:
    """Write the folder; the card comes last, so that a folder with a card is whole."""
    from safetensors.numpy import save

    mlp = mediator.mlp
    tensors = {"mean": mlp.mean, "scale": mlp.scale}
    for number, (weights, bias) in enumerate(mlp.layers):
        tensors[f"weights.{number}"], tensors[f"bias.{number}"] = weights, bias
    folder = Folder(output)
    folder.write_bytes(WEIGHTS, save({name: np.ascontiguousarray(value) for name, value in tensors.items()}))
    card = {"format": FORMAT, "kind": "cdp-spark mediator", **mediator.card, "temperature": mlp.temperature}
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
    return Mediator(_mlp(folder, location, card), card)


def _card(folder: Folder, location: str) -> dict[str, Any]:
    text = folder.read(CARD)
    if text is None:
        raise ConfigError(f"mediator {location} has no {CARD}: give the folder that `cdp-spark train` has written")
    try:
        card: dict[str, Any] = json.loads(text)
        kind, version = card["kind"], card["format"]
    except (ValueError, KeyError, TypeError):
        raise ConfigError(f"mediator {location}: {CARD} is no card of a mediator: train it again") from None
    if kind != "cdp-spark mediator" or not isinstance(version, int) or version > FORMAT:
        raise ConfigError(f"mediator {location} has format {version}, newer than {FORMAT}: update cdp-spark")
    needed = (
        "models",
        "k",
        "features",
        "all_features",
        "candidates",
        "feature_set",
        "temperature",
        "threshold",
        "domain",
        "held_out",
    )
    missing = [name for name in needed if name not in card]
    if missing or not set(card["features"]) <= set(card["all_features"]):
        raise ConfigError(f"mediator {location}: its card lacks {', '.join(missing) or 'its features'}: train it again")
    return card


def _mlp(folder: Folder, location: str, card: dict[str, Any]) -> Mlp:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    data = folder.read_bytes(WEIGHTS)
    if data is None:
        raise ConfigError(f"mediator {location} has no {WEIGHTS}: train it again")
    # A pickle, or a torch archive of one, starts so; neither is ever opened.
    if data[:1] == b"\x80" or data[:2] == b"PK":
        raise ConfigError(f"mediator {location}: {WEIGHTS} is a pickle, which is never loaded: train it again")
    try:
        tensors = load(data)
        layers = sorted(name for name in tensors if name.startswith("weights."))
        mlp = Mlp(
            tensors["mean"], tensors["scale"],
            tuple((tensors[name], tensors[name.replace("weights", "bias")]) for name in layers),
            float(card["temperature"]),
        )  # fmt: skip
        widths = [mlp.mean.shape, mlp.scale.shape, (mlp.layers[0][0].shape[0],)]
        fits = widths == [(len(card["features"]),)] * 3 and mlp.layers[-1][0].shape[1] == 1
    except (SafetensorError, KeyError, IndexError, ValueError):
        raise ConfigError(f"mediator {location}: {WEIGHTS} is truncated or damaged: train it again") from None
    if not fits:
        raise ConfigError(
            f"mediator {location}: its weights are for other features than its card names: train it again"
        )
    if not all(np.isfinite(value).all() for value in tensors.values()) or not mlp.temperature > 0:
        raise ConfigError(f"mediator {location} has weights that are no numbers: train it again")
    return mlp
