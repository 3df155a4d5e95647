"""``cdp-spark export``."""

from __future__ import annotations

import argparse
import json
from typing import Any

from cdp_spark.base.errors import ConfigError
from cdp_spark.base.plain_numbers import real_number
from cdp_spark.cli.options import number, progress, run_option, session, whole

HELP = "export training data from the clusters of a finished run"

_SETTINGS = (
    "format", "min_size", "min_confidence", "largest_share", "soft", "labels", "join", "images", "labelled_images",
    "split_by", "seed", "file_items",
)  # fmt: skip


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    run_option(parser)
    parser.add_argument("--output", required=True, metavar="FOLDER", help="folder for the items or files and card.json")
    parser.add_argument("--format", choices=("parquet", "csv", "list", "webdataset"), help="default: parquet")
    parser.add_argument(
        "--min-size", type=whole, metavar="N", help="leave out clusters with fewer items, counted after filtering"
    )
    parser.add_argument("--min-confidence", type=number, metavar="C", help="leave out items of lower confidence")
    parser.add_argument(
        "--largest-share", type=number, metavar="S", help="largest share of all items that one cluster may have"
    )
    parser.add_argument(
        "--soft", action="store_true", default=None, help="include soft labels (the run must have them)"
    )
    parser.add_argument("--labels", metavar="PATH", help="labelled items to add to the clusters")
    parser.add_argument(
        "--join",
        choices=("apart", "matched"),
        help="labelled items are other images (apart) or images of the run (matched)",
    )
    parser.add_argument("--images", metavar="PATH", help="pictures: a table, or a path with {id}; default: the run's")
    parser.add_argument(
        "--labelled-images", metavar="PATH", help="pictures of the labelled items, if they are elsewhere"
    )
    parser.add_argument(
        "--split",
        action="append",
        default=[],
        metavar="NAME=SHARE",
        help="share of a split, repeatable; the rest is train",
    )
    parser.add_argument(
        "--split-by", choices=("item", "identity"), help="identity keeps all items of a label in one split"
    )
    parser.add_argument("--seed", type=whole, help="seed of the splits and the order")
    parser.add_argument("--file-items", type=whole, metavar="N", help="approximate number of items per file")


def run(options: argparse.Namespace) -> int:
    """Write the training data, and print a summary."""
    given = {name: getattr(options, name) for name in _SETTINGS if getattr(options, name) is not None}
    splits = _splits(options.split)
    from cdp_spark.training_lists.flow import export

    reporter = progress(options)
    exported = export(
        options.run_folder, output=options.output, spark=session(options),
        progress=reporter, splits=splits, **given,
    )  # fmt: skip
    for warning in exported.record["warnings"]:
        reporter.say(warning, "warning")
    print(json.dumps(exported.record) if options.json else _summary(exported.card, options.output))
    return 0


def _splits(settings: list[str]) -> dict[str, float]:
    splits = {}
    for setting in settings:
        name, _, share = setting.partition("=")
        if name in splits:
            raise ConfigError(f"--split {name} is given twice: keep one of them")
        try:
            splits[name] = real_number(share)
        except ValueError:
            raise ConfigError(f"--split {setting}: write it as name=share, such as validation=0.1") from None
    return splits


def _summary(card: dict[str, Any], output: str) -> str:
    lines = [
        f"{row['source']:<9} {row['split']:<12} {row['items']:>12,} items of {row['labels']:,} labels"
        for row in card["counts"]
    ]
    left_out = ", ".join(f"{name} {count:,}" for name, count in card["left_out"].items())
    written = f"{len(card['files']):,} files in {output}/files" if card["files"] else f"{output}/items"
    return "\n".join([*lines, f"left out   {left_out}", f"output     {written}, {output}/card.json"])
