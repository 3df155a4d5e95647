"""``train --simulated`` makes a mediator without labels; ``--mediator`` takes its folder like the one that ships."""

import json
import shutil

import pytest

from cdp_spark.base.errors import ConfigError
from cdp_spark.cli import main
from cdp_spark.commands.cluster import cluster
from cdp_spark.config.loading import load_config
from cdp_spark.training import simulated
from cdp_spark.unlabelled.flow import mediator_without_labels
from cdp_spark.unlabelled.shipped import CARD, SHIPPED, WEIGHTS
from tests.unlabelled import sets


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("mediators") / "own"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(simulated, "_LEAST_SETS", 1)
        for name, most in (("MOST_ITEMS", 1_700), ("PAIRS_OF_A_SET", 200), ("LINKS_OF_A_SET", 200)):
            patch.setattr(f"cdp_spark.training.kernels.simulated_training.{name}", most)
        words = ["train", "--simulated", "9", "--output", str(place), "--set", "mediator.seed=5"]
        assert main(words) == 0
    return place


def config(place, models, mediator):
    base, *committee = models
    return load_config(
        {
            "input": {"base": base, "committee": committee},
            "output": str(place),
            "consensus": {"mediator": str(mediator)},
        }
    )


def test_the_folder_says_what_was_asked_for(folder):
    card = json.loads((folder / CARD).read_text())
    assert (card["training"]["drawn"], card["training"]["seed"]) == (9, 5)
    assert sorted(path.name for path in folder.iterdir()) == [CARD, WEIGHTS]


def test_the_summary_says_how_to_use_it(tmp_path, monkeypatch, capsys):
    card = {
        "training": {"drawn": 9, "sets": 8, "items": 9_000, "pairs": 14_400, "links": 24_000},
        "held_out": {"first_look_log_loss": 0.21, "second_look_log_loss": 0.2},
    }
    monkeypatch.setattr(simulated, "train_simulated", lambda *_: card)
    assert main(["train", "--simulated", "9", "--output", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "8 of 9 drawn" in printed
    assert "--mediator" in printed


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--output", "o", "--labels", "l.parquet", "--base", "b.parquet"], "leave out --base, --labels"),
        (["--output", "o", "--config", "cdp.yaml"], "leave out --config"),
        (["--output", "o", "--set", "mediator.epochs=3"], "no setting but mediator.seed"),
        (["--output", "o", "--set", "mediator.seed=-1"], "mediator.seed"),
        (["--output", "o", "--set", "mediator.seed=x"], "mediator.seed"),
        (["--output", "o", "--engine", "sail", "--simulated", "0"], "draw more"),
        ([], "give --output"),
    ],
)
def test_what_it_does_not_take_is_refused_in_one_line(words, message, capsys):
    assert main(["train", "--simulated", "9", *words]) == ConfigError.exit_code
    said = capsys.readouterr().err
    assert message in said
    assert len(said.strip().splitlines()) == 1


def test_cluster_takes_the_folder_for_any_models(spark, folder, tmp_path):
    models = sets.written(tmp_path / "in", sets.simulated(80, 2))
    run = cluster(config(tmp_path / "run", models, folder), spark=spark)
    assert run.record["way"] == f"by the mediator {folder}, without labels: it was given"
    assert run.record["config"]["clusters"]["rule"] == "learned"
    assert "shift" in run.record["without_labels"]


def test_the_fingerprint_is_that_of_the_weights(folder, tmp_path):
    own, again = mediator_without_labels(str(folder)), shutil.copytree(SHIPPED, tmp_path / "copy")
    shipped = mediator_without_labels("shipped")
    assert mediator_without_labels(str(again)).fingerprint == shipped.fingerprint != own.fingerprint


def test_weights_other_than_the_cards_are_refused_before_any_work(folder, tmp_path):
    place = shutil.copytree(folder, tmp_path / "exchanged")
    shutil.copy(f"{SHIPPED}/{WEIGHTS}", place / WEIGHTS)
    wanted = config(tmp_path / "run", ["none.parquet", "nor.parquet"], place)
    with pytest.raises(ConfigError, match="damaged"):
        cluster(wanted, spark=None)


def test_a_folder_without_a_card_is_no_mediator_without_labels(tmp_path):
    assert not config(tmp_path / "run", ["a.parquet", "b.parquet"], tmp_path / "none").consensus.without_labels
    (tmp_path / CARD).write_text("{")
    assert not config(tmp_path / "run", ["a.parquet", "b.parquet"], tmp_path).consensus.without_labels
