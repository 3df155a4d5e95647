"""``cdp-spark doctor``."""

from __future__ import annotations

import argparse
import json

from cdp_spark.cli.options import conf

HELP = "check the engine, Java where it is needed, packages, memory and disk"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--output", default=".", help="folder that a run would write to")


def run(options: argparse.Namespace) -> int:
    """Check the environment, and print a line per check."""
    from cdp_spark.commands.doctor import doctor

    findings = doctor(engine=options.engine, master=options.master, conf=conf(options), output=options.output)
    if options.json:
        print(json.dumps({finding.name: {"ok": finding.ok, "text": finding.text} for finding in findings}))
    else:
        for finding in findings:
            print(f"{finding.name:<12} {'ok' if finding.ok else 'NO' if finding.essential else '--'}  {finding.text}")
    return 0 if all(finding.ok for finding in findings if finding.essential) else 3
