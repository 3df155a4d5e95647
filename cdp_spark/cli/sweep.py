"""``cdp-spark sweep``."""

from __future__ import annotations

import argparse
import json
from typing import Any

from cdp_spark.cli.options import progress, run_option, session

HELP = "what other thresholds would give, without another search"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    run_option(parser)
    parser.add_argument("--thresholds", default="0.05:0.95:0.05", help="first:last:step, or a list with commas")
    parser.add_argument("--labels", metavar="PATH", help="labels to judge by (default: those of the run)")
    parser.add_argument("--metric", default="pairwise_f", help="by which the best is chosen where there are labels")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="such as max_cluster_size=300 or rule=paper"
    )
    parser.add_argument("--apply", metavar="T", help="make the run's clusters those of this threshold, or of the best")


def run(options: argparse.Namespace) -> int:
    """Judge the thresholds; apply one where that is asked for."""
    from cdp_spark.config.shorthand import clusters_settings, threshold_list

    thresholds, settings = threshold_list(options.thresholds), clusters_settings(options.set)
    from cdp_spark.commands.sweep import apply_threshold, sweep

    spark, told = session(options), progress(options)
    found = sweep(
        options.run_folder, thresholds, spark=spark, metric=options.metric, clusters=settings,
        labels=options.labels, progress=told,
    )  # fmt: skip
    print(json.dumps({"rows": found.rows, "best": found.best, "why": found.why}) if options.json else _swept(found))
    if options.apply is not None:
        apply_threshold(options.run_folder, found, options.apply, spark=spark, clusters=settings)
    else:
        _redraw(options.run_folder, spark, told)
    return 0


def _redraw(run: str, spark: Any, told: Any) -> None:
    """Write the report again; where its extra is not installed, nothing is lost."""
    from cdp_spark.base.errors import MissingRequirementError
    from cdp_spark.report import report

    try:
        report(run, spark=spark)
    except MissingRequirementError as error:
        told.say(str(error), "warning")


def _swept(found: Any) -> str:
    counts = ("clusters", "singletons", "discarded", "largest", "largest_component")
    judged = any(row["pairwise_f"] is not None for row in found.rows)
    metrics = ("pairwise_f", "bcubed_f", "ami") if judged else ()
    lines = ["threshold " + " ".join(f"{name.replace('_', ' '):>17}" for name in (*counts, *metrics))]
    for row in found.rows:
        cells = [f"{row[name]:,}" for name in counts]
        cells += ["-" if row[name] is None else f"{row[name]:.4f}" for name in metrics]
        marks = [text for text, at in (("best", found.best), ("current", found.current)) if at == row["threshold"]]
        lines.append(f"{row['threshold']:<9g} {' '.join(f'{cell:>17}' for cell in cells)}  {', '.join(marks)}".rstrip())
    chosen = "none" if found.best is None else f"{found.best:g}"
    return "\n".join([*lines, f"best: {chosen} ({found.why}); the run's threshold is {found.current:g}"])
