"""The mediator that ships is whole, small and what its card says; damaged ones are refused in one line."""

import json
from pathlib import Path

import numpy as np
import pytest

from cdp_spark.base.errors import ConfigError
from cdp_spark.training import simulated
from cdp_spark.training.simulated import train_simulated
from cdp_spark.unlabelled.kernels.pair_features import feature_names
from cdp_spark.unlabelled.kernels.second_look import AROUND
from cdp_spark.unlabelled.shipped import CARD, SHIPPED, WEIGHTS, load_unlabelled, write_unlabelled


def test_the_shipped_mediator_is_seed_0_and_small():
    mediator, card = load_unlabelled()
    assert (card["training"]["drawn"], card["training"]["seed"]) == (400, 0)
    assert {len(net.mean) for net in mediator.first} == {len(feature_names())}
    assert {len(net.mean) for net in mediator.second} == {len(feature_names()) + len(AROUND)}
    assert sum(path.stat().st_size for path in Path(SHIPPED).iterdir()) < 400_000


def test_what_is_written_is_what_is_read(tmp_path):
    mediator, card = load_unlabelled()
    write_unlabelled(str(tmp_path), mediator, {"training": card["training"]})
    again, _ = load_unlabelled(str(tmp_path))
    features = np.random.default_rng(0).normal(0, 1, (50, len(feature_names()))).astype(np.float16)
    assert np.array_equal(again.first_look(features), mediator.first_look(features))
    assert (tmp_path / WEIGHTS).read_bytes() == (Path(SHIPPED) / WEIGHTS).read_bytes()


def test_training_again_gives_the_same_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(simulated, "_LEAST_SETS", 1)
    for name, most in (("MOST_ITEMS", 1_700), ("PAIRS_OF_A_SET", 200), ("LINKS_OF_A_SET", 200)):
        monkeypatch.setattr(f"cdp_spark.training.kernels.simulated_training.{name}", most)
    cards = [train_simulated(9, 5, str(tmp_path / name)) for name in ("one", "other")]
    assert cards[0] == cards[1]
    assert (tmp_path / "one" / WEIGHTS).read_bytes() == (tmp_path / "other" / WEIGHTS).read_bytes()
    assert load_unlabelled(str(tmp_path / "one"))[1]["training"]["seed"] == 5


def test_too_few_sets_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="draw more"):
        train_simulated(0, 0, str(tmp_path))


@pytest.mark.parametrize("what", ["no card", "no weights", "other card", "no json", "short", "pickle", "nan"])
def test_damaged_mediators_are_refused_in_one_line(tmp_path, what):
    mediator, card = load_unlabelled()
    write_unlabelled(str(tmp_path), mediator, card)
    weights = (tmp_path / WEIGHTS).read_bytes()
    if what.startswith("no ") and what != "no json":
        (tmp_path / {"no card": CARD, "no weights": WEIGHTS}[what]).unlink()
    elif what == "other card":
        (tmp_path / CARD).write_text(json.dumps({**card, "features": ["cosine"]}))
    elif what == "no json":
        (tmp_path / CARD).write_text("{")
    else:
        damaged = {"short": weights[:-9], "pickle": b"\x80\x04K\x01.", "nan": weights[:-4] + b"\x00\x00\xc0\x7f"}
        (tmp_path / WEIGHTS).write_bytes(damaged[what])
    with pytest.raises(ConfigError) as raised:
        load_unlabelled(str(tmp_path))
    assert "\n" not in str(raised.value)
