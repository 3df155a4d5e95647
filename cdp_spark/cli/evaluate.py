"""``cdp-spark evaluate``."""

from __future__ import annotations

import argparse
import json

from cdp_spark.cli.options import progress, session
from cdp_spark.cli.text_tables import metrics_table

HELP = "compare clusters with labels"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--clusters", required=True, metavar="PATH", help="folder of clusters, or the output of a run")
    parser.add_argument("--labels", required=True, metavar="PATH", help="Parquet with ids and labels")
    parser.add_argument("--id-column", default="id")
    parser.add_argument("--label-column", default="label")


def run(options: argparse.Namespace) -> int:
    """Evaluate, and print the metrics."""
    from cdp_spark.config.input_sections import LabelsConfig
    from cdp_spark.config.loading import load_config_of
    from cdp_spark.evaluation.flow import evaluated_tables
    from cdp_spark.sources import open_table

    columns = {"id_column": options.id_column, "label_column": options.label_column}
    given = {"path": open_table.clusters_path(options.clusters), "label_column": "cluster"}
    spark = session(options)
    clusters = open_table.open_source(spark, load_config_of(LabelsConfig, given), "clusters")
    labels = open_table.open_source(spark, load_config_of(LabelsConfig, {"path": options.labels, **columns}), "labels")
    figures, warnings = evaluated_tables(clusters, labels, **columns)
    for warning in warnings:
        progress(options).say(warning, "warning")
    print(json.dumps(figures) if options.json else metrics_table(figures))
    return 0
