"""``cdp-spark train``."""

from __future__ import annotations

import argparse
import json
from typing import Any

from cdp_spark.base.errors import ConfigError
from cdp_spark.cli.options import config, data_options, progress, session

HELP = "train a mediator on labelled embeddings, or on simulated sets"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    data_options(parser, "mediator.seed=1", "labels to learn from")
    parser.add_argument(
        "--simulated", type=int, metavar="N",
        help="train on N simulated sets, without data or labels: makes a mediator like the one that ships (400 sets)",
    )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Train, and print how good the mediator is."""
    if options.simulated is not None:
        return _simulated(options)
    from cdp_spark.config.whole import TrainConfig

    wanted = config(TrainConfig, options)
    from cdp_spark.files.paths import shown
    from cdp_spark.training.flow import train

    spark = session(options, wanted)
    card = train(wanted, spark=spark, progress=progress(options)).card
    print(json.dumps(card) if options.json else _learned(card, shown(wanted.output)))
    return 0


def _simulated(options: argparse.Namespace) -> int:
    """Train on simulated sets: no session, no data."""
    from cdp_spark.config.shorthand import simulated_seed
    from cdp_spark.files.paths import absolute, shown
    from cdp_spark.training.simulated import train_simulated

    if data := [name for name in ("config", "base", "committee", "labels", "k") if getattr(options, name) is not None]:
        raise ConfigError(f"--simulated needs no data: leave out {', '.join(f'--{name}' for name in data)}")
    if options.output is None:
        raise ConfigError("no output: give --output FOLDER")
    output, seed = absolute(options.output), simulated_seed(options.set)
    card = train_simulated(options.simulated, seed, output, progress(options).say)
    print(json.dumps(card) if options.json else _of_simulated_sets(card, shown(output)))
    return 0


def _of_simulated_sets(card: dict[str, Any], output: str) -> str:
    training, held = card["training"], card["held_out"]
    return "\n".join(
        [
            f"sets       {training['sets']} of {training['drawn']} drawn, with {training['items']:,} items; "
            f"{training['pairs']:,} pairs, {training['links']:,} links of clusters",
            f"held out   log loss {held['first_look_log_loss']:.4f}, with the second look "
            f"{held['second_look_log_loss']:.4f}",
            f"output     {output}: cluster without labels with --mediator {output}",
        ]
    )


def _learned(card: dict[str, Any], output: str) -> str:
    use = f"output     {output}: cluster with --mediator {output}"
    if card["start"]["from"] == "shipped":
        return "\n".join([*_of_start(card), use])
    if "worlds" in card:
        return "\n".join([*_of_worlds(card), use])
    pairs, held = card["pairs"], card["held_out"]
    return "\n".join(
        [
            f"pairs      {pairs['training']:,} of {pairs['all']:,} to train, {pairs['calibration']:,} to calibrate",
            f"held out   pairwise F {held['pairwise_f']:.4f}, BCubed F {held['bcubed_f']:.4f} at threshold "
            f"{card['threshold']:g}; calibration error {held['calibration_error']:.4f}",
            use,
        ]
    )


def _of_start(card: dict[str, Any]) -> list[str]:
    start, training, held = card["start"], card["training"], card["held_out"]
    losses = "too few identities to hold some out"
    if held["log_loss"] is not None:
        losses = (
            f"log loss {held['log_loss']:.4f} on held-out identities, with tuned weights {held['tuned_log_loss']:.4f}"
        )
    return [
        f"start      the mediator that ships: {start['identities']:,} identities, and from {start['crossover']} on one "
        "trained from nothing is as good (mediator.start)",
        f"labelled   {training['pairs']:,} pairs in {training['worlds']} worlds; scale {card['slope']:g}, shift "
        f"{card['labelled_shift']:+g}; a run still takes the shift by agreement",
        f"weights    {'tuned' if card['weights_tuned'] else 'those of the start'}: {losses}",
    ]


def _of_worlds(card: dict[str, Any]) -> list[str]:
    held, sizes = card["held_out"], ", ".join(f"{items:,}" for items in card["worlds"]["items"])
    figures = "; ".join(
        f"{rule} pairwise F {held[rule]['pairwise_f']:.4f}, BCubed F {held[rule]['bcubed_f']:.4f}"
        for rule in ("learned", "contraction")
    )
    return [
        f"pairs      {card['pairs']['all']:,} in worlds of {sizes} items",
        f"labelled   {figures}; calibration error {held['calibration_error']:.4f}; cross-fitted: the network that "
        "scored a pair has seen neither identity",
        f"pruning    pairwise F {held['pruning']['pairwise_f']:.4f}, BCubed F {held['pruning']['bcubed_f']:.4f} at "
        f"threshold {card['threshold']:g}, for clusters.rule code or paper",
    ]
