"""``cdp-spark denoise``."""

from __future__ import annotations

import argparse
import json
from typing import Any

from cdp_spark.cli.options import number, progress, run_option, session

HELP = "wrong, doubled and mixed labels of a finished run's items"

MENDED = ("wrong_label", "outlier", "merged_identity", "duplicate_identities")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    run_option(parser)
    parser.add_argument("--labels", required=True, metavar="PATH", help="Parquet with ids and the labels to judge")
    parser.add_argument("--output", required=True, metavar="FOLDER", help="where issues and summary are written")
    parser.add_argument("--id-column", default="id")
    parser.add_argument("--label-column", default="label")
    parser.add_argument("--precision", type=number, default=0.9, help="wanted among labels that are called wrong")
    parser.add_argument(
        "--near-duplicate", type=number, default=0.99, metavar="S", help="similarity of one image twice"
    )
    parser.add_argument(
        "--apply", nargs="*", choices=MENDED, metavar="ISSUE",
        help=f"also write cleaned_labels, with these mended (default: {', '.join(MENDED)}); originals stay beside",
    )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Judge the labels, and say what was found."""
    from cdp_spark.config.sections import LabelsConfig
    from cdp_spark.label_errors.flow import denoise

    labels = LabelsConfig(path=options.labels, id_column=options.id_column, label_column=options.label_column)
    told = progress(options)
    found = denoise(
        options.run_folder, labels, output=options.output, spark=session(options),
        progress=told, precision=options.precision, near_duplicate=options.near_duplicate,
        apply=None if options.apply is None else options.apply or MENDED,
    )  # fmt: skip
    for warning in found.record["warnings"]:
        told.say(warning, "warning")
    print(json.dumps(found.record) if options.json else _found(found.record, options.output))
    return 0


def _found(record: dict[str, Any], output: str) -> str:
    counts = record["counts"]
    lines = [
        f"items      {counts['items']:,} with one of {counts['labels']:,} labels; "
        f"about {record['wrong_share']:.1%} of the labels are wrong"
    ]
    lines += [f"{name:<20} {number:>10,}" for name, number in counts["issues"].items()]
    if counts["changed"] is not None:
        lines.append(f"cleaned    {output}/cleaned_labels, {counts['changed']:,} labels changed")
    return "\n".join([*lines, f"output     {output}/issues, {output}/summary ({record['seconds']:.1f} s)"])
