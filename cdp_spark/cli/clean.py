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

HELP = "list what is no longer needed: old stages, copies of embeddings, older runs; --yes removes it"

_WHY = {
    "old": "not used by the last run", "unfinished": "never finished", "leftover": "left by an interrupted copy",
    "vectors": "holds embeddings", "run": "belongs to an older run",
}  # fmt: skip


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--output", metavar="FOLDER", help="output of a finished run")
    parser.add_argument("--vectors", action="store_true", help="also list all copies of embeddings; clusters stay")
    parser.add_argument("--runs", metavar="FOLDER", help="folder with the outputs of several runs, instead of --output")
    parser.add_argument("--keep", type=whole, metavar="N", help="with --runs: number of newest runs that stay")
    parser.add_argument("--yes", action="store_true", help="remove what is listed; without it nothing is removed")


def run(options: argparse.Namespace) -> int:
    """List what can be removed; remove it on request."""
    if (options.output is None) == (options.runs is None):
        raise ConfigError("clean: give either --output FOLDER or --runs FOLDER --keep N")
    if options.runs is not None and (options.keep is None or options.vectors):
        raise ConfigError("clean: --runs needs --keep N, and takes no --vectors")
    from cdp_spark.commands.clean import clean, clean_runs

    if options.output is not None:
        removable = clean(options.output, vectors=options.vectors, remove=options.yes)
    else:
        removable = clean_runs(options.runs, keep=options.keep, remove=options.yes)
    rows = [vars(each) for each in removable]
    result = {"removed": options.yes, "found": rows}
    print(json.dumps(result) if options.json else text(removable, removed=options.yes))
    return 0


def text(removable: Sequence[Removable], *, removed: bool) -> str:
    """Format the list, a line each."""
    lines = [f"{each.bytes / 2**20:>10,.1f} MiB  {each.location}/{each.name}  ({_WHY[each.why]})" for each in removable]
    whole = f"{sum(each.bytes for each in removable) / 2**20:,.1f} MiB in {len(removable)}"
    if not removable:
        return "nothing to remove"
    return "\n".join([*lines, f"removed {whole}" if removed else f"{whole}: add --yes to remove"])
