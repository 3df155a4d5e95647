"""Networks without torch learn, repeat themselves bit for bit, and know no batch."""

import numpy as np
import pytest

from cdp_spark.unlabelled.kernels import networks
from cdp_spark.unlabelled.kernels.networks import Training, logits, mean_logits, trained

FAST = Training(epochs=30, least_steps=300, batch=256)


def ring(count: int = 3_000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    points = rng.normal(0, 1, (count, 5)).astype(np.float32)
    inside = (points[:, 0] ** 2 + points[:, 1] ** 2 < 1.4).astype(np.float32)
    return points, inside, np.ones(count)


def test_a_network_learns_what_no_line_divides():
    points, inside, weight = ring()
    net = trained(points[:2_000], inside[:2_000], weight[:2_000], FAST)
    right = (logits(net, points[2_000:]) > 0) == (inside[2_000:] > 0.5)
    assert right.mean() > 0.95


def test_the_same_rows_give_the_same_network():
    points, inside, weight = ring(600)
    one, other = (trained(points, inside, weight, FAST) for _ in range(2))
    assert one.digest == other.digest
    assert trained(points, inside, weight, Training(seed=1, least_steps=20)).digest != one.digest


def test_a_row_has_the_same_log_odds_in_any_batch():
    points, inside, weight = ring(700)
    net = trained(points, inside, weight, Training(epochs=1, least_steps=5))
    whole = logits(net, points)
    assert np.array_equal(np.concatenate([logits(net, points[k : k + 1]) for k in range(40)]), whole[:40])
    assert np.array_equal(logits(net, points[13:501]), whole[13:501])


def test_features_far_out_count_as_at_eight_deviations():
    points, inside, weight = ring(500)
    net = trained(points, inside, weight, Training(epochs=1, least_steps=5))
    far = np.repeat(net.mean[None], 2, axis=0)
    far[0, 0] += 8 * net.scale[0]
    far[1, 0] += 1e6
    one, other = logits(net, far)
    assert one == pytest.approx(other, abs=1e-5)


def test_weights_count_as_repeated_rows():
    points, inside, _ = ring(512)
    twice = np.where(np.arange(512) < 256, 2.0, 1.0)
    few = Training(epochs=1, least_steps=1, batch=1_024)
    weighted = trained(points, inside, twice, few)
    repeated = trained(
        np.concatenate([points, points[:256]]), np.concatenate([inside, inside[:256]]), np.ones(768), few
    )
    # Statistics differ a little, gradients not much.
    assert np.abs(weighted.layers[0][0] - repeated.layers[0][0]).max() < 5e-3


def test_gradients_are_those_of_the_loss():
    rng = np.random.default_rng(1)
    parameters = networks._initial(rng, 7, 12)
    rows, target = rng.normal(0, 1, (301, 7)).astype(np.float32), rng.random(301).astype(np.float32)
    weight = rng.random(301).astype(np.float32)
    found = networks.gradient_of(parameters, rows, target, weight)

    def loss(values) -> float:
        w1, b1, w2, b2, w3, b3 = (each.astype(np.float64) for each in values)
        z = (np.maximum(np.maximum(rows @ w1 + b1, 0) @ w2 + b2, 0) @ w3)[:, 0] + b3
        return float((weight * (np.logaddexp(0, z) - target * z)).mean())

    for number, value in enumerate(parameters):
        for at in list(np.ndindex(value.shape))[:: max(1, value.size // 7)]:
            moved = [[each.astype(np.float64) for each in parameters] for _ in range(2)]
            for side, change in enumerate((-1e-5, 1e-5)):
                moved[side][number][at] += change
            slope = (loss(moved[1]) - loss(moved[0])) / 2e-5
            assert found[number][at] == pytest.approx(slope, abs=2e-5)


def test_several_networks_answer_with_their_mean():
    points, inside, weight = ring(300)
    nets = tuple(trained(points, inside, weight, Training(seed=seed, least_steps=5)) for seed in (0, 1))
    np.testing.assert_allclose(mean_logits(nets, points), np.mean([logits(net, points) for net in nets], axis=0))


def test_halves_are_read_as_the_floats_that_they_are():
    points, inside, weight = ring(300)
    halves = points.astype(np.float16)
    net = trained(halves, inside, weight, Training(least_steps=5))
    assert np.array_equal(logits(net, halves), logits(net, halves.astype(np.float32)))
