"""Train a mediator without labels on simulated sets, like the one that ships."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from cdp_spark.base.errors import ConfigError
from cdp_spark.base.versions import installed_versions
from cdp_spark.training.kernels.simulated_training import Losses, TaughtSet, taught_sets, trained_mediator
from cdp_spark.unlabelled.shipped import write_unlabelled

_VERSIONS = ("numpy", "numba", "cdp-spark")


def train_simulated(count: int, seed: int, output: str, report: Callable[[str], object] = str) -> dict[str, Any]:
    """Train a mediator on simulated sets and write it.

    Parameters
    ----------
    count : int
        Number of sets to draw, with seeds 0 to ``count - 1``; large and hopeless ones are left out.
    seed : int
        Seed of the training.
    output : str
        Folder of the mediator.
    report : callable of str, optional
        Receives a line per set and step.

    Returns
    -------
    dict
        The card.
    """
    sets = taught_sets(range(count), report)
    if len(sets) < _LEAST_SETS:
        raise ConfigError(f"{count} simulated sets leave {len(sets)}, and {_LEAST_SETS} are needed: draw more")
    mediator, losses = trained_mediator(sets, seed, report)
    card = _card_of(sets, losses, {"drawn": count, "seed": seed})
    write_unlabelled(output, mediator, card)
    return card


_LEAST_SETS = 3


def _card_of(sets: Sequence[TaughtSet], losses: Losses, asked: dict[str, int]) -> dict[str, Any]:
    return {
        "training": {
            **asked, "sets": len(sets), "items": sum(len(each.identity) for each in sets),
            "pairs": sum(len(each) for each in sets), "links": losses.links,
        },
        "held_out": {
            "first_look_log_loss": round(losses.first_look, 4), "second_look_log_loss": round(losses.second_look, 4),
        },
        "versions": installed_versions(_VERSIONS),
    }  # fmt: skip
