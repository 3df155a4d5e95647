"""``cdp-spark plan``."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from cdp_spark.base.errors import ConfigError
from cdp_spark.base.plain_numbers import real_number
from cdp_spark.cli.options import config, consensus_options, data_options, session, whole

if TYPE_CHECKING:
    from cdp_spark.plan.flow import Plan

HELP = "estimate time, memory, shuffle and storage of a run by stage, before any work"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    data_options(parser, "consensus.threshold=0.6", "not read; accepted as an option of cluster")
    consensus_options(parser)
    parser.add_argument(
        "--items",
        nargs="+",
        default=[],
        metavar="N",
        help="numbers of items, such as 1e7 (default: the size of the data)",
    )
    parser.add_argument(
        "--workers", type=whole, metavar="W", help="number of concurrent Python workers on all executors"
    )
    parser.add_argument(
        "--measured", nargs="+", default=[], metavar="RUN",
        help="earlier runs on this cluster to extrapolate from, best of two sizes",
    )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Estimate, and print a table for each size."""
    from cdp_spark.config.whole import RunConfig

    output = options.output or (None if options.config else "unused")
    wanted = config(RunConfig, options, output=output)
    sizes = [_whole(text) for text in options.items]
    from cdp_spark.plan.flow import plan

    spark = session(options, wanted)
    plans = plan(wanted, spark=spark, items=sizes, workers=options.workers, measured=options.measured)
    print(json.dumps({"plans": [_json(each) for each in plans]}) if options.json else "\n\n".join(map(text, plans)))
    return 0


def _whole(text: str) -> int:
    try:
        return int(real_number(text.replace("_", "").replace(",", "")))
    except (ValueError, OverflowError):
        raise ConfigError(f"--items {text}: needs a number, such as 1000000 or 1e6") from None


def _json(planned: Plan) -> dict[str, object]:
    stages = {kind: vars(cost) for kind, cost in planned.stages.items()}
    return {"items": planned.items, "cores": planned.cores, "seconds": planned.seconds, "stages": stages,
            "sure": planned.sure, "way": planned.way, "more_seconds": planned.more_seconds}  # fmt: skip


def text(planned: Plan) -> str:
    """Format a plan as a table."""
    models = ", ".join(f"{name} ({dimension})" for name, dimension in planned.models.items())
    lines = [
        f"{planned.items:,} items, {len(planned.models)} models: {models}; {planned.cores} workers at once",
        f"pairs are scored {planned.way}",
        f"{'stage':<28} {'seconds':>10} {'worker MiB':>11} {'shuffled GB':>12} {'written GB':>11}",
    ]
    for kind, cost in planned.stages.items():
        lines.append(
            f"{kind:<28} {cost.seconds:>10,.1f} {cost.peak_bytes / 2**20:>11,.0f} {cost.shuffled_bytes / 1e9:>12,.2f} "
            f"{cost.written_bytes / 1e9:>11,.2f}"
        )
    costs = planned.stages.values()
    lines.append(
        f"{'all':<28} {planned.seconds:>10,.1f} {max(cost.peak_bytes for cost in costs) / 2**20:>11,.0f} "
        f"{sum(cost.shuffled_bytes for cost in costs) / 1e9:>12,.2f} "
        f"{sum(cost.written_bytes for cost in costs) / 1e9:>11,.2f}"
    )
    more = planned.more_seconds
    besides = f" ({_time(more)} more if halves of the models do not agree)" if more else ""
    return "\n".join([*lines, f"{_time(planned.seconds)}{besides}; {planned.sure}"])


def _time(seconds: float) -> str:
    for unit, size in (("days", 86_400.0), ("hours", 3_600.0), ("minutes", 60.0)):
        if seconds >= 2 * size:
            return f"about {seconds / size:.1f} {unit}"
    return f"about {seconds:.0f} seconds"
