"""``cdp-spark evaluate``."""

from __future__ import annotations

import argparse
import json

from cdp_spark.cli.options import progress, session
from cdp_spark.cli.text_tables import metrics_table

HELP = "judge clusters by labels"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--clusters", required=True, metavar="PATH", help="folder of clusters")
    parser.add_argument("--labels", required=True, metavar="PATH", help="Parquet with ids and labels")
    parser.add_argument("--id-column", default="id")
    parser.add_argument("--label-column", default="label")


def run(options: argparse.Namespace) -> int:
    """Judge, and print the figures."""
    from cdp_spark.config.sections import LabelsConfig
    from cdp_spark.evaluation.flow import evaluated_tables
    from cdp_spark.sources import open_table

    spark = session(options)
    clusters, labels = (
        open_table.open_source(spark, LabelsConfig(path=path), name)
        for name, path in (("clusters", options.clusters), ("labels", options.labels))
    )
    figures, warnings = evaluated_tables(
        clusters, labels, id_column=options.id_column, label_column=options.label_column
    )
    for warning in warnings:
        progress(options).say(warning, "warning")
    print(json.dumps(figures) if options.json else metrics_table(figures))
    return 0
