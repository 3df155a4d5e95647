"""``cdp-spark sweep``."""

from __future__ import annotations

import argparse
import json
import re
from typing import Any

from cdp_spark.cli.options import progress, run_option, session

HELP = "what other thresholds, or coarser and finer clusters, would give, without another search"
_THRESHOLDS, _GRANULARITIES = "0.05:0.95:0.05", "-2:2:0.5"
_WIDE = len("granularity")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    run_option(parser)
    # Or argparse takes -2:2:0.5 for an option.
    parser._negative_number_matcher = re.compile(r"-\.?\d[\d.,:e+-]*$")
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--thresholds", metavar="T", help=f"first:last:step, or a list with commas (default: {_THRESHOLDS})"
    )
    what.add_argument(
        "--granularity", metavar="G",
        help=f"of a run without labels: more than 0 is coarser, less finer; likewise (default: {_GRANULARITIES})",
    )  # fmt: skip
    parser.add_argument("--labels", metavar="PATH", help="labels to judge by (default: those of the run)")
    parser.add_argument("--metric", default="pairwise_f", help="by which the best is chosen where there are labels")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="such as max_cluster_size=300 or rule=paper"
    )
    parser.add_argument("--apply", metavar="T", help="make the run's clusters those of this value, or of the best")


def run(options: argparse.Namespace) -> int:
    """Judge the thresholds, or granularities; apply one where that is asked for."""
    from cdp_spark.config.shorthand import clusters_settings, numbers

    settings = clusters_settings(options.set)
    thresholds = numbers(options.thresholds or _THRESHOLDS, "--thresholds")
    granularities = numbers(options.granularity or _GRANULARITIES, "--granularity")
    spark, told = session(options), progress(options)
    if options.granularity is not None or (options.thresholds is None and not settings and _grained(options, spark)):
        _by_granularity(options, granularities, settings, spark, told)
    else:
        _by_threshold(options, thresholds, settings, spark, told)
    return 0


def _grained(options: argparse.Namespace, spark: Any) -> bool:
    """Tell whether a run has a granularity, and no threshold."""
    from cdp_spark.runs.finished_run import FinishedRun

    config = FinishedRun.of(spark, options.run_folder).config
    return config.consensus.without_labels and not config.clusters.has_threshold


def _by_threshold(
    options: argparse.Namespace, thresholds: list[float], settings: dict[str, Any], spark: Any, told: Any
) -> None:
    from cdp_spark.commands.sweep import apply_threshold, sweep

    found = sweep(
        options.run_folder, thresholds, spark=spark, metric=options.metric, clusters=settings, labels=_labels(options),
        progress=told,
    )  # fmt: skip
    _print(options, found, "threshold")
    if options.apply is not None:
        apply_threshold(options.run_folder, found, options.apply, spark=spark, clusters=settings)
    else:
        _redraw(options.run_folder, spark, told)


def _by_granularity(
    options: argparse.Namespace, granularities: list[float], settings: dict[str, Any], spark: Any, told: Any
) -> None:
    from cdp_spark.base.errors import ConfigError
    from cdp_spark.commands.granularity import apply_granularity, sweep_granularity

    if settings:
        raise ConfigError("sweep: --set is for thresholds, which --granularity does without: leave one of the two out")
    found = sweep_granularity(
        options.run_folder, granularities, spark=spark, metric=options.metric, labels=_labels(options), progress=told
    )
    _print(options, found, "granularity")
    if options.apply is not None:
        apply_granularity(options.run_folder, found, options.apply, spark=spark)


def _labels(options: argparse.Namespace) -> Any:
    from cdp_spark.config.sections import LabelsConfig

    return LabelsConfig(path=options.labels) if options.labels else None


def _print(options: argparse.Namespace, found: Any, what: str) -> None:
    printed = {"rows": found.rows, "best": found.best, "why": found.why}
    print(json.dumps(printed) if options.json else _swept(found, what))


def _redraw(run: str, spark: Any, told: Any) -> None:
    """Write the report again; where its extra is not installed, nothing is lost."""
    from cdp_spark.base.errors import MissingRequirementError
    from cdp_spark.report import report

    try:
        report(run, spark=spark)
    except MissingRequirementError as error:
        told.say(str(error), "warning")


def _swept(found: Any, what: str) -> str:
    counts = ("clusters", "singletons", "discarded", "largest", "largest_component")
    judged = any(row["pairwise_f"] is not None for row in found.rows)
    metrics = ("pairwise_f", "bcubed_f", "ami") if judged else ()
    lines = [f"{what:<{_WIDE}} " + " ".join(f"{name.replace('_', ' '):>17}" for name in (*counts, *metrics))]
    for row in found.rows:
        cells = [f"{row[name]:,}" for name in counts]
        cells += ["-" if row[name] is None else f"{row[name]:.4f}" for name in metrics]
        marks = [text for text, at in (("best", found.best), ("current", found.current)) if at == row[what]]
        lines.append(f"{row[what]:<{_WIDE}g} {' '.join(f'{cell:>17}' for cell in cells)}  {', '.join(marks)}".rstrip())
    chosen = "none" if found.best is None else f"{found.best:g}"
    return "\n".join([*lines, f"best: {chosen} ({found.why}); the run's {what} is {found.current:g}"])
