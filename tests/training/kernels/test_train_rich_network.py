import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs torch: pip install 'cdp-spark[train]'")

from cdp_spark.networks.kernels.mlp import logits, mixture_logits, outputs, sigmoid, world_targets
from cdp_spark.training.kernels.train_rich_network import NetRecipe, train_net

RECIPE = NetRecipe(hidden=(16, 16), epochs=8, least_steps=400, batch=256)


def rows(count: int, seed: int):
    random = np.random.default_rng(seed)
    features = random.normal(size=(count, 3)).astype(np.float32)
    return features, sigmoid(2.0 * features[:, 0].astype(np.float64) - 1).astype(np.float32)


def chunk(count: int, seed: int):
    features, share = rows(count, seed)
    return lambda: (features, share[:, None], np.ones(count, np.float32))


def test_shares_are_learned_as_probabilities():
    lines = []
    net = train_net([chunk(2000, 1), chunk(1000, 2)], 3000, RECIPE, lines.append)
    features, share = rows(2000, 3)
    assert np.abs(sigmoid(logits(net, features)) - share).mean() < 0.03
    assert len(lines) >= RECIPE.epochs


def test_a_seed_decides_everything():
    one, other, third = (train_net([chunk(1000, 1)], 1000, NetRecipe((8,), seed, 1, 1)) for seed in (0, 0, 1))
    features = rows(100, 3)[0]
    np.testing.assert_array_equal(logits(one, features), logits(other, features))
    assert (logits(one, features) != logits(third, features)).any()


def test_rows_without_weight_have_no_effect_and_the_scale_of_weights_does_not_matter():
    features, share = rows(2000, 1)
    weight = (np.arange(2000) % 2 == 0).astype(np.float32)
    wrong = np.where(weight[:, None] > 0, share[:, None], 1 - share[:, None])
    net = train_net([lambda: (features, wrong, weight)], 2000, RECIPE)
    scaled = train_net([lambda: (features, wrong, 8 * weight)], 2000, RECIPE)
    assert np.abs(sigmoid(logits(net, features)) - share).mean() < 0.04
    np.testing.assert_allclose(logits(net, features), logits(scaled, features), atol=1e-4)


def test_one_network_serves_every_mixture_of_two_worlds():
    # The same x is 2 log odds better news in one world than in the other; a third of the first world's x are higher.
    random = np.random.default_rng(0)
    x = [random.normal(centre, 1, 20_000).astype(np.float32) for centre in (0.0, 1.5)]
    same = [
        random.random(20_000) < sigmoid(2.0 * each.astype(np.float64) + shift)
        for each, shift in zip(x, (1, -1), strict=True)
    ]
    features = np.concatenate(x)[:, None]
    targets = np.concatenate([world_targets(each, world, 2) for world, each in enumerate(same)])
    net = train_net([lambda: (features, targets, np.ones(40_000, np.float32))], 40_000, RECIPE)
    grid = np.linspace(-1, 2, 20).astype(np.float32)
    density = np.stack([np.exp(-((grid - centre) ** 2) / 2) for centre in (0.0, 1.5)])
    truth = np.stack([sigmoid(2.0 * grid + shift) for shift in (1, -1)])
    for weights in ([0.5, 0.5], [0.9, 0.1], [0.05, 0.95]):
        mixed = density * np.array(weights)[:, None]
        wanted = (mixed * truth).sum(axis=0) / mixed.sum(axis=0)
        mixture = sigmoid(mixture_logits(outputs(net, grid[:, None]), np.array(weights)))
        assert np.abs(mixture - wanted).max() < 0.06
