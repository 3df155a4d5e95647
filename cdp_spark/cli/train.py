"""``cdp-spark train``."""

from __future__ import annotations

import argparse
import json
from typing import Any

from cdp_spark.cli.options import config, data_options, progress, session

HELP = "labelled embeddings to a mediator"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    data_options(parser, "mediator.seed=1", "labels to learn from")


def run(options: argparse.Namespace) -> int:
    """Train, and say how good it is."""
    from cdp_spark.base.config import TrainConfig

    wanted = config(TrainConfig, options)
    from cdp_spark.tasks.train import train

    spark = session(options)
    card = train(wanted, spark=spark, progress=progress(options)).card
    print(json.dumps(card) if options.json else _learned(card, wanted.output))
    return 0


def _learned(card: dict[str, Any], output: str) -> str:
    pairs, held = card["pairs"], card["held_out"]
    lines = [
        f"pairs      {pairs['training']:,} to train, {pairs['calibration']:,} to calibrate, of {pairs['all']:,}",
        f"held out   pairwise F {held['pairwise_f']:.4f}, BCubed F {held['bcubed_f']:.4f} at threshold "
        f"{card['threshold']:g}; calibration error {held['calibration_error']:.4f}",
        f"output     {output}: cluster with --set consensus.strategy=mediator --set consensus.mediator={output}",
    ]
    return "\n".join(lines)
