"""``make demo``: the main job on the data that comes with the project, by the commands that a user would type.

The same embeddings are clustered three times: by a vote of all models; by a mediator that has learned from the labelled
part, and a threshold; and without one, by a mediator that has learned from simulated worlds too. Each run takes all
that does not depend on this from the one before. Other thresholds are tried, and two characters that are wrongly
together are explained.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from cdp_spark.cli import main as cdp_spark
from cdp_spark.datasets import glyphs


def _by(mediator: Path) -> list[str]:
    return [f"consensus.mediator={mediator}"]


SHOWN = ("pairwise_precision", "pairwise_recall", "pairwise_f", "bcubed_f", "clusters", "identities")
WAYS = {
    "vote": ("By a vote of all models.", [f"consensus.threshold={glyphs.THRESHOLD}"]),
    "mediator": ("By a mediator, with the threshold of its training.", _by(glyphs.MEDIATOR)),
    "no threshold": (
        "Without a threshold, by a mediator of simulated worlds: clusters merge until no two would rather be one.",
        _by(glyphs.RICH_MEDIATOR),
    ),
}
"""What is said of each, and its settings."""


def command(output: str, settings: Sequence[str]) -> list[str]:
    """Return the words after ``cdp-spark`` that cluster the unlabelled glyphs."""
    base, committee = glyphs.embeddings("unlabelled")
    part = glyphs.FOLDER / "unlabelled"
    words = [
        "cluster", "--base", base, "--committee", *committee, "--output", output,
        "--labels", str(part / "labels.parquet"), "--images", str(part / "images.parquet"),
    ]  # fmt: skip
    for setting in (f"input.encoding={glyphs.ENCODING}", f"knn.k={glyphs.K}", *settings):
        words += ["--set", setting]
    return words


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; return the exit code of the first command that fails, or 0."""
    parser = argparse.ArgumentParser(description="Cluster the data that comes with the project.")
    parser.add_argument("--output", default="runs/demo", help="folder of the run")
    output = parser.parse_args(arguments).output
    _say("Pictures of characters, embedded by four small networks; which are the same character?")
    found = {}
    for way, (text, settings) in WAYS.items():
        if code := _run(text, command(output, settings)):
            return code
        found[way] = json.loads(Path(output, "run.json").read_text())["metrics"]["kept"]
        if way == "mediator" and (code := _run("What would other thresholds give?", sweep(output))):
            return code
    pair = wrong_pair(output)
    if code := _run("Why are these two, which are not the same, together?", ["explain", "--run", output, *pair]):
        return code
    sys.stdout.write(f"\n{side_by_side(found)}\n")
    sys.stdout.flush()
    _say("\nThe labels were used only to evaluate. Open the report in a browser to see the clusters without a threshold.")
    return 0


def sweep(output: str) -> list[str]:
    """Return the words that try other thresholds on the run."""
    return ["sweep", "--run", output, "--thresholds", "0.8:0.98:0.02"]


def wrong_pair(output: str) -> list[str]:
    """Return the ids of two items of one cluster that the labels tell apart, of the largest such cluster."""
    labels = pq.read_table(glyphs.FOLDER / "unlabelled" / "labels.parquet", columns=["id", "label"])
    clusters = pq.read_table(Path(output, "clusters"), columns=["id", "cluster", "size"])
    rows = clusters.join(labels, "id", join_type="inner").sort_by(
        [("size", "descending"), ("cluster", "ascending"), ("id", "ascending")]
    )
    first: dict[int, tuple[str, object]] = {}
    for row in rows.to_pylist():
        known = first.setdefault(row["cluster"], (str(row["id"]), row["label"]))
        if row["cluster"] >= 0 and row["label"] != known[1]:
            return [known[0], str(row["id"])]
    return [str(row["id"]) for row in rows.slice(0, 2).to_pylist()]


def _run(text: str, words: Sequence[str]) -> int:
    _say(f"\n{text} This is what runs:\n\n  cdp-spark {shlex.join(words)}\n")
    return cdp_spark(words)


def side_by_side(found: dict[str, dict[str, Any]]) -> str:
    """Write the figures of all ways beside each other."""
    lines = ["items without cluster kept".ljust(26) + "".join(f"{way:>14}" for way in found)]
    for name in SHOWN:
        figures = [kept[name] for kept in found.values()]
        cells = [f"{figure:.4f}" if isinstance(figure, float) else f"{figure:,}" for figure in figures]
        lines.append(name.ljust(26) + "".join(f"{cell:>14}" for cell in cells))
    return "\n".join(lines)


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
