"""``cdp-spark explain``."""

from __future__ import annotations

import argparse
import json

from cdp_spark.base.errors import ConfigError
from cdp_spark.cli.options import run_option, session

HELP = "explain why two items are, or are not, in one cluster"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    run_option(parser)
    parser.add_argument(
        "items", nargs="+", metavar="ID",
        help="two items, or one to see all its edges; put ids that begin with a dash after --",
    )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Explain, in words or as JSON."""
    from dataclasses import asdict

    if len(options.items) > 2:
        raise ConfigError(f"explain takes one or two items, got {len(options.items)}")
    from cdp_spark.evidence.as_text import text
    from cdp_spark.evidence.flow import explain

    explanation = explain(options.run_folder, *options.items, spark=session(options))
    print(json.dumps(asdict(explanation)) if options.json else text(explanation))
    return 0
