"""The commands that faults strike, on tiny inputs: how each starts, what it makes, and what a user gets from it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

from cdp_spark.commands.cluster import cluster
from cdp_spark.commands.sweep import apply_threshold, sweep
from cdp_spark.config.input_sections import LabelsConfig
from cdp_spark.config.loading import load_config, load_config_of
from cdp_spark.config.whole import TrainConfig
from cdp_spark.label_errors.flow import denoise
from cdp_spark.scoring.mediator_folder import write_mediator
from cdp_spark.training_lists.flow import export
from tests import data
from tests.faults.struck import PUBLISHED
from tests.scoring.test_mediator_folder import some_learned_mediator, some_mediator
from tests.unlabelled import sets

_PEOPLE, _MANY_PEOPLE, _WITHOUT_LABELS = 12, 60, 150
_FILES = ("config.yaml", "openlineage.json", "run.json", "latest.json")
_TABLES = tuple(f"{name}{PUBLISHED}" for name in ("merges", "quarantine", "clusters"))
_SEARCHED = ("embeddings", "items", "quarantine", "twins", "shards", "by_shard", "knn")
_BLOCKS = ("blocks", "block_count", "members")
_CLUSTERED = ("scored_pairs", "forest", "components", "graph", "labelled", "clusters", "merges", *_TABLES, *_FILES)
_UNLABELLED = (
    "model_contents", "duplicates", "background", *_BLOCKS, "joint_view", "near", "places", "first_look", "log_odds",
    "compared", "strengths", "agreement", "pieces", "piece_sizes", "precision", "taught", "networks",
)  # fmt: skip
_DENOISED = (
    "labels",
    "labelled", "labelled_pairs", "strengths", "supports", "judged", "judge", "verdicts", "duplicates", "flagged",
    "label_names", "issues", "scores", "summary", "cleaned_labels", f"issues{PUBLISHED}", f"scores{PUBLISHED}",
    f"summary{PUBLISHED}", f"cleaned_labels{PUBLISHED}", "run.json",
)  # fmt: skip

_VOLATILE = {
    "started", "finished", "seconds", "made_seconds", "peak_worker_bytes", "driver_peak_bytes", "reused",
    "written_bytes", "stages", "facts", "warnings", "engine_reason", "created", "current",
}  # fmt: skip
"""Keys of a record that say how a run went, not what came out."""


@dataclass(frozen=True)
class Command:
    """A command.

    Attributes
    ----------
    start : callable
        Runs it, in the folder of all inputs and outputs.
    makes : tuple of str
        Its stages, publications and files, where a fault may strike; a stage of several tables once.
    before : tuple of str
        Commands whose output it reads.
    onto : str, optional
        The command whose finished output it changes; default: it has an output of its own.
    """

    start: Callable[[SparkSession, Path], object]
    makes: tuple[str, ...]
    before: tuple[str, ...] = ()
    onto: str | None = None


def write_inputs(root: Path) -> None:
    """Write what all commands read."""
    for name, people in (("in", _PEOPLE), ("many", _MANY_PEOPLE)):
        ids, labels, models = data.embeddings(people)
        data.write(root / name, ids, models, files=2)
        pq.write_table(pa.table({"id": ids, "label": labels}), root / name / "labels.parquet")
    write_mediator(str(root / "mediator"), some_mediator(0.5))
    write_mediator(str(root / "learned mediator"), some_learned_mediator(0.5))
    sets.written(root / "unlabelled", sets.simulated(_WITHOUT_LABELS))


def _settings(root: Path, output: str, **sections: Any) -> Any:
    models = {"base": f"{root}/in/base", "committee": [f"{root}/in/one", f"{root}/in/two"]}
    return load_config({"input": models, "output": f"{root}/{output}", "knn": {"k": 5}, **sections})


def _vote(spark: SparkSession, root: Path) -> object:
    return cluster(_settings(root, "vote", consensus={"strategy": "vote", "accept": 1, "threshold": 0.4}), spark=spark)


def vote_words(root: Path) -> list[str]:
    """Return the same as the words of a user."""
    settings = ("knn.k=5", "consensus.strategy=vote", "consensus.accept=1", "consensus.threshold=0.4")
    return [
        "cluster", "--base", f"{root}/in/base", "--committee", f"{root}/in/one", f"{root}/in/two",
        "--output", f"{root}/vote", *(word for setting in settings for word in ("--set", setting)),
    ]  # fmt: skip


def _mediator(spark: SparkSession, root: Path) -> object:
    by = {"strategy": "mediator", "mediator": f"{root}/mediator", "threshold": 0.6}
    return cluster(_settings(root, "mediator run", consensus=by), spark=spark)


def _learned(spark: SparkSession, root: Path) -> object:
    """Cluster by a mediator whose shift halves of the committee choose."""
    models = {"base": f"{root}/in/base", "committee": [f"{root}/in/one", f"{root}/in/two"]}
    by = {"mediator": f"{root}/learned mediator"}
    config = {"input": models, "output": f"{root}/learned run", "knn": {"k": 5}, "consensus": by}
    return cluster(load_config(config), spark=spark)


def _without_labels(spark: SparkSession, root: Path) -> object:
    base, *committee = (f"{root}/unlabelled/m{number}.parquet" for number in range(3))
    models = {"base": base, "committee": committee}
    return cluster(load_config({"input": models, "output": f"{root}/without labels", "knn": {"k": 5}}), spark=spark)


def _sweep(spark: SparkSession, root: Path) -> object:
    found = sweep(f"{root}/vote", [0.3, 0.5, 0.7], spark=spark)
    return found, apply_threshold(f"{root}/vote", 0.7, spark=spark)


def _export(spark: SparkSession, root: Path) -> object:
    return export(f"{root}/vote", output=f"{root}/export", spark=spark, min_size=2, splits={"validation": 0.3})


def _export_csv(spark: SparkSession, root: Path) -> object:
    return export(f"{root}/vote", output=f"{root}/export csv", spark=spark, min_size=2, format="csv")


def _denoise(spark: SparkSession, root: Path) -> object:
    labels = LabelsConfig(path=f"{root}/in/labels.parquet")
    return denoise(f"{root}/vote", labels, output=f"{root}/denoise", spark=spark, apply=["wrong_label"])


def _train(spark: SparkSession, root: Path) -> object:
    models = {"base": f"{root}/many/base", "committee": [f"{root}/many/one", f"{root}/many/two"]}
    config = {
        "input": {**models, "labels": f"{root}/many/labels.parquet"}, "output": f"{root}/train", "knn": {"k": 5},
        "mediator": {"feature_set": "code", "epochs": 2},
    }  # fmt: skip
    return train_command(load_config_of(TrainConfig, config), spark=spark)


def train_command(config: TrainConfig, *, spark: SparkSession) -> object:
    """Train; torch is imported only here."""
    from cdp_spark.training.flow import train

    return train(config, spark=spark)


COMMANDS = {
    "vote": Command(_vote, (*_SEARCHED, *_CLUSTERED)),
    "mediator run": Command(_mediator, (*_SEARCHED, *_BLOCKS, "prior", "mediator_fit", *_CLUSTERED)),
    "learned run": Command(
        _learned,
        (
            *_SEARCHED, *_BLOCKS, "prior", "mediator_fit", "member_pairs", "alike_by_shift", "pieces", "piece_sizes",
            *_CLUSTERED,
        ),
    ),
    "without labels": Command(
        _without_labels, (*(stage for stage in _SEARCHED if stage != "by_shard"), *_UNLABELLED, *_CLUSTERED)
    ),
    "sweep": Command(
        _sweep,
        (
            "starts", "sweep", "scored_pairs", "forest", "alike", "sweep.json", "components", "graph", "labelled",
            "clusters", _TABLES[-1], *_FILES,
        ),
        ("vote",), "vote",
    ),
    "export": Command(
        _export, ("sure", "cluster_numbers", "items", f"items{PUBLISHED}", "run.json", "card.json"), ("vote",)
    ),
    "export csv": Command(_export_csv, ("sure", "cluster_numbers", "items", "run.json", "card.json"), ("vote",)),
    "denoise": Command(_denoise, _DENOISED, ("vote",)),
    "train": Command(
        _train,
        (*_SEARCHED, *_BLOCKS, "features", "parts", "labelled_pairs", "scored", "forest", "mediator.safetensors",
         "card.json", "labels", "labels_matched"),
    ),
}  # fmt: skip


def output_of(name: str, root: Path) -> Path:
    """Return the folder that a command writes to."""
    return root / (COMMANDS[name].onto or name)


def result(output: Path) -> dict[str, Any]:
    """Return what a user gets: rows of the tables in no order, records without times, other files as they are."""
    found: dict[str, Any] = {}
    for path in sorted(output.iterdir()):
        if path.is_dir() and path.name not in ("stages", "files"):
            rows = pq.read_table(path, partitioning=None).to_pylist()
            found[path.name] = sorted(json.dumps(row, sort_keys=True) for row in rows)
        elif path.name == "files":
            found |= {f"files/{each.name}": each.read_bytes() for each in sorted(path.iterdir())}
        elif path.name in ("run.json", "card.json", "sweep.json", "latest.json"):
            found[path.name] = _without_times(json.loads(path.read_text()))
        elif path.suffix in (".yaml", ".safetensors"):
            found[path.name] = path.read_bytes()
    return found


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_times(each) for key, each in value.items() if key not in _VOLATILE}
    return [_without_times(each) for each in value] if isinstance(value, list) else value
