"""Set features come from counts in bins, which add up in any order."""

import numpy as np

from cdp_spark.pairs.kernels.neighborhoods import Neighborhoods
from cdp_spark.unlabelled.kernels.set_features import DENSITIES, STANDING, Standing


def joint(rng: np.random.Generator, count: int) -> Neighborhoods:
    similar = np.sort(rng.normal(3, 1, (count, 15)).astype(np.float32), axis=1)[:, ::-1]
    return Neighborhoods(np.arange(count + 1) * 15, np.zeros(count * 15, np.int64), similar.ravel())


def test_set_features_are_nearly_ranks():
    standing = Standing.of(joint(np.random.default_rng(0), 2_000))
    features = standing.features(standing.counts())
    ranks = np.argsort(np.argsort(standing.last)) / 2_000
    np.testing.assert_allclose(features[:, 0], ranks, atol=0.01)
    np.testing.assert_allclose(np.median(features[:, 2]), 0, atol=0.01)


def test_counts_of_parts_add_up_to_those_of_the_whole():
    standing = Standing.of(joint(np.random.default_rng(1), 500))
    parts = [Standing(standing.last[rows], standing.outstanding[rows]) for rows in (slice(0, 123), slice(123, 500))]
    for place, counts in enumerate(standing.counts()):
        assert np.array_equal(sum(part.counts()[place] for part in parts), counts)


def test_one_pair_moves_nobody_else():
    graph = joint(np.random.default_rng(2), 1_000)
    far = graph.similarities.copy()
    far[:15] += 1_000
    one, other = Standing.of(graph), Standing.of(graph._replace(similarities=far))
    moved = np.abs(one.features(one.counts()) - other.features(other.counts()))[1:]
    assert moved.max() < 0.002


def test_values_beyond_the_bins_are_in_the_outermost():
    values = np.float32([-1e9, 1e9])
    assert DENSITIES.of(values).tolist() == [0, DENSITIES.count - 1]
    counts = DENSITIES.counts(values)
    assert DENSITIES.share_below(counts, values).tolist() == [0.0, 1.0]


def test_items_without_neighbours_stand_nowhere():
    alone = Standing.of(Neighborhoods(np.zeros(3, np.int64), np.empty(0, np.int64), np.empty(0, np.float32)))
    assert alone.last.tolist() == alone.outstanding.tolist() == [0.0, 0.0]
    assert np.isfinite(alone.features(alone.counts())).all()
    assert STANDING.median(np.zeros(STANDING.count, np.int64)) == 0.0
