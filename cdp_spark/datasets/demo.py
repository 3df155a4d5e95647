"""``make demo``: the main job on the data that comes with the project, by the command that a user would type."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence

from cdp_spark.cli import main as cdp_spark
from cdp_spark.datasets import glyphs


def command(output: str) -> list[str]:
    """Return the words after ``cdp-spark`` that cluster the unlabelled glyphs by the vote of all models."""
    base, committee = glyphs.embeddings("unlabelled")
    part = glyphs.FOLDER / "unlabelled"
    return [
        "cluster", "--base", base, "--committee", *committee, "--output", output,
        "--labels", str(part / "labels.parquet"), "--images", str(part / "images.parquet"),
        "--set", f"input.encoding={glyphs.ENCODING}", "--set", f"consensus.threshold={glyphs.THRESHOLD}",
        "--set", "knn.k=14",
    ]  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; return the exit code of the command."""
    parser = argparse.ArgumentParser(description="Cluster the data that comes with the project.")
    parser.add_argument("--output", default="runs/demo", help="folder of the run")
    words = command(parser.parse_args(arguments).output)
    sys.stderr.write(
        "Pictures of characters, embedded by four small networks; which are the same character?\n"
        f"This is what runs:\n\n  cdp-spark {shlex.join(words)}\n\n"
    )
    code = cdp_spark(words)
    if code == 0:
        sys.stderr.write("\nThe labels were only used to judge. Open the report in a browser to see the clusters.\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
