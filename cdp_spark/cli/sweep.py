"""``cdp-spark sweep``."""

from __future__ import annotations

import argparse
import json
import re
from typing import Any

from cdp_spark.cli.options import progress, run_option, session

HELP = "compare the clusters of many thresholds, or coarser and finer ones, without another search"
_THRESHOLDS, _GRANULARITIES = "0.05:0.95:0.05", "-2:2:0.5"
_WIDE = len("granularity")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    run_option(parser)
    # Otherwise argparse takes -2:2:0.5 for an option.
    parser._negative_number_matcher = re.compile(r"-\.?\d[\d.,:e+-]*$")
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--thresholds", metavar="T", help=f"first:last:step, or a list with commas (default: {_THRESHOLDS})"
    )
    what.add_argument(
        "--granularity", metavar="G",
        help=f"without labels, in the same form: above 0 coarser, below 0 finer (default: {_GRANULARITIES})",
    )  # fmt: skip
    parser.add_argument(
        "--labels", metavar="PATH", help="labels to compare the clusters with (default: those of the run)"
    )
    parser.add_argument("--metric", default="pairwise_f", help="metric that chooses the best value if there are labels")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="key of clusters, such as max_cluster_size=300 or rule=paper",
    )
    parser.add_argument("--apply", metavar="T", help="cluster the run again at this value, or at the best one (best)")


def run(options: argparse.Namespace) -> int:
    """Evaluate thresholds, or granularities, and apply one on request."""
    from cdp_spark.config.shorthand import clusters_settings, numbers

    settings = clusters_settings(options.set)
    thresholds = numbers(_given(options.thresholds, _THRESHOLDS), "--thresholds")
    granularities = numbers(_given(options.granularity, _GRANULARITIES), "--granularity")
    spark, reporter = session(options), progress(options)
    if options.granularity is not None or (options.thresholds is None and not settings and _grained(options, spark)):
        _by_granularity(options, granularities, settings, spark, reporter)
    else:
        _by_threshold(options, thresholds, settings, spark, reporter)
    return 0


def _given(text: str | None, default: str) -> str:
    """Return an option's text; an empty one, as of an unset shell variable, is no default."""
    return default if text is None else text


def _grained(options: argparse.Namespace, spark: Any) -> bool:
    """Return whether a run has a granularity, and no threshold."""
    from cdp_spark.runs.finished_run import FinishedRun

    config = FinishedRun.of(spark, options.run_folder).config
    return config.consensus.without_labels and not config.clusters.has_threshold


def _by_threshold(
    options: argparse.Namespace, thresholds: list[float], settings: dict[str, Any], spark: Any, reporter: Any
) -> None:
    from cdp_spark.commands.sweep import apply_threshold, chosen_threshold, sweep

    swept = sweep(
        options.run_folder, thresholds, spark=spark, metric=options.metric, clusters=settings,
        labels=options.labels, progress=reporter,
    )  # fmt: skip
    _print(options, swept, "threshold")
    if options.apply is not None:
        apply_threshold(options.run_folder, chosen_threshold(swept, options.apply), spark=spark, clusters=settings)
    else:
        _redraw(options.run_folder, spark, reporter)


def _by_granularity(
    options: argparse.Namespace, granularities: list[float], settings: dict[str, Any], spark: Any, reporter: Any
) -> None:
    from cdp_spark.base.errors import ConfigError
    from cdp_spark.commands.granularity import apply_granularity, sweep_granularity

    if settings:
        raise ConfigError("sweep: --set is for thresholds, and --granularity needs none: leave one of the two out")
    swept = sweep_granularity(
        options.run_folder, granularities, spark=spark, metric=options.metric, labels=options.labels, progress=reporter
    )
    _print(options, swept, "granularity")
    if options.apply is not None:
        apply_granularity(options.run_folder, swept, options.apply, spark=spark)


def _print(options: argparse.Namespace, swept: Any, what: str) -> None:
    result = {"rows": swept.rows, "best": swept.best, "why": swept.why}
    print(json.dumps(result) if options.json else _text(swept, what))


def _redraw(run: str, spark: Any, reporter: Any) -> None:
    """Write the report again; without its extra, warn instead."""
    from cdp_spark.base.errors import MissingRequirementError
    from cdp_spark.report import report

    try:
        report(run, spark=spark)
    except MissingRequirementError as error:
        reporter.say(str(error), "warning")


def _text(swept: Any, what: str) -> str:
    counts = ("clusters", "singletons", "discarded", "largest", "largest_component")
    halves = ("alike",) if "alike" in swept.rows[0] else ()
    labelled = any(row["pairwise_f"] is not None for row in swept.rows)
    metrics = ("pairwise_f", "bcubed_f", "ami") if labelled else ()
    lines = [f"{what:<{_WIDE}} " + " ".join(f"{name.replace('_', ' '):>17}" for name in (*counts, *metrics))]
    for row in swept.rows:
        cells = [f"{row[name]:,}" for name in counts]
        cells += [f"{row[name]:,.0f}" for name in halves]
        cells += ["-" if row[name] is None else f"{row[name]:.4f}" for name in metrics]
        marks = [text for text, at in (("best", swept.best), ("current", swept.current)) if at == row[what]]
        lines.append(f"{row[what]:<{_WIDE}g} {' '.join(f'{cell:>17}' for cell in cells)}  {', '.join(marks)}".rstrip())
    chosen = "none" if swept.best is None else f"{swept.best:g}"
    return "\n".join([*lines, f"best: {chosen} ({swept.why}); the run's {what} is {swept.current:g}"])
