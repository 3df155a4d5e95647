"""Self-training: halves by hash, log odds of pairs not learned from, and when there is too little to learn from."""

import numpy as np

from cdp_spark.unlabelled.kernels.self_training import (
    Taught,
    drawn_pairs,
    half_of,
    halves_of_ends,
    self_scored,
    self_trained,
)


def taught(count: int = 4_000) -> Taught:
    rng = np.random.default_rng(0)
    own = rng.normal(0, 1, (count, 12)).astype(np.float16)
    same = own[:, 0] + 0.3 * rng.normal(0, 1, count) > 0
    halves = rng.integers(0, 2, (2, 2, count)).astype(np.int8)
    return Taught(own, same, halves)


def test_a_cluster_is_in_one_half_and_a_large_one_in_both():
    item = np.arange(3_000)
    root = np.where(item < 500, 0, item - item % 5)
    size = np.where(item < 500, 500, 5)
    half = half_of(item, root, size, 0)
    small = half[500:].reshape(-1, 5)
    assert (small == small[:, :1]).all()
    assert set(half[:500]) == {0, 1}
    assert 0.4 < small[:, 0].mean() < 0.6
    assert not np.array_equal(half, half_of(item, root, size, 1))


def test_halves_need_no_other_row():
    item, root, size = np.arange(100), np.arange(100) // 10 * 10, np.full(100, 10)
    rows = np.array([3, 77])
    assert np.array_equal(half_of(item[rows], root[rows], size[rows], 0), half_of(item, root, size, 0)[rows])


def test_halves_of_ends_are_those_of_their_items():
    root = np.arange(60) // 3 * 3
    src, dst = np.array([0, 5, 9]), np.array([1, 7, 30])
    found = halves_of_ends(src, dst, root)
    assert found.shape == (2, 2, 3)
    assert found[0, 0, 0] == found[0, 1, 0]  # 0 and 1 are in one cluster


def test_networks_agree_with_what_taught_them():
    data = taught()
    z = self_scored(self_trained(data), data.own, data.halves)
    assert ((z > 0) == data.same).mean() > 0.85


def test_the_same_pairs_give_the_same_networks():
    data = taught(1_000)
    one, other = (self_trained(data, seed=3) for _ in range(2))
    assert [net.digest for net in one] == [net.digest for net in other]


def test_a_pair_is_never_scored_by_a_network_that_learned_from_it():
    data = taught(2_000)
    chosen = 17
    data.halves[:, :, chosen] = 0
    flipped = data.same.copy()
    flipped[chosen] = ~flipped[chosen]
    one, other = (
        self_scored(self_trained(each), data.own, data.halves)
        for each in (data, Taught(data.own, flipped, data.halves))
    )
    assert one[chosen] == other[chosen]
    assert not np.array_equal(one, other)


def test_few_pairs_of_a_kind_teach_nothing():
    data = taught(2_000)
    few = np.zeros(2_000, bool)
    few[:99] = True
    assert data.enough
    assert not Taught(data.own, few, data.halves).enough
    assert not Taught(data.own, ~few, data.halves).enough
    assert not Taught(data.own, np.zeros(2_000, bool), data.halves).enough


def test_pairs_are_drawn_by_hash():
    src, dst = np.arange(50_000), np.arange(50_000) + 7
    chosen = drawn_pairs(src, dst, 5_000, among=50_000)
    assert 4_700 < chosen.sum() < 5_300
    assert np.array_equal(drawn_pairs(src[100:200], dst[100:200], 5_000, among=50_000), chosen[100:200])
    assert drawn_pairs(src, dst, among=50_000).all()
