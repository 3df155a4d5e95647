"""Training from the mediator that ships: by few labels, without torch, to a folder that clusters any models."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cdp_spark.base.errors import ConfigError
from cdp_spark.commands.cluster import cluster
from cdp_spark.config.loading import load_config, load_config_of
from cdp_spark.config.whole import TrainConfig
from cdp_spark.training import few_labels, flow
from cdp_spark.training.kernels.simulation import simulated_set
from tests.unlabelled.sets import written

COUNT = 120


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Two models of one set, labels of two thirds of it."""
    folder = tmp_path_factory.mktemp("few")
    drawn = simulated_set(3, items=4 * COUNT)
    paths = written(folder / "in", [np.float32(each[:COUNT]) for each in drawn.models[:2]])
    labelled = np.arange(COUNT) % 3 > 0
    labels = pa.table({"id": np.arange(COUNT)[labelled], "label": drawn.identity[:COUNT][labelled]})
    pq.write_table(labels, folder / "labels.parquet")
    return folder, paths


def train_config(place, output, **mediator):
    folder, (base, *committee) = place
    given = {"base": base, "committee": committee, "labels": str(folder / "labels.parquet")}
    return load_config_of(TrainConfig, {"input": given, "output": str(output), "mediator": mediator})


@pytest.mark.engines
def test_a_tuned_mediator_clusters_like_one_of_simulated_sets(spark, tmp_path, place, monkeypatch):
    monkeypatch.setattr(flow, "find_spec", lambda name: None)  # torch is not needed
    made = flow.train(train_config(place, tmp_path / "m", start="shipped"), spark=spark)
    card = json.loads((tmp_path / "m" / "card.json").read_text())
    assert card["kind"] == "cdp-spark mediator without labels"
    assert card["start"]["from"] == "shipped"
    assert card["start"]["crossover"] == few_labels.CROSSOVER
    assert {key: card[key] for key in made.card} == made.card
    again = flow.train(train_config(place, tmp_path / "again", start="shipped"), spark=spark)
    assert again.card == made.card
    assert json.loads((tmp_path / "again" / "card.json").read_text())["sha256"] == card["sha256"]
    base, *committee = place[1]
    settings = {"input": {"base": base, "committee": committee}, "output": str(tmp_path / "run")}
    run = cluster(load_config(settings | {"consensus": {"mediator": str(tmp_path / "m")}}), spark=spark)
    assert run.record["without_labels"]["shift"] is not None


def test_few_labels_start_from_what_ships_unless_a_key_asks_otherwise(spark, tmp_path, place):
    made = flow.train(train_config(place, tmp_path / "m"), spark=spark)
    assert made.card["start"]["from"] == "shipped"
    assert made.card["start"]["asked"] == "auto"
    pytest.importorskip("torch", reason="torch, of the extra train, is not installed")
    other = flow.train(train_config(place, tmp_path / "other", feature_set="code", epochs=2), spark=spark)
    assert other.card["start"]["from"] == "none"


def test_more_labelled_items_than_one_process_holds_are_sampled_by_whole_identities(
    spark, tmp_path, place, monkeypatch
):
    monkeypatch.setattr(few_labels, "MOST_ITEMS", 40)
    made = flow.train(train_config(place, tmp_path / "m", start="shipped"), spark=spark)
    assert 0 < made.card["training"]["items"] <= 80


def test_a_key_that_only_a_training_from_nothing_reads_is_refused(tmp_path, place):
    with pytest.raises(ConfigError, match=r"mediator\.crowd is for a training from nothing: .* set start none"):
        train_config(place, tmp_path / "m", start="shipped", crowd=True)
