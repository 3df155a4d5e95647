import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs torch: pip install 'cdp-spark[train]'")

from cdp_spark.networks.kernels.mlp import Ensemble, logits, probabilities
from cdp_spark.training.kernels.train_network import HeldOut, Recipe, calibrated, standardisation, train_mlp


def pairs(count, seed, noise=1.0):
    """Return pairs that are the same where the first of three features, of uneven scale, is large."""
    random = np.random.default_rng(seed)
    features = random.standard_normal((count, 3)).astype(np.float32) * np.float32([1, 100, 0.01]) + np.float32(5)
    same = features[:, 0] - 5 + noise * random.standard_normal(count) > 0
    return features, same


CHUNKS = [lambda: pairs(3000, 1), lambda: pairs(2000, 2)]
HELD_OUT = HeldOut(*pairs(2000, 3), negative_weight=1.0)


def trained(report=lambda line: None, **changes):
    return train_mlp(CHUNKS, 5000, HELD_OUT, Recipe(**{"hidden": (8, 8), "epochs": 30} | changes), report)


def test_it_learns_from_the_features():
    lines = []
    model, curve = trained(lines.append)
    features, same = pairs(4000, 4)
    right = ((probabilities(Ensemble((model,)), features) > 0.5) == same).mean()
    # With noise as strong as the signal, the best possible is 3/4.
    assert right > 0.72
    assert len(lines) == len(curve) <= 30
    assert curve[-1]["held_out_loss"] < curve[0]["held_out_loss"]


def test_a_seed_decides_everything():
    one, other, third = trained(epochs=3)[0], trained(epochs=3)[0], trained(epochs=3, seed=1)[0]
    np.testing.assert_array_equal(logits(one, HELD_OUT.features), logits(other, HELD_OUT.features))
    assert (logits(one, HELD_OUT.features) != logits(third, HELD_OUT.features)).any()


def test_a_stop_by_hand_keeps_the_best_so_far():
    lines = []

    def report(line):
        lines.append(line)
        if line.startswith("epoch 3/"):
            raise KeyboardInterrupt

    model, curve = trained(report)
    assert len(curve) == 3
    assert "stopped by hand after 3 epochs" in lines[-1]
    best = min(row["held_out_loss"] for row in curve)
    assert HELD_OUT.loss(logits(model, HELD_OUT.features)) == pytest.approx(best, abs=1e-6)


def test_it_stops_where_held_out_identities_gain_nothing_and_keeps_what_was_best():
    model, curve = trained(epochs=400, patience=3, hidden=(64, 64))
    losses = [row["held_out_loss"] for row in curve]
    assert len(losses) < 400
    assert len(losses) - 1 - int(np.argmin(losses)) == 3
    assert HELD_OUT.loss(logits(model, HELD_OUT.features)) == pytest.approx(min(losses), abs=1e-6)


@pytest.mark.parametrize("factor", [0.3, 4.0])
def test_calibration_undoes_a_wrong_temperature(factor):
    model = trained()[0]
    right = calibrated(model, HELD_OUT).temperature
    wrong = HeldOut(HELD_OUT.features, HELD_OUT.same, 1.0)
    scaled = model.__class__(
        model.mean, model.scale, (*model.layers[:-1], tuple(np.float32(factor) * array for array in model.layers[-1]))
    )
    assert calibrated(scaled, wrong).temperature == pytest.approx(factor * right, rel=0.01)


def test_statistics_are_those_of_all_chunks_together():
    mean, scale = standardisation([*CHUNKS, lambda: (np.full((10, 3), 7, np.float32), np.ones(10, bool))])
    whole = np.concatenate([CHUNKS[0]()[0], CHUNKS[1]()[0], np.full((10, 3), 7, np.float32)]).astype(np.float64)
    np.testing.assert_allclose(mean, whole.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(scale, whole.std(axis=0), rtol=1e-4)
