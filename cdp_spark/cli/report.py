"""``cdp-spark report``."""

from __future__ import annotations

import argparse
import json

from cdp_spark.cli.options import IMAGES, run_option, session

HELP = "write a finished run's report, one HTML file"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    run_option(parser)
    parser.add_argument(
        "--labels", metavar="PATH", help="labels to compare the clusters with (default: those of the run)"
    )
    parser.add_argument("--images", metavar="PATH", help=IMAGES)


def run(options: argparse.Namespace) -> int:
    """Write the page, and print its path."""
    from cdp_spark.config.input_sections import ImagesConfig, LabelsConfig
    from cdp_spark.config.loading import load_config_of
    from cdp_spark.report import report

    spark = session(options)
    images = load_config_of(ImagesConfig, options.images) if options.images else None
    labels = load_config_of(LabelsConfig, options.labels) if options.labels else None
    page = report(options.run_folder, spark=spark, images=images, labels=labels)
    print(json.dumps({"report": page}) if options.json else page)
    return 0
