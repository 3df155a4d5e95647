import numpy as np
import pytest

from cdp_spark.clusters.kernels.alike import items_alike


def roots(labels):
    """Name each cluster by its smallest item."""
    first = {}
    return np.array([first.setdefault(label, item) for item, label in enumerate(labels)], np.int64)


@pytest.mark.parametrize("seed", range(20))
def test_items_of_equal_clusters_are_counted(seed):
    random = np.random.default_rng(seed)
    one = random.integers(0, 30, 60)
    other = np.where(random.random(60) < 0.1, random.integers(0, 30, 60), one)
    sets = [
        {frozenset(np.flatnonzero(labels == label).tolist()) for label in set(labels.tolist())}
        for labels in (one, other)
    ]
    wanted = sum(len(cluster) for cluster in sets[0] & sets[1] if len(cluster) > 1)
    assert items_alike(roots(one.tolist()), roots(other.tolist())) == wanted


def test_clusterings_of_nothing_and_of_items_alone_share_nothing():
    assert items_alike(np.empty(0, np.int64), np.empty(0, np.int64)) == 0
    assert items_alike(np.arange(5), np.arange(5)) == 0
