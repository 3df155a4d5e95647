"""The features of a pair equal those of their definitions, in any division of the items into blocks."""

import numpy as np
import pytest

from cdp_spark.pairs.kernels.neighborhoods import Neighborhoods, cosines, owned_pairs
from cdp_spark.training.kernels.simulation import simulated_set
from cdp_spark.unlabelled.kernels import pair_features
from cdp_spark.unlabelled.kernels.joint_view import joint_lists, times_near
from cdp_spark.unlabelled.kernels.pair_features import (
    OWN_WIDTH,
    JointPairs,
    ModelViews,
    as_halves,
    feature_names,
    numbers_of_subsets,
    pair_numbers,
)
from cdp_spark.unlabelled.kernels.set_features import Standing
from cdp_spark.unlabelled.kernels.sets import Model, SetPairs
from cdp_spark.unlabelled.kernels.view_features import JOINT_SCALE, VIEW, View, view_features

COUNT = 160
ITEMS = np.arange(COUNT)


@pytest.fixture(scope="module")
def models() -> list[Model]:
    return [Model.of(vectors[:COUNT]) for vectors in simulated_set(3, items=200).models[:3]]


def listed(graph: Neighborhoods, row: int) -> tuple[list[int], np.ndarray]:
    part = slice(graph.offsets[row], graph.offsets[row + 1])
    return graph.neighbors[part].tolist(), graph.similarities[part].astype(np.float64)


def nep(lists, pair: tuple[int, int], k: int) -> float:
    def shares(end: int) -> dict[int, float]:
        near, similar = lists[end]
        weight = {pair[end]: 1.0, **dict(zip(near[:k], np.exp(4 * (similar[:k] - 1)), strict=True))}
        return {item: each / sum(weight.values()) for item, each in weight.items()}

    one, other = shares(0), shares(1)
    return sum(one[item] + other[item] for item in one.keys() & other.keys()) / 2


def plain(model: Model, pair: tuple[int, int], cosine: float) -> list[float]:
    """All features of one pair in one model, from their definitions."""
    lists = [listed(model.graph, end) for end in pair]
    median, spread = model.background[list(pair)].T
    at = {rank: np.array([similar[rank - 1] for _, similar in lists]) for rank in (1, 5, 15, 40)}
    ranks = np.log1p([lists[a][0].index(pair[b]) if pair[b] in lists[a][0] else 40 for a, b in ((0, 1), (1, 0))])
    shared = [len({*lists[0][0][:k]} & {*lists[1][0][:k]}) / k for k in (5, 15, 40)]
    weight = [dict(zip(near[:15], similar[:15] - similar[-1], strict=True)) for near, similar in lists]
    common = sum(min(weight[0][item], weight[1][item]) for item in weight[0].keys() & weight[1].keys())
    overlap = common / (sum(sum(each.values()) for each in weight) - common + 1e-6)
    ends = [(cosine - median) / spread, ranks, (cosine - at[1]) / spread, (cosine - at[15]) / spread]
    later = [(at[rank] - median) / spread for rank in (1, 15, 40)]
    later += [(at[1] - at[5]) / np.maximum(at[1] - at[15], 1e-6), np.log1p(model.near[list(pair)])]
    both = [[value for end in some for value in sorted(end)] for some in (ends, later)]
    return [*both[0], *shared, overlap, *(nep(lists, pair, k) for k in (10, 15, 30)), *both[1]]


def test_a_view_says_what_its_definitions_say(models):
    model = models[0]
    first, second = owned_pairs(ITEMS, np.ones(COUNT, bool), [model.graph])
    first, second = first[::37], second[::37]
    cosine = cosines(model.vectors, model.norms, first, second)
    view = View(model.graph, model.background, model.near)
    found = view_features(ITEMS, view, (first, second), (cosine, cosine))
    for row, i, j, c in zip(found, first.tolist(), second.tolist(), cosine.tolist(), strict=True):
        np.testing.assert_allclose(row, plain(model, (i, j), c), atol=2e-5, err_msg=str(VIEW))


def test_over_models_are_mean_least_and_largest(models):
    pairs = SetPairs.of(models)
    names = feature_names()
    every = [SetPairs.of([model]) for model in models]
    assert pairs.numbers.own.shape == (len(pairs.src), OWN_WIDTH * len(models))
    at = {name: pairs.numbers.features[:, place].astype(float) for place, name in enumerate(names)}
    own = pairs.numbers.own.reshape(len(pairs.src), len(models), OWN_WIDTH).astype(float)
    for kind, figure in (("mean", np.mean), ("least", np.min), ("largest", np.max)):
        np.testing.assert_allclose(at[f"{kind}.units_low"], figure(own[:, :, 1], axis=1), atol=0.01)
    assert len(every[0].numbers.features[0]) == len(names) == 85
    held = (own[:, :, 3] < np.log1p(14.5)).mean(axis=1)
    np.testing.assert_allclose(at["held"], held, atol=1e-3)
    assert ((at["held_by_all"] == 1) == (held == 1)).all()


def blocks_of(models, parts):
    """Compute features block by block: own items, and those that their joint lists lead to."""

    def cosine(model, a, b):
        return cosines(models[model].vectors, models[model].norms, a, b)

    joint = joint_lists(ITEMS, ITEMS, [m.graph for m in models], [m.background for m in models], cosine)
    standing = Standing.of(joint)
    set_features, near = standing.features(standing.counts()), times_near(joint, ITEMS, ITEMS)
    for own in parts:
        reached = np.concatenate([joint.neighbors[joint.offsets[i] : joint.offsets[i + 1]] for i in own])
        items = np.union1d(own, reached)
        cut = Neighborhoods.ordered(items, *joint)
        first, second = owned_pairs(items, np.isin(items, own), [cut])
        views = [View(Neighborhoods.ordered(items, *m.graph), m.background[items], m.near[items]) for m in models]
        units = np.tile([0.0, 1.0], (len(items), 1))
        block = ModelViews(items, views, lambda model, a, b, items=items: cosine(model, items[a], items[b]))
        view = View(cut, units, near[items], JOINT_SCALE)
        found = pair_numbers(block, JointPairs(range(len(models)), view, set_features[items], first, second))
        yield from zip(items[first].tolist(), items[second].tolist(), found.features, found.own, strict=True)


@pytest.mark.parametrize("count", [1, 5])
def test_blocks_change_no_bit(models, count):
    whole = SetPairs.of(models)
    expected = {
        (i, j): (features, own)
        for i, j, features, own in zip(
            whole.src.tolist(), whole.dst.tolist(), whole.numbers.features, whole.numbers.own, strict=True
        )
    }
    found = list(blocks_of(models, [ITEMS[start::count] for start in range(count)]))
    assert len(found) == len(expected)
    for i, j, features, own in found:
        for got, wanted in zip((features, own), expected[min(i, j), max(i, j)], strict=True):
            assert np.array_equal(got, wanted)


def test_subsets_share_what_the_models_say(models, monkeypatch):
    """Pairs of several subsets, in several pieces of a block, have the features that they have alone."""
    monkeypatch.setattr(pair_features, "_PAIRS", 300)
    block = ModelViews(
        ITEMS, [View(m.graph, m.background, m.near) for m in models],
        lambda model, a, b: cosines(models[model].vectors, models[model].norms, a, b),
    )  # fmt: skip
    subsets, alone = [(0, 1), (1, 2), (2,)], []
    for subset in subsets:
        joint = joint_lists(
            ITEMS, ITEMS, [models[m].graph for m in subset], [models[m].background for m in subset],
            lambda model, a, b, subset=subset: block.cosine(subset[model], a, b),
        )  # fmt: skip
        standing, units = Standing.of(joint), np.tile([0.0, 1.0], (len(ITEMS), 1))
        view = View(joint, units, times_near(joint, ITEMS, ITEMS), JOINT_SCALE)
        ends = owned_pairs(ITEMS, np.ones(len(ITEMS), bool), [joint])
        alone.append(JointPairs(subset, view, standing.features(standing.counts()), *ends))
    expected = [SetPairs.of([models[m] for m in subset]).numbers for subset in subsets]
    found = [[] for _ in subsets]
    for number, rows, numbers in numbers_of_subsets(block, alone):
        assert rows.start == sum(len(each) for each in found[number])
        found[number].append(numbers.features)
    for each, pairs, whole in zip(found, alone, expected, strict=True):
        low, high = np.minimum(pairs.first, pairs.second), np.maximum(pairs.first, pairs.second)
        assert len(each) > 1
        assert np.array_equal(np.concatenate(each)[np.lexsort((high, low))], whole.features)


def test_values_beyond_float16_become_its_largest():
    assert as_halves(np.float32([1e9, -1e9])).tolist() == [65504.0, -65504.0]


@pytest.mark.parametrize("count", [2, 3, 16, 41])
def test_few_items_have_finite_features(count):
    models = [Model.of(vectors[:count]) for vectors in simulated_set(3, items=200).models[:2]]
    pairs = SetPairs.of(models)
    assert len(pairs.src) <= count * (count - 1) // 2
    assert np.isfinite(pairs.numbers.features).all()
    assert np.isfinite(pairs.numbers.own).all()
