"""Hash what the commands write, over configurations of every kind: equal before and after code is moved.

    python -m tests.hashes --output /tmp/hashes > before.json
    python -m tests.hashes --output /tmp/hashes --compare before.json

Rows are hashed without their order and without the layout of files. Training needs torch; without it, it is left out.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cdp_spark import cli
from cdp_spark.datasets import demo, glyphs
from tests import data

VOTES = {
    "vote": [],
    "vote of one": ["consensus.accept=1"],
    "paper": ["clusters.rule=paper", "clusters.max_cluster_size=8"],
    "cut": ["clusters.max_cluster_size=6"],
    "cells": ["knn.exact_below=0", "knn.shard_items=60", "knn.recall_target=0.5"],
    "superset": ["forest.task_edges=100"],
    "soft labels": ["clusters.soft_labels=true"],
}
MEDIATED = {
    "mediator": (glyphs.MEDIATOR, []),
    "mediator, paper": (glyphs.MEDIATOR, ["clusters.rule=paper"]),
    "contraction": (glyphs.MEDIATOR, ["clusters.rule=contraction"]),
    "learned": (glyphs.RICH_MEDIATOR, ["clusters.rule=learned"]),
    "learned, small pieces": (glyphs.RICH_MEDIATOR, ["clusters.rule=learned", "clusters.piece_items=300"]),
    "rich, cut": (glyphs.RICH_MEDIATOR, []),
}


def main() -> int:
    options = arguments()
    shutil.rmtree(options.output, ignore_errors=True)
    options.output.mkdir(parents=True)
    found = dict(runs(options.output))
    print(json.dumps(found, indent=1, sort_keys=True))
    if options.compare is None:
        return 0
    before = json.loads(options.compare.read_text())
    wrong = sorted(name for name in before.keys() | found.keys() if before.get(name) != found.get(name))
    print("\n".join(wrong) or "all the same", file=sys.stderr)
    return bool(wrong)


def runs(folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Run each configuration, and yield its name and the hashes of its tables."""
    ids, labels, models = data.embeddings(60)
    data.write(folder / "in", ids, models)
    pq.write_table(pa.table({"id": ids, "label": labels}), folder / "labels.parquet")
    for name, settings in VOTES.items():
        for given in ([], ["--labels", str(folder / "labels.parquet")]):
            output = folder / f"{name}{' with labels' if given else ''}"
            run("cluster", *made_input(folder), "--output", output, *given, *sets("consensus.threshold=0.4", *settings))
            yield output.name, tables(output)
    for name, (mediator, settings) in MEDIATED.items():
        words = demo.command(str(folder / name), [f"knn.k={glyphs.K}", f"consensus.mediator={mediator}"])
        run(*words, *sets(*settings))
        yield name, tables(folder / name)
    yield from others(folder)
    if find_spec("torch") is not None:
        yield from trained(folder)


def others(folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """What reads a finished run: sweep and its clusters, carried ids, issues, training rows."""
    vote, labels = folder / "vote with labels", folder / "labels.parquet"
    run("sweep", "--run", vote, "--thresholds", "0.3:0.7:0.1", "--apply", "best")
    found = json.loads((vote / "sweep.json").read_text())
    del found["pairs"]  # a fingerprint, which the time of the input files goes into
    yield "sweep", {"rows": digest(json.dumps(found).encode())} | tables(vote)
    later = folder / "later"
    run("cluster", *made_input(folder), "--output", later, "--previous", vote, *sets("consensus.threshold=0.5"))
    yield "lineage", tables(later)
    run("denoise", "--run", vote, "--labels", labels, "--output", folder / "denoise", "--apply")
    yield "denoise", tables(folder / "denoise")
    run("export", "--run", vote, "--output", folder / "export", "--min-size", "3", "--split", "validation=0.3")
    yield "export", tables(folder / "export")


def trained(folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Train each feature set; the networks' weights are hashed."""
    for feature_set in ("code", "paper", "rich"):
        output = folder / f"mediator {feature_set}"
        labels = ["--labels", str(folder / "labels.parquet")]
        settings = sets(f"mediator.feature_set={feature_set}", "mediator.epochs=3")
        run("train", *made_input(folder), *labels, "--output", output, *settings)
        yield f"train {feature_set}", {"weights": digest((output / "mediator.safetensors").read_bytes())}


def made_input(folder: Path) -> list[str]:
    base, *committee = (str(folder / "in" / model) for model in data.MODELS)
    return ["--base", base, "--committee", *committee, "--set", "knn.k=6"]


def sets(*settings: str) -> list[str]:
    return [word for setting in settings for word in ("--set", setting)]


def run(*words: object) -> None:
    """Run a command in this process; its results go to stderr."""
    stdout, sys.stdout = sys.stdout, sys.stderr
    try:
        code = cli.main([str(word) for word in words])
    finally:
        sys.stdout = stdout
    if code:
        raise SystemExit(f"{' '.join(map(str, words))}: exit code {code}")


def tables(output: Path) -> dict[str, str]:
    """Hash every table below a folder: of stages by name, without their fingerprint."""
    folders = sorted({file.parent for file in output.rglob("*.parquet")})
    found: dict[str, str] = {}
    for folder in folders:
        name = str(folder.relative_to(output)).rsplit("-", 1)[0]
        found[name] = digest((found.get(name, "") + rows_digest(folder)).encode())
    return found


def rows_digest(folder: Path) -> str:
    """Hash rows, whatever their order: the sum of the rows' own hashes."""
    table = pa.concat_tables([pq.read_table(file, partitioning=None) for file in sorted(folder.glob("*.parquet"))])
    names = sorted(table.column_names)
    total = 0
    for row in table.select(names).to_pylist():
        total += int(digest(repr([plain(row[name]) for name in names]).encode())[:16], 16)
    return f"{names} {table.num_rows} {total}"


def plain(value: object) -> object:
    return float(np.float32(value)) if isinstance(value, float) else value


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--compare", type=Path, help="what an earlier call printed")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
