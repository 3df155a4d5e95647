"""Agglomeration equals a plain version with dicts, and depends only on the pairs."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdp_spark.agglomeration.kernels.agglomeration import TOGETHER, Moment, Rule, agglomerated, partners
from cdp_spark.agglomeration.kernels.labelled_pieces import confidence, pieces
from cdp_spark.agglomeration.kernels.link_features import FLOOR, LINK_FEATURES, MEAN
from cdp_spark.agglomeration.kernels.links import ItemPairs
from tests import reference

K = 5


def weighed(features: np.ndarray) -> np.ndarray:
    """Stand in for a cluster mediator: row by row, from all features."""
    weights = np.random.default_rng(7).normal(size=len(LINK_FEATURES)) * 0.2
    score = features[:, MEAN].astype(np.float64)
    for column, weight in zip(features.T, weights, strict=True):
        score = score + weight * column
    return np.round(score, 6)


CONTRACTION, LEARNED, PARTLY = Rule(), Rule(weighed, K), Rule(weighed, K, trust=0.75)
all_rules = pytest.mark.parametrize(
    "rule", [CONTRACTION, LEARNED, PARTLY], ids=["contraction", "learned", "learned, partly trusted"]
)


def graph(seed: int, items: int = 40) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return pairs of a few hidden groups, with ties and repeated pairs."""
    random = np.random.default_rng(seed)
    ends = random.integers(0, items, (int(random.integers(1, 6 * items)), 2))
    ends = ends[ends[:, 0] != ends[:, 1]]
    group = random.integers(0, 1 + items // 6, items)
    z = random.normal(np.where(group[ends[:, 0]] == group[ends[:, 1]], 2.0, -2.0), 2)
    z = np.round(z * 2) / 2 if seed % 2 else np.round(z * 2**20) / 2**20
    return ends[:, 0], ends[:, 1], z.astype(np.float32)


def plain(src: np.ndarray, dst: np.ndarray, z: np.ndarray, rule: Rule, count: int) -> list[int]:
    """Run all rounds by definition: every link is summed up and scored again from its pairs."""
    root = list(range(count))
    while True:
        score = plain_scores(root, src, dst, z, rule)
        best: dict[int, tuple[float, int]] = {}
        for (a, b), value in score.items():
            for one, other in ((a, b), (b, a)):
                if value > 0:
                    best[one] = max(best.get(one, (-math.inf, 0)), (value, -other))
        partner = {one: -other for one, (_, other) in best.items()}
        groups = [{a, b} for a, b in partner.items() if partner[b] == a and a < b]
        for group in groups:
            hubs = tuple(group)
            group |= {o for o, hub in partner.items() if hub in hubs and best[o][0] >= best[hub][0] - TOGETHER}
            group -= left_out(group, hubs, score, {one: best[one][0] for one in group})
        if not groups:
            return root
        into = {one: min(group) for group in groups for one in group}
        root = [into.get(one, one) for one in root]


def left_out(group: set[int], hubs: tuple[int, ...], score, best: dict[int, float]) -> set[int]:
    """Return who leaves: of two with a score of 0 or less, the one that joined, by its best score."""
    apart = [ends for ends in itertools.combinations(sorted(group), 2) if score.get(ends, 1.0) <= 0]
    return {min((one for one in ends if one not in hubs), key=lambda one: (best[one], -one)) for ends in apart}


def plain_scores(root, src, dst, z, rule: Rule) -> dict[tuple[int, int], float]:
    pairs: dict[tuple[int, int], list[float]] = {}
    for i, j, value in zip(src.tolist(), dst.tolist(), z.tolist(), strict=True):
        if root[i] != root[j]:
            ends = min(root[i], root[j]), max(root[i], root[j])
            pairs.setdefault(ends, []).append(value)
    if rule.score is None:
        return {ends: math.fsum(values) for ends, values in pairs.items()}
    mean = {ends: float(np.float32(math.fsum(values) / len(values))) for ends, values in pairs.items()}
    seen = {ends: pairs[ends] for ends in pairs if mean[ends] > FLOOR}
    scores = dict.fromkeys(pairs, -math.inf)
    for (a, b), values in seen.items():
        margins = [mean[a, b] - max([FLOOR, *(mean[e] for e in seen if end in e and e != (a, b))]) for end in (a, b)]
        sizes = sorted((root.count(a), root.count(b)))
        possible, n, total = sizes[0] * sizes[1], len(values), math.fsum(values)
        row = [
            math.log(sizes[0]), math.log(sizes[1]), mean[a, b], max(values), math.asinh(total), n / possible,
            n / (rule.k * sizes[0]), math.log(n), math.log(possible), (total - 3 * (possible - n)) / possible,
            min(margins), max(margins),
        ]  # fmt: skip
        learned = float(rule.score(np.array([row], np.float32))[0])
        scores[a, b] = rule.trust * learned + (1 - rule.trust) * total
    return scores


@all_rules
def test_clusters_equal_those_of_the_plain_algorithm(rule):
    for seed in range(60):
        pairs = graph(seed)
        result = agglomerated(ItemPairs(*pairs, 40), rule)
        assert result.root.tolist() == plain(*pairs, rule, 40), seed


@all_rules
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), order=st.randoms(use_true_random=False))
def test_neither_the_order_of_pairs_nor_that_of_ends_changes_anything(rule, seed, order):
    src, dst, z = graph(seed)
    rows = list(range(len(src)))
    order.shuffle(rows)
    turned = np.array([order.random() < 0.5 for _ in rows], bool)
    one = agglomerated(ItemPairs(src, dst, z, 40), rule)
    other = agglomerated(
        ItemPairs(np.where(turned, dst, src)[rows], np.where(turned, src, dst)[rows], z[rows], 40), rule
    )
    np.testing.assert_array_equal(one.root, other.root)
    assert table(one.links) == table(other.links)
    sure = confidence(one, src, dst, z)
    again = confidence(other, src[rows], dst[rows], z[rows])
    for name in ("item", "best_other", "other_probability"):
        np.testing.assert_array_equal(getattr(sure, name), getattr(again, name))


def table(links) -> dict[tuple[int, int], tuple[float, ...]]:
    columns = (links.a, links.b, links.count, links.total, links.best, links.score)
    return {(a, b): tuple(rest) for a, b, *rest in zip(*(column.tolist() for column in columns), strict=True)}


@all_rules
def test_graphs_that_do_not_touch_may_be_computed_together_or_apart(rule):
    one, other = graph(3), graph(8)
    ends = [np.concatenate([mine, theirs + 40]) for mine, theirs in zip(one[:2], other[:2], strict=True)]
    together = agglomerated(ItemPairs(*ends, np.concatenate([one[2], other[2]]), 80), rule).root
    apart = [agglomerated(ItemPairs(*pairs, 40), rule).root for pairs in (one, other)]
    np.testing.assert_array_equal(together, np.concatenate([apart[0], apart[1] + 40]))


@all_rules
def test_names_of_items_that_keep_their_order_change_nothing(rule):
    src, dst, z = graph(5)
    wide = np.sort(np.random.default_rng(0).choice(400, 40, replace=False))
    near, far = (
        agglomerated(ItemPairs(src, dst, z, 40), rule),
        agglomerated(ItemPairs(wide[src], wide[dst], z, 400), rule),
    )
    np.testing.assert_array_equal(wide[near.root], far.root[wide])


@all_rules
def test_it_ends_where_no_two_clusters_are_each_others_best(rule):
    for seed in range(20):
        result = agglomerated(ItemPairs(*graph(seed), 40), rule)
        partner, _ = partners(result.links, 40, above=0.0)
        assert all(partner[partner[one]] != one for one in np.flatnonzero(partner >= 0))
        if rule is CONTRACTION:
            assert (result.links.score <= 0).all()


def rows(*pairs: tuple[int, int, float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    src, dst, z = zip(*pairs, strict=True)
    return np.array(src), np.array(dst), np.float32(z)


def test_negative_pairs_outweigh_positive_ones():
    # 1 and 2 merge first; 0 is similar to 1, but so unlike 2 that it stays apart from both.
    assert agglomerated(ItemPairs(*rows((0, 1, 2), (1, 2, 3), (0, 2, -4)), 3), Rule()).root.tolist() == [0, 1, 1]
    assert agglomerated(ItemPairs(*rows((0, 1, 2), (1, 2, 3), (0, 2, -1)), 3), Rule()).root.tolist() == [0, 0, 0]


def test_equal_scores_are_settled_by_the_smaller_item():
    pairs = rows((0, 1, 1), (1, 2, 1), (2, 3, 1), (0, 2, -9), (1, 3, -9), (0, 3, -9))
    result = agglomerated(ItemPairs(*pairs, 4), Rule())
    assert result.root.tolist() == [0, 0, 2, 2]


def test_a_hub_takes_its_near_best_partners_in_one_round():
    star = rows(*((0, item, 3 + item / 100) for item in range(1, 40)))
    assert agglomerated(ItemPairs(*star, 40), Rule()).rounds == 1
    far = rows(*((0, item, 3 + item) for item in range(1, 40)))
    assert agglomerated(ItemPairs(*far, 40), Rule()).rounds == 39


def test_pairs_below_the_floor_count_once_their_clusters_are_near():
    # A link of -9 alone is not scored; summed up with another pair, it is.
    by_sum = Rule(lambda features: features[:, MEAN].astype(np.float64), K)
    strangers = rows((0, 1, 5), (0, 2, 2), (1, 2, -9))
    assert agglomerated(ItemPairs(*strangers, 3), by_sum).root.tolist() == [0, 0, 2]


def test_nothing_to_merge_is_no_round():
    nobody = np.empty(0, np.int64)
    empty = agglomerated(ItemPairs(nobody, nobody, np.empty(0, np.float32), 3), LEARNED)
    assert (empty.root.tolist(), empty.rounds) == ([0, 1, 2], 0)
    itself = agglomerated(ItemPairs(np.array([1]), np.array([1]), np.float32([9]), 3), CONTRACTION)
    assert itself.root.tolist() == [0, 1, 2]


def test_links_are_scored_anew_only_where_they_or_their_rivals_changed():
    moments: list[Moment] = []
    agglomerated(ItemPairs(*graph(2), 40), LEARNED, watch=moments.append)
    assert len(moments[0].fresh) == (moments[0].links.mean > FLOOR).sum()
    assert 0 < sum(len(moment.fresh) for moment in moments[1:]) < sum(len(moment.links) for moment in moments[1:])


def test_confidence_is_that_of_its_definition():
    src, dst, z = graph(4)
    result = agglomerated(ItemPairs(src, dst, z, 40), CONTRACTION)
    sure = confidence(result, src, dst, z)
    probability = 1 / (1 + np.exp(-z.astype(np.float64)))
    for item in range(40):
        cluster = result.root[item]
        mine = ((src == item) | (dst == item)) & (result.root[src] == result.root[dst])
        outward = {
            int(b if a == cluster else a): score
            for a, b, score in zip(result.links.a, result.links.b, result.links.score, strict=True)
            if cluster in (a, b)
        }
        other = min(outward, key=lambda name: (-outward[name], name), default=-1)
        joining = 1 / (1 + math.exp(-outward[other])) if outward else 0.0
        wanted = (probability[mine].mean() if mine.any() else 1.0) * (1 - joining)
        assert sure.item[item] == pytest.approx(wanted, abs=1e-6)
        assert sure.best_other[cluster] == other
        assert sure.other_probability[cluster] == pytest.approx(joining, abs=1e-6)


def test_pieces_are_components_and_large_ones_are_cut_step_by_step():
    for seed in range(30):
        src, dst, z = graph(seed)
        cut = pieces(src, dst, z, most=6)
        level = dict(zip(cut.items.tolist(), cut.level.tolist(), strict=True))
        root = dict(zip(cut.items.tolist(), cut.root.tolist(), strict=True))
        scored: dict[tuple[int, int], float] = {}
        for i, j, value in zip(src.tolist(), dst.tolist(), z.tolist(), strict=True):
            ends = min(i, j), max(i, j)
            scored[ends] = max(value, scored.get(ends, -math.inf))
        assert root == plain_pieces(scored, 6)
        assert {item: value > 0 for item, value in level.items()} == {
            item: len(whole) > 6 for whole in components_above(scored, set(root), 0.0) for item in whole
        }


def components_above(scored, items, bound):
    return reference.components(items, {e: v for e, v in scored.items() if v > bound and set(e) <= items})


def plain_pieces(scored, most: int) -> dict[int, int]:
    items = {item for ends, value in scored.items() if value > 0 for item in ends}
    components, roots, bound = components_above(scored, items, 0.0), {}, 0.0
    while components:
        roots |= {item: min(each) for each in components if len(each) <= most for item in each}
        bound += 0.25
        components = [
            smaller for each in components if len(each) > most for smaller in components_above(scored, each, bound)
        ]
    return roots
