"""``cdp-spark export``."""

from __future__ import annotations

import argparse
import json
from typing import Any

from cdp_spark.base.errors import ConfigError
from cdp_spark.base.plain_numbers import real_number
from cdp_spark.cli.options import number, progress, run_option, session, whole

HELP = "training data from the clusters of a finished run"

_SETTINGS = (
    "format", "min_size", "min_confidence", "largest_share", "soft", "labels", "join", "images", "labelled_images",
    "split_by", "seed", "file_items",
)  # fmt: skip


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    run_option(parser)
    parser.add_argument("--output", required=True, metavar="FOLDER", help="where items or files, and card.json, go")
    parser.add_argument("--format", choices=("parquet", "csv", "list", "webdataset"), help="default: parquet")
    parser.add_argument("--min-size", type=whole, metavar="N", help="smallest cluster, by items that are kept")
    parser.add_argument("--min-confidence", type=number, metavar="C", help="of an item")
    parser.add_argument("--largest-share", type=number, metavar="S", help="most that one cluster has of all items")
    parser.add_argument("--soft", action="store_true", default=None, help="also soft labels (the run must have them)")
    parser.add_argument("--labels", metavar="PATH", help="labelled items to put beside the clusters")
    parser.add_argument("--join", choices=("apart", "matched"), help="other images, or images of the run")
    parser.add_argument("--images", metavar="PATH", help="as for cluster: a table, or a path with {id} in it")
    parser.add_argument("--labelled-images", metavar="PATH", help="of the labelled items, where they lie elsewhere")
    parser.add_argument("--split", action="append", default=[], metavar="NAME=SHARE", help="repeatable; rest: train")
    parser.add_argument("--split-by", choices=("item", "identity"), help="identity: whole labels to one split")
    parser.add_argument("--seed", type=whole, help="of splits and order")
    parser.add_argument("--file-items", type=whole, metavar="N", help="items of a file, about")


def run(options: argparse.Namespace) -> int:
    """Write the training data, and say what they are."""
    given = {name: getattr(options, name) for name in _SETTINGS if getattr(options, name) is not None}
    splits = _splits(options.split)
    from cdp_spark.export.flow import export

    told = progress(options)
    found = export(
        options.run_folder, output=options.output, spark=session(options),
        progress=told, splits=splits, **given,
    )  # fmt: skip
    for warning in found.record["warnings"]:
        told.say(warning, "warning")
    print(json.dumps(found.record) if options.json else _found(found.card, options.output))
    return 0


def _splits(settings: list[str]) -> dict[str, float]:
    splits = {}
    for setting in settings:
        name, _, share = setting.partition("=")
        try:
            splits[name] = real_number(share)
        except ValueError:
            raise ConfigError(f"--split {setting}: write it as name=share, such as validation=0.1") from None
    return splits


def _found(card: dict[str, Any], output: str) -> str:
    lines = [
        f"{row['source']:<9} {row['split']:<12} {row['items']:>12,} items of {row['labels']:,} labels"
        for row in card["counts"]
    ]
    left_out = ", ".join(f"{name} {count:,}" for name, count in card["left_out"].items())
    place = f"{len(card['files']):,} files in {output}/files" if card["files"] else f"{output}/items"
    return "\n".join([*lines, f"left out   {left_out}", f"output     {place}, {output}/card.json"])
