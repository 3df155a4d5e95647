import itertools

import numpy as np
import pytest

from cdp_spark.networks.kernels.mlp import Ensemble, Mlp, logits, probabilities


def some_model(features: int = 5, hidden: int = 15, temperature: float = 1.7) -> Mlp:
    random = np.random.default_rng(1)
    sizes = [features, hidden, hidden, 1]
    layers = tuple(
        (random.standard_normal((a, b)).astype(np.float32), random.standard_normal(b).astype(np.float32))
        for a, b in itertools.pairwise(sizes)
    )
    return Mlp(np.float32(random.random(features)), np.float32(0.5 + random.random(features)), layers, temperature)


def test_the_forward_pass_is_that_of_plain_matrix_products():
    model = some_model()
    features = np.random.default_rng(2).standard_normal((9000, 5)).astype(np.float32)
    rows = (features.astype(np.float64) - model.mean) / model.scale
    for number, (weights, bias) in enumerate(model.layers):
        rows = rows @ weights.astype(np.float64) + bias
        rows = np.maximum(rows, 0) if number < 2 else rows
    np.testing.assert_allclose(logits(model, features), rows[:, 0] / 1.7, rtol=1e-4, atol=1e-4)
    scores = probabilities(Ensemble((model,)), features)
    assert scores.dtype == np.float32
    assert scores == pytest.approx(1 / (1 + np.exp(-rows[:, 0] / 1.7)), abs=1e-5)


def test_a_row_alone_gets_the_score_that_it_gets_in_a_batch():
    model = some_model()
    features = np.random.default_rng(3).standard_normal((5000, 5)).astype(np.float32)
    together = probabilities(Ensemble((model,)), features)
    for row in range(0, 5000, 501):
        assert probabilities(Ensemble((model,)), features[row : row + 1])[0] == together[row]
        assert probabilities(Ensemble((model,)), features[row : row + 7])[0] == together[row]
