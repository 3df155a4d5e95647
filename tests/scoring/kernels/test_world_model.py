import numpy as np
import pytest

from cdp_spark.base.numeric.uniform_hashes import uniform
from cdp_spark.pairs.kernels.neighborhoods import Neighborhoods
from cdp_spark.scoring.kernels.world_model import (
    WorldRange,
    density_features,
    unexplained_share,
    world_shares,
    world_weights,
)
from cdp_spark.training.kernels.thinning import world_members

IDENTITY = np.repeat(np.arange(3000) * 7919, 20)
ITEM = np.random.default_rng(0).permutation(len(IDENTITY))


@pytest.mark.parametrize("gamma", [0.0, 1.0, 3.0, 8.0])
def test_identities_keep_the_share_that_their_draw_says_and_at_least_one_image(gamma):
    kept = world_members(IDENTITY, ITEM, gamma)
    counts = kept.reshape(-1, 20).sum(axis=1)
    # An image is kept with probability E[u ** gamma] = 1 / (1 + gamma); an identity has none of its 20 with
    # probability E[(1 - u ** gamma) ** 20], and then keeps one.
    u = (np.arange(100_000) + 0.5) / 100_000
    wanted = 20 / (1 + gamma) + ((1 - u**gamma) ** 20).mean()
    assert counts.min() >= 1
    assert counts.mean() == pytest.approx(wanted, rel=0.03)
    assert counts.std() == pytest.approx(0, abs=1e-9) if gamma == 0 else counts.std() > 2


def test_neither_the_order_of_the_rows_nor_other_identities_change_a_world():
    kept = world_members(IDENTITY, ITEM, 3.0, seed=5)
    order = np.random.default_rng(1).permutation(len(ITEM))
    np.testing.assert_array_equal(world_members(IDENTITY[order], ITEM[order], 3.0, seed=5), kept[order])
    np.testing.assert_array_equal(world_members(IDENTITY[400:900], ITEM[400:900], 3.0, seed=5), kept[400:900])


def test_worlds_and_seeds_differ():
    one, other, third = (world_members(IDENTITY, ITEM, gamma, seed=seed) for gamma, seed in ((3, 0), (3, 1), (2.5, 0)))
    assert (one != other).any()
    assert (one != third).any()


def test_hashed_numbers_are_uniform_and_neighbours_are_unrelated():
    drawn = uniform(np.arange(100_000), 3)
    np.testing.assert_allclose(np.histogram(drawn, 20, (0, 1))[0] / 5000, 1, atol=0.06)
    assert abs(np.corrcoef(drawn[1:], drawn[:-1])[0, 1]) < 0.01
    assert abs(np.corrcoef(drawn, uniform(np.arange(100_000), 4))[0, 1]) < 0.01
    assert uniform(np.array([-1]), 0) != uniform(np.array([1]), 0)


def test_density_ranks_are_in_proportion_to_k_and_short_lists_repeat_their_last():
    full = np.linspace(0.9, 0.2, 15, dtype=np.float32)
    lists = [full, full[:3], full[:0]]
    offsets = np.cumsum([0, *map(len, lists)])
    graph = Neighborhoods(offsets, np.zeros(offsets[-1], np.int64), np.concatenate(lists))
    features = density_features([graph, graph], 15)
    assert features.shape == (3, 18)
    np.testing.assert_array_equal(features[:, :9], features[:, 9:])
    np.testing.assert_allclose(features[0, :9], [*full[[0, 1, 2, 4, 7, 10, 14]], 0.2, 0.5], atol=1e-6)
    np.testing.assert_allclose(features[1, :9], [*full[[0, 1, 2, 2, 2, 2, 2]], full[0] - full[2], 0], atol=1e-6)
    assert not features[2].any()
    assert density_features([graph], 8)[0, 6] == full[7]


def test_shares_of_a_mixture_are_recovered():
    # Two worlds that differ in the mean of one number: the posterior is known exactly.
    random = np.random.default_rng(0)
    for share in (0.0, 0.1, 0.5, 0.9):
        x = random.normal(np.where(random.random(40_000) < share, 1.0, -1.0))
        first = 1 / (1 + np.exp(-2 * x))
        shares = world_shares(np.stack([first, 1 - first], axis=1))
        assert shares.sum() == pytest.approx(1)
        assert shares[0] == pytest.approx(share, abs=0.02)
    assert world_shares(np.empty((0, 4))).tolist() == [0.25] * 4


def test_every_world_has_some_weight():
    weights = world_weights(np.array([0.7, 0.3, 0.0, 0.0]))
    assert weights.sum() == pytest.approx(1)
    assert weights.min() == 0.0625


def test_items_unlike_any_world_are_counted():
    random = np.random.default_rng(0)
    shape = random.normal(size=(3, 3))
    worlds = [(random.normal(size=(5000, 3)) @ shape + centre).astype(np.float32) for centre in (0, 4)]
    ranges = [WorldRange.of(world) for world in worlds]
    assert unexplained_share(worlds[1], ranges) <= 0.0101
    mixed = np.concatenate([worlds[0][:750], worlds[0][:250] + np.float32(50)])
    assert unexplained_share(mixed, ranges) == pytest.approx(0.25, abs=0.02)
    assert unexplained_share(worlds[0][:0], ranges) == 0


def test_a_feature_that_never_varies_is_no_obstacle():
    rows = np.zeros((100, 2), np.float32)
    rows[:, 0] = np.arange(100)
    assert unexplained_share(rows, [WorldRange.of(rows)]) <= 0.02
