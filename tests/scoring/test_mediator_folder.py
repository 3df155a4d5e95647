"""A mediator is read back as it was written, and what does not fit is refused by one clear line."""

import json
import pickle
from dataclasses import replace

import numpy as np
import pytest

from cdp_spark.agglomeration.kernels.link_features import link_feature_names
from cdp_spark.base.errors import ConfigError
from cdp_spark.networks.kernels.mlp import Ensemble, Mlp, probabilities
from cdp_spark.networks.weights_file import as_bytes, is_pickle
from cdp_spark.pairs.kernels.features import feature_names
from cdp_spark.scoring.mediator_folder import CARD, WEIGHTS, Mediator, load_mediator, write_mediator

MODELS = ["base", "one", "two"]


def some_mediator(value: float = 0.1) -> Mediator:
    names = feature_names(MODELS, "code")
    random = np.random.default_rng(0)
    sizes = [len(names), 24, 24, 1]
    layers = tuple(
        (
            np.full((a, b), value, np.float32) * random.standard_normal((a, b)).astype(np.float32),
            np.zeros(b, np.float32),
        )
        for a, b in ((sizes[i], sizes[i + 1]) for i in range(3))
    )
    mean, scale = np.zeros(len(names), np.float32), np.ones(len(names), np.float32)
    card = {
        "models": MODELS, "k": 5, "feature_set": "code", "all_features": names, "features": names,
        "candidates": "base", "threshold": 0.7, "held_out": {"positive_share": 0.5},
        "domain": [{"edges": [0.5], "shares": [0.5, 0.5]}] * len(names),
    }  # fmt: skip
    return Mediator(Ensemble((Mlp(mean, scale, layers, 1.5),)), card)


def some_learned_mediator(value: float = 0.1) -> Mediator:
    """One that also scores pairs of clusters."""
    count, random = len(link_feature_names()), np.random.default_rng(1)
    layers = tuple(
        (random.standard_normal((a, b)).astype(np.float32), np.zeros(b, np.float32)) for a, b in ((count, 8), (8, 1))
    )
    net = Mlp(np.zeros(count, np.float32), np.ones(count, np.float32), layers)
    return replace(some_mediator(value), cluster_net=Ensemble((net,)))


@pytest.fixture
def folder(tmp_path):
    write_mediator(str(tmp_path / "m"), some_mediator())
    return tmp_path / "m"


def load(folder, models=MODELS, k=5):
    return load_mediator(str(folder), models=models, k=k)


def test_what_is_read_scores_as_what_was_written(folder):
    features = np.random.default_rng(1).random((50, 8)).astype(np.float32)
    found = load(folder)
    np.testing.assert_array_equal(probabilities(found.pairs, features), probabilities(some_mediator().pairs, features))
    assert found.columns == list(range(8))
    assert found.fingerprint == load(folder).fingerprint


def test_other_models_another_order_or_another_k_are_refused(folder):
    for models in (["base", "one"], ["base", "two", "one"], ["one", "base", "two"]):
        with pytest.raises(ConfigError, match=r"was trained for base, one, two \(base first\)"):
            load(folder, models)
    with pytest.raises(ConfigError, match=r"knn\.k 5; the run has 9"):
        load(folder, k=9)


def test_a_folder_without_a_card_is_none(tmp_path):
    with pytest.raises(ConfigError, match=r"has no card\.json"):
        load(tmp_path / "nothing")


def changed(folder, **entries):
    card = json.loads((folder / CARD).read_text())
    (folder / CARD).write_text(json.dumps({**card, **entries}))


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"format": 99}, "newer than 2"),
        ({"format": 1}, "older than 2"),
        ({"features": ["affinity.base"]}, "for other features than its card names"),
        ({"features": ["smell.base"]}, "its card lacks its features"),
        ({"calibration": {"slope": -1, "shift": 0, "mixture": None}}, "not finite"),
        ({"calibration": {}}, "truncated or damaged"),
    ],
)
def test_a_card_that_does_not_fit_is_refused(folder, entries, message):
    changed(folder, **entries)
    with pytest.raises(ConfigError, match=message):
        load(folder)


def test_damaged_cards_and_weights_are_refused_and_pickles_never_opened(folder):
    good = (folder / WEIGHTS).read_bytes()
    for content, message in (
        (good[: len(good) // 2], "truncated or damaged"),
        (b"", "truncated or damaged"),
        (pickle.dumps({"mean": 1}), "is a pickle"),
        (b"PK\x03\x04" + good, "is a pickle"),
    ):
        (folder / WEIGHTS).write_bytes(content)
        with pytest.raises(ConfigError, match=message):
            load(folder)
    (folder / WEIGHTS).unlink()
    with pytest.raises(ConfigError, match=r"has no mediator\.safetensors"):
        load(folder)
    (folder / CARD).write_text("{")
    with pytest.raises(ConfigError, match="not the card of a mediator"):
        load(folder)


def test_safetensors_that_begin_like_a_pickle_are_none():
    beginnings = set()
    for width in range(1, 120, 4):
        data = as_bytes({"a" * width: np.zeros(3)})
        beginnings.add(data[0])
        assert not is_pickle(data)
        assert is_pickle(pickle.dumps({"a" * width: b"{" * 20}))
    assert 0x80 in beginnings


def test_weights_that_are_not_finite_are_refused(tmp_path):
    write_mediator(str(tmp_path / "m"), some_mediator(float("nan")))
    with pytest.raises(ConfigError, match="not finite"):
        load(tmp_path / "m")
