"""Cosines of clusters are those of their items, in every round and any order."""

import numpy as np
import pytest

from cdp_spark.agglomeration.kernels.agglomeration import Moment, Rule, agglomerated
from cdp_spark.agglomeration.kernels.link_features import (
    FLOOR,
    LINK_FEATURES,
    STRANGERS,
    Centroids,
    Clusters,
    centroid_features,
    link_feature_names,
    link_features,
    rivals_of,
)
from cdp_spark.agglomeration.kernels.links import ItemPairs
from tests.agglomeration.kernels.test_agglomeration import graph

DIMENSIONS = (5, 8)
ITEMS = 40


def vectors(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(ITEMS, sum(DIMENSIONS))).astype(np.float16)


def units(rows: np.ndarray) -> list[np.ndarray]:
    models = np.split(rows.astype(np.float64), np.cumsum(DIMENSIONS)[:-1], axis=1)
    return [each / np.linalg.norm(each, axis=1, keepdims=True) for each in models]


def by_all(features: np.ndarray) -> np.ndarray:
    """Stand in for a cluster mediator that uses every feature."""
    weights = np.random.default_rng(7).normal(size=features.shape[1]) * 0.2
    score = features[:, LINK_FEATURES.index("mean")].astype(np.float64)
    for column, weight in zip(features.T, weights, strict=True):
        score = score + weight * column
    return np.round(score, 4)


RULE = Rule(by_all, 5)


def plain(models: list[np.ndarray], one: np.ndarray, other: np.ndarray) -> list[float]:
    """Compute the features of two clusters, given as masks, from single cosines."""
    row = []
    for rows in models:
        cosine = rows @ rows.T
        average = cosine[np.ix_(one, other)].mean()
        centroids = [rows[mask].sum(axis=0) for mask in (one, other)]
        inside = sorted(_inside(cosine, mask) for mask in (one, other))
        row += [
            average, centroids[0] @ centroids[1] / np.prod([np.linalg.norm(each) for each in centroids]),
            average - inside[0], average - inside[1],
        ]  # fmt: skip
    return row


def _inside(cosine: np.ndarray, mask: np.ndarray) -> float:
    rows = np.flatnonzero(mask)
    if len(rows) < 2:
        return 1.0
    return cosine[np.ix_(rows, rows)][np.triu_indices(len(rows), 1)].mean()


@pytest.mark.parametrize("seed", range(6))
def test_features_are_those_of_single_cosines_in_every_round(seed):
    rows, rounds = vectors(seed), []

    def watch(moment: Moment) -> None:
        links, fresh, root = moment.links, moment.fresh, moment.root
        rivals = rivals_of(links, links.mean, ITEMS)
        computed = link_features(links, fresh, rivals[fresh], Clusters(moment.size, moment.centroids), 5)
        assert computed.shape[1] == len(link_feature_names(len(DIMENSIONS)))
        models, seen = units(rows), links.mean > FLOOR
        average = {
            (a, b): np.mean(plain(models, root == a, root == b)[::4])
            for a, b in zip(links.a[seen].tolist(), links.b[seen].tolist(), strict=True)
        }
        for link, features in zip(fresh, computed, strict=True):
            ends = int(links.a[link]), int(links.b[link])
            wanted = plain(models, root == ends[0], root == ends[1])
            margins = [
                average[ends]
                - max([STRANGERS, *(value for key, value in average.items() if end in key and key != ends)])
                for end in ends
            ]
            np.testing.assert_allclose(features[len(LINK_FEATURES) :], [*wanted, *sorted(margins)], atol=2e-5)
        rounds.append(len(fresh))

    agglomerated(ItemPairs(*graph(seed), ITEMS), RULE, centroids=Centroids.of(rows, DIMENSIONS), watch=watch)
    assert len(rounds) > 1


def test_neither_the_order_of_pairs_nor_what_else_is_there_changes_anything():
    for seed in range(12):
        src, dst, z = graph(seed)
        rows, order = vectors(seed), np.random.default_rng(seed).permutation(len(src))
        one = agglomerated(ItemPairs(src, dst, z, ITEMS), RULE, centroids=Centroids.of(rows, DIMENSIONS))
        twice = np.concatenate([rows, vectors(99)])
        other = agglomerated(ItemPairs(
            np.concatenate([dst[order], src + ITEMS]), np.concatenate([src[order], dst + ITEMS]),
            np.concatenate([z[order], z]), 2 * ITEMS), RULE, centroids=Centroids.of(twice, DIMENSIONS),
        )  # fmt: skip
        np.testing.assert_array_equal(one.root, other.root[:ITEMS])


def test_vectors_can_decide():
    src, dst, z = np.array([0, 1]), np.array([1, 2]), np.float32([1.0, 1.0])
    rows = np.float16([[1, 0], [0, 1], [0, 1]])
    rule = Rule(lambda features: features[:, link_feature_names(1).index("average.0")] - 0.5)
    assert agglomerated(ItemPairs(src, dst, z, 3), rule, centroids=Centroids.of(rows, [2])).root.tolist() == [0, 1, 1]
    assert centroid_features(0) == []
