"""Examples of links are those of a plain count, in an order that does not depend on that of the pairs."""

from dataclasses import replace

import numpy as np
import pytest

from cdp_spark.agglomeration.kernels.agglomeration import Moment, Rule, agglomerated, partners
from cdp_spark.agglomeration.kernels.link_features import FLOOR, LINK_FEATURES, MEAN
from cdp_spark.agglomeration.kernels.links import ItemPairs
from cdp_spark.training.kernels.cluster_examples import LabelledPairs, link_examples, true_share

BY_MEAN = Rule(lambda features: features[:, MEAN].astype(np.float64), 5)


def world(seed: int = 0, items: int = 120) -> LabelledPairs:
    random = np.random.default_rng(seed)
    identity = random.integers(0, 20, items) * 1000
    ends = np.unique(np.sort(random.integers(0, items, (900, 2)), axis=1), axis=0)
    ends = ends[ends[:, 0] != ends[:, 1]]
    same = identity[ends[:, 0]] == identity[ends[:, 1]]
    z = random.normal(np.where(same, 3.0, -3.0), 2.5).astype(np.float32)
    return LabelledPairs(ends[:, 0], ends[:, 1], z, identity, np.ones(items, bool))


def moments(of: LabelledPairs) -> list[Moment]:
    rounds: list[Moment] = []
    agglomerated(ItemPairs(of.src, of.dst, of.z, len(of.identity)), BY_MEAN, watch=rounds.append)
    return rounds


def test_the_true_share_is_a_count_of_pairs():
    labelled = world()
    for moment in moments(labelled):
        shares = true_share(moment.links, moment.root, labelled.identity, moment.size)
        for a, b, share in zip(moment.links.a, moment.links.b, shares, strict=True):
            here, there = (labelled.identity[moment.root == name] for name in (a, b))
            assert share == pytest.approx((here[:, None] == there).mean())


def test_every_link_that_was_a_clusters_best_is_one_example():
    labelled = world()
    wanted = 0
    for moment in moments(labelled):
        partner, _ = partners(moment.links, len(moment.size), above=-np.inf)
        a, b = moment.links.a[moment.fresh], moment.links.b[moment.fresh]
        wanted += int(((partner[a] == b) | (partner[b] == a)).sum())
    scored = sum(len(moment.fresh) for moment in moments(labelled))
    examples = link_examples(labelled, BY_MEAN)
    assert wanted <= len(examples.same) < wanted + 0.15 * (scored - wanted)
    assert examples.features.shape == (len(examples.same), len(LINK_FEATURES))
    assert (examples.features[:, MEAN] > FLOOR).all()
    assert (examples.weight >= 1).all()
    assert 0 <= examples.same.min() < examples.same.max() <= 1


def test_links_inside_the_crowd_are_no_examples():
    labelled = world(5)
    every = len(labelled.identity)
    amid = replace(labelled, labelled=labelled.identity < 10_000)
    own = np.where(amid.labelled, labelled.identity, -1 - np.arange(every))
    examples, wanted = link_examples(replace(amid, identity=own), BY_MEAN), 0
    for moment in moments(labelled):
        partner, _ = partners(moment.links, len(moment.size), above=-np.inf)
        for link in moment.fresh:
            a, b = moment.links.a[link], moment.links.b[link]
            known = [amid.labelled[moment.root == name].all() for name in (a, b)]
            wanted += bool((partner[a] == b or partner[b] == a) and any(known))
    assert 0 < wanted <= len(examples.same) < len(link_examples(labelled, BY_MEAN).same)
    # A link with the crowd is an example for one end: it has half the weight, and is never one identity alone.
    half_weight = ~np.isclose(examples.weight**2, np.round(examples.weight**2))
    assert half_weight.any()
    assert examples.same[half_weight].max() < 1


def test_the_order_of_pairs_changes_no_example():
    labelled = world(3)
    order = np.random.default_rng(1).permutation(len(labelled.src))
    shuffled = replace(labelled, src=labelled.src[order], dst=labelled.dst[order], z=labelled.z[order])
    one, other = link_examples(labelled, BY_MEAN), link_examples(shuffled, BY_MEAN)
    for name in ("features", "same", "weight"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
