"""``cdp-spark denoise``."""

from __future__ import annotations

import argparse
import json
from typing import Any

from cdp_spark.cli.options import number, progress, run_option, session

HELP = "find wrong, duplicate and mixed labels of a finished run's items"

MENDED = ("wrong_label", "outlier", "merged_identity", "duplicate_identities")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    run_option(parser)
    parser.add_argument("--labels", required=True, metavar="PATH", help="Parquet with ids and the labels to check")
    parser.add_argument("--output", required=True, metavar="FOLDER", help="folder for issues and summary")
    parser.add_argument("--id-column", default="id")
    parser.add_argument("--label-column", default="label")
    parser.add_argument(
        "--precision", type=number, default=0.9, help="wanted share of truly wrong labels among those reported as wrong"
    )
    parser.add_argument(
        "--near-duplicate",
        type=number,
        default=0.99,
        metavar="S",
        help="similarity from which two images count as the same",
    )
    parser.add_argument(
        "--apply", nargs="*", choices=MENDED, metavar="ISSUE",
        help=f"also write cleaned_labels with these issues mended (default: {', '.join(MENDED)}); keeps the originals",
    )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Check the labels, and print a summary."""
    from cdp_spark.config.input_sections import LabelsConfig
    from cdp_spark.config.loading import load_config_of
    from cdp_spark.label_errors.flow import denoise

    columns = {"id_column": options.id_column, "label_column": options.label_column}
    labels = load_config_of(LabelsConfig, {"path": options.labels, **columns})
    reporter = progress(options)
    checked = denoise(
        options.run_folder, labels, output=options.output, spark=session(options),
        progress=reporter, precision=options.precision, near_duplicate=options.near_duplicate,
        apply=None if options.apply is None else options.apply or MENDED,
    )  # fmt: skip
    for warning in checked.record["warnings"]:
        reporter.say(warning, "warning")
    print(json.dumps(checked.record) if options.json else _summary(checked.record, options.output))
    return 0


def _summary(record: dict[str, Any], output: str) -> str:
    counts = record["counts"]
    lines = [
        f"items      {counts['items']:,} with {counts['labels']:,} different labels; "
        f"about {record['wrong_share']:.1%} of the labels are wrong"
    ]
    lines += [f"{name:<20} {number:>10,}" for name, number in counts["issues"].items()]
    if counts["changed"] is not None:
        lines.append(f"cleaned    {output}/cleaned_labels, {counts['changed']:,} labels changed")
    return "\n".join([*lines, f"output     {output}/issues, {output}/summary ({record['seconds']:.1f} s)"])
