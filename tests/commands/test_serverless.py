"""Serverless compute keeps no table, makes no checkpoint and takes few settings: every command ends all the same.

On Spark, ``tests/connect`` works under the same refusals.
"""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cdp_spark import cli
from cdp_spark.networks.kernels.mlp import Ensemble, Mlp
from cdp_spark.scoring.mediator_folder import write_mediator
from tests import data
from tests.scoring.test_mediator_folder import some_mediator
from tests.serverless import refusals


@pytest.fixture
def serverless(spark, monkeypatch):
    """The session, refusing what serverless compute refuses."""
    for owner, name, refuses in refusals(spark):
        monkeypatch.setattr(owner, name, refuses)
    return spark


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Models, labels, pictures' paths, and a mediator of one layer: four times the sum of the cosines, less seven."""
    folder = tmp_path_factory.mktemp("serverless")
    ids, labels, models = data.embeddings(12)
    data.write(folder, ids, models)
    pq.write_table(pa.table({"id": ids, "label": labels}), folder / "labels.parquet")
    pq.write_table(pa.table({"id": ids, "image": [f"{name}.jpg" for name in ids]}), folder / "images.parquet")
    some = some_mediator()
    weights = np.float32([[4.0 if name.startswith("affinity") else 0.0] for name in some.card["features"]])
    net = Mlp(some.pairs.nets[0].mean, some.pairs.nets[0].scale, ((weights, np.float32([-7.0])),))
    write_mediator(f"{folder}/m", replace(some, pairs=Ensemble((net,))))
    return folder, [str(each) for each in ids[:2]]


@pytest.mark.report
def test_every_command_ends_without_what_serverless_compute_refuses(serverless, place, capfd):
    folder, items = place
    given = ["--base", f"{folder}/base", "--committee", f"{folder}/one", f"{folder}/two"]
    labels, run = ["--labels", f"{folder}/labels.parquet"], ["--run", f"{folder}/vote"]
    mediator = ["--mediator", f"{folder}/m", "--k", "5", *labels]
    commands = [
        ["plan", *given, "--output", f"{folder}/vote", "--k", "5"],
        ["cluster", *given, *labels, "--output", f"{folder}/vote", "--k", "5", "--threshold", "0.45"],
        ["cluster", *given, "--output", f"{folder}/mediator", *mediator],
        ["cluster", *given, "--output", f"{folder}/contraction", *mediator, "--set", "clusters.rule=contraction"],
        ["cluster", *given, "--output", f"{folder}/again", "--k", "5", "--threshold", "0.5",
         "--previous", f"{folder}/vote"],
        ["evaluate", "--clusters", f"{folder}/vote/clusters", *labels],
        ["explain", *run, *items],
        ["denoise", *run, *labels, "--output", f"{folder}/issues"],
        ["export", *run, "--output", f"{folder}/training"],
        ["export", *run, "--output", f"{folder}/listed", "--format", "list", "--images", f"{folder}/images.parquet"],
        ["report", *run],
        ["sweep", *run, *labels, "--thresholds", "0.4,0.6", "--apply", "0.6"],
    ]  # fmt: skip
    for words in commands:
        assert cli.main(words) == 0, (words, capfd.readouterr().err[-500:])


@pytest.mark.slow
@pytest.mark.skipif(find_spec("torch") is None, reason="training needs torch")
def test_so_do_training_and_the_rule_that_it_learns(serverless, place, capfd):
    folder, _ = place
    given = ["--base", f"{folder}/base", "--committee", f"{folder}/one", f"{folder}/two", "--k", "5"]
    trained = ["train", *given, "--labels", f"{folder}/labels.parquet", "--output", f"{folder}/trained"]
    learned = ["cluster", *given, "--mediator", f"{folder}/trained", "--output", f"{folder}/learned"]
    for words in (trained, learned):
        assert cli.main(words) == 0, (words, capfd.readouterr().err[-500:])
