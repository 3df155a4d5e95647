"""``cdp-spark sweep``."""

from __future__ import annotations

import argparse
import json
from typing import Any

from cdp_spark.cli.options import progress, run_option, session

HELP = "compare the clusters of many thresholds, without another search"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    run_option(parser)
    parser.add_argument("--thresholds", default="0.05:0.95:0.05", help="first:last:step, or a list with commas")
    parser.add_argument(
        "--labels", metavar="PATH", help="labels to compare the clusters with (default: those of the run)"
    )
    parser.add_argument(
        "--metric", default="pairwise_f", help="metric that chooses the best threshold where there are labels"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="key of clusters, such as max_cluster_size=300 or rule=paper",
    )
    parser.add_argument("--apply", metavar="T", help="cluster the run again at this threshold; best: the best one")


def run(options: argparse.Namespace) -> int:
    """Evaluate the thresholds, and apply one on request."""
    from cdp_spark.config.shorthand import clusters_settings, threshold_list

    thresholds, settings = threshold_list(options.thresholds), clusters_settings(options.set)
    from cdp_spark.commands.sweep import apply_threshold, chosen_threshold, sweep

    spark, reporter = session(options), progress(options)
    swept = sweep(
        options.run_folder, thresholds, spark=spark, metric=options.metric, clusters=settings,
        labels=options.labels, progress=reporter,
    )  # fmt: skip
    result = {"rows": swept.rows, "best": swept.best, "why": swept.why}
    print(json.dumps(result) if options.json else _text(swept))
    if options.apply is not None:
        apply_threshold(options.run_folder, chosen_threshold(swept, options.apply), spark=spark, clusters=settings)
    else:
        _redraw(options.run_folder, spark, reporter)
    return 0


def _redraw(run: str, spark: Any, reporter: Any) -> None:
    """Write the report again; without its extra, warn instead."""
    from cdp_spark.base.errors import MissingRequirementError
    from cdp_spark.report import report

    try:
        report(run, spark=spark)
    except MissingRequirementError as error:
        reporter.say(str(error), "warning")


def _text(swept: Any) -> str:
    counts = ("clusters", "singletons", "discarded", "largest", "largest_component")
    labelled = any(row["pairwise_f"] is not None for row in swept.rows)
    metrics = ("pairwise_f", "bcubed_f", "ami") if labelled else ()
    lines = ["threshold " + " ".join(f"{name.replace('_', ' '):>17}" for name in (*counts, *metrics))]
    for row in swept.rows:
        cells = [f"{row[name]:,}" for name in counts]
        cells += ["-" if row[name] is None else f"{row[name]:.4f}" for name in metrics]
        marks = [text for text, at in (("best", swept.best), ("current", swept.current)) if at == row["threshold"]]
        lines.append(f"{row['threshold']:<9g} {' '.join(f'{cell:>17}' for cell in cells)}  {', '.join(marks)}".rstrip())
    chosen = "none" if swept.best is None else f"{swept.best:g}"
    return "\n".join([*lines, f"best: {chosen} ({swept.why}); the run's threshold is {swept.current:g}"])
