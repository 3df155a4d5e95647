"""``cdp-spark clean``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cdp_spark.base.errors import ConfigError
from cdp_spark.cli.options import whole

if TYPE_CHECKING:
    from cdp_spark.commands.clean import Removable

HELP = "old stages of an output, copies of embeddings, older runs: lists them, --yes removes"

_WHY = {
    "old": "not of the last run", "unfinished": "never finished", "leftover": "left by a copy that was stopped",
    "vectors": "holds embeddings", "run": "of an older run",
}  # fmt: skip


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--output", metavar="FOLDER", help="output of a finished run")
    parser.add_argument("--vectors", action="store_true", help="also all copies of embeddings; clusters stay")
    parser.add_argument("--runs", metavar="FOLDER", help="folder of outputs, instead of --output")
    parser.add_argument("--keep", type=whole, metavar="N", help="with --runs: how many of the newest stay")
    parser.add_argument("--yes", action="store_true", help="remove; without it they are only listed")


def run(options: argparse.Namespace) -> int:
    """List, or remove."""
    if (options.output is None) == (options.runs is None):
        raise ConfigError("clean: give either --output FOLDER or --runs FOLDER --keep N")
    if options.runs is not None and (options.keep is None or options.vectors):
        raise ConfigError("clean: --runs needs --keep N, and takes no --vectors")
    from cdp_spark.commands.clean import clean, clean_runs

    if options.output is not None:
        found = clean(options.output, vectors=options.vectors, remove=options.yes)
    else:
        found = clean_runs(options.runs, keep=options.keep, remove=options.yes)
    rows = [vars(each) for each in found]
    print(json.dumps({"removed": options.yes, "found": rows}) if options.json else text(found, removed=options.yes))
    return 0


def text(found: Sequence[Removable], *, removed: bool) -> str:
    """Put what was found into lines."""
    lines = [f"{each.bytes / 2**20:>10,.1f} MiB  {each.location}/{each.name}  ({_WHY[each.why]})" for each in found]
    whole = f"{sum(each.bytes for each in found) / 2**20:,.1f} MiB in {len(found)}"
    if not found:
        return "nothing to remove"
    return "\n".join([*lines, f"removed {whole}" if removed else f"{whole}: --yes removes them"])
