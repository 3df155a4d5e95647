"""``cdp-spark cluster``."""

from __future__ import annotations

import argparse
import json
from typing import Any

from cdp_spark.cli.options import IMAGES, config, consensus_options, data_options, progress, session
from cdp_spark.cli.text_tables import metrics_table, shift_line, trust_line

HELP = "cluster embeddings (the main job)"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    data_options(parser, "consensus.threshold=0.6", "labels to evaluate the clusters with; never used for clustering")
    consensus_options(parser)
    parser.add_argument(
        "--previous", metavar="RUN",
        help="earlier run whose cluster ids are kept, or the folder around --output for its newest run",
    )  # fmt: skip
    parser.add_argument("--images", metavar="PATH", help=IMAGES)


def run(options: argparse.Namespace) -> int:
    """Cluster, and print a summary."""
    from cdp_spark.config.whole import RunConfig

    wanted = config(RunConfig, options, images=options.images, previous=options.previous)
    from cdp_spark.commands.cluster import cluster
    from cdp_spark.files.paths import shown

    spark = session(options, wanted)
    reporter = progress(options)
    run = cluster(wanted, spark=spark, progress=reporter)
    for warning in run.record["warnings"]:
        reporter.say(warning, "warning")
    trust = trust_line(run.record)
    if options.json and trust:
        reporter.say(f"trust: {trust}")
    print(json.dumps(run.record) if options.json else _summary(run.record, shown(run.output)))
    return 0


def _summary(record: dict[str, Any], output: str) -> str:
    counts = record["counts"]
    statuses = ", ".join(f"{name} {number:,}" for name, number in sorted(counts["statuses"].items()))
    set_aside = sum(sum(reasons.values()) for reasons in counts["quarantined"].values())
    made = sum(not stage["reused"] for stage in record["stages"])
    lines = [
        f"items      {counts['items']:,} ({set_aside:,} rows set aside): {statuses}",
        f"clusters   {counts['clusters']:,}, the largest with {counts['largest']:,} items",
        "recall     " + ", ".join(f"{model} {graph['recall']:.4f}" for model, graph in record["recall"].items()),
    ]
    if trust := trust_line(record):
        lines.append(f"trust      {trust}")
    if shift := shift_line(record):
        lines.append(f"shift      {shift}")
    if record["metrics"]:
        lines.append(metrics_table(record["metrics"]))
    work = f"{made} stages made, {len(record['stages']) - made} reused" if made else "nothing to do, all stages reused"
    lines.append(f"output     {output}/clusters ({work}, {record['seconds']:.1f} s)")
    return "\n".join([*lines, f"report     {output}/report.html"] if _has_report(record) else lines)


def _has_report(record: dict[str, Any]) -> bool:
    return not any(warning.startswith("the report needs") for warning in record["warnings"])
