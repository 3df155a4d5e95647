"""Run the demo: cluster the project's own data with commands a user would type.

The first run is the bare command: no labels, no threshold, no mediator. The demo explains two different characters
that share a cluster there. For comparison, the same embeddings are then clustered by a vote of all models; by a
mediator trained on the labelled subset, with a threshold; and without a threshold, by a mediator that was trained on
simulated worlds as well. These three share a folder, and each reuses the stages of the run before that do not depend on
the change.
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

NO_LABELS = "no labels"
_K = f"knn.k={glyphs.K}"


def _by(mediator: Path) -> list[str]:
    return [_K, f"consensus.mediator={mediator}"]


SHOWN = ("pairwise_precision", "pairwise_recall", "pairwise_f", "bcubed_f", "clusters", "identities")
WAYS = {
    NO_LABELS: ("No labels, no threshold: the default.", []),
    "vote": (
        "For comparison: vote of all models, with a threshold that suits the labelled characters.",
        [_K, f"consensus.threshold={glyphs.THRESHOLD}"],
    ),
    "mediator": (
        "Mediator trained on the labelled characters, with the threshold from its training.",
        _by(glyphs.MEDIATOR),
    ),
    "no threshold": (
        "No threshold, mediator of simulated worlds made of the labelled characters: clusters merge while a "
        "merge is more probable than not.",
        _by(glyphs.RICH_MEDIATOR),
    ),
}
"""Description and settings of each run."""


def command(output: str, settings: Sequence[str]) -> list[str]:
    """Return the words after ``cdp-spark`` that cluster the unlabelled glyphs."""
    base, committee = glyphs.embeddings("unlabelled")
    folder = glyphs.FOLDER / "unlabelled"
    words = [
        "cluster", "--base", base, "--committee", *committee, "--output", output,
        "--labels", str(folder / "labels.parquet"), "--images", str(folder / "images.parquet"),
    ]  # fmt: skip
    for setting in (f"input.encoding={glyphs.ENCODING}", *settings):
        words += ["--set", setting]
    return words


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; return the exit code of the first command that fails, or 0."""
    parser = argparse.ArgumentParser(description="Cluster the data that comes with the project.")
    parser.add_argument("--output", default="runs/demo", help="folder of the run")
    output = parser.parse_args(arguments).output
    _say("Pictures of characters, embedded by four small networks: which show the same character?")
    metrics = {}
    for way, (text, settings) in WAYS.items():
        folder = output if way == NO_LABELS else f"{output}-compared"
        if code := _run(text, command(folder, settings)) or _look_closer(way, folder):
            return code
        metrics[way] = json.loads(Path(folder, "run.json").read_text())["metrics"]["kept"]
    sys.stdout.write(f"\n{side_by_side(metrics)}\n")
    sys.stdout.flush()
    _say(
        "\nThe labels of these characters were used only to evaluate; the mediators of the last two columns learned "
        f"from labels of others.\nOpen {output}/report.html in a browser to see the clusters made without labels."
    )
    return 0


def _look_closer(way: str, folder: str) -> int:
    """Run the command that goes with a way, if any; return its exit code."""
    if way == NO_LABELS:
        pair = wrong_pair(folder)
        return _run("Why are these two different characters in one cluster?", ["explain", "--run", folder, *pair])
    if way == "mediator":
        return _run("What would other thresholds give?", sweep(folder))
    return 0


def sweep(output: str) -> list[str]:
    """Return the words after ``cdp-spark`` that sweep the run."""
    return ["sweep", "--run", output, "--thresholds", "0.8:0.98:0.02"]


def wrong_pair(output: str) -> list[str]:
    """Return two items of different labels from the largest cluster that has such."""
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
    _say(f"\n{text} The command:\n\n  cdp-spark {shlex.join(words)}\n")
    return cdp_spark(words)


def side_by_side(metrics: dict[str, dict[str, Any]]) -> str:
    """Format the metrics of all runs side by side."""
    lines = ["unclustered items kept".ljust(26) + "".join(f"{way:>14}" for way in metrics)]
    for name in SHOWN:
        figures = [kept[name] for kept in metrics.values()]
        cells = [f"{figure:.4f}" if isinstance(figure, float) else f"{figure:,}" for figure in figures]
        lines.append(name.ljust(26) + "".join(f"{cell:>14}" for cell in cells))
    return "\n".join(lines)


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
