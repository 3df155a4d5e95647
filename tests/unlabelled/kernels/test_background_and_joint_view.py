"""Backgrounds and joint lists equal plain implementations, in any division of the items."""

import numpy as np
import pytest

from cdp_spark.pairs.kernels.neighborhoods import Neighborhoods, cosines
from cdp_spark.training.kernels.simulation import simulated_set
from cdp_spark.unlabelled.kernels.background import LEAST_SPREAD, background, drawn_items
from cdp_spark.unlabelled.kernels.joint_view import NEAREST, Union, edges_of_some, joint_lists, times_near
from cdp_spark.unlabelled.kernels.sets import Model

COUNT = 150


@pytest.fixture(scope="module")
def models() -> list[Model]:
    return [Model.of(vectors[:COUNT]) for vectors in simulated_set(3, items=200).models[:3]]


def cosine_of(models):
    return lambda model, first, second: cosines(models[model].vectors, models[model].norms, first, second)


def plain_units(models) -> np.ndarray:
    total = np.zeros((COUNT, COUNT))
    for model in models:
        exact = model.vectors.astype(np.float64)
        exact /= np.linalg.norm(exact, axis=1, keepdims=True)
        total += (exact @ exact.T - model.background[:, :1]) / model.background[:, 1:]
    return total / len(models)


def test_background_is_median_and_quartile_of_the_drawn(models):
    vectors = models[0].vectors
    chosen = drawn_items(np.arange(COUNT), 40)
    found = background(vectors, vectors[chosen])
    exact = vectors.astype(np.float64) / np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    middle, upper = np.quantile(exact @ exact[chosen].T, [0.5, 0.75], axis=1)
    np.testing.assert_allclose(found, np.stack([middle, (upper - middle) / 0.6745], axis=1), atol=1e-12)


def test_background_of_a_row_depends_on_no_other_row(models):
    vectors = models[0].vectors
    drawn = vectors[drawn_items(np.arange(COUNT), 40)]
    whole = background(vectors, drawn)
    assert np.array_equal(background(vectors[7:9], drawn), whole[7:9])


def test_equal_rows_have_a_spread_that_can_be_divided_by():
    vectors = np.ones((5, 4), np.float16) / 2
    assert (background(vectors, vectors)[:, 1] == LEAST_SPREAD).all()


def test_items_are_drawn_whatever_their_order():
    items = np.random.default_rng(0).permutation(5_000)
    assert np.array_equal(drawn_items(items), drawn_items(np.sort(items)))
    assert len(drawn_items(items)) == 1_000


def test_joint_lists_are_the_best_of_the_union(models):
    items = np.arange(COUNT)
    graphs, backgrounds = [m.graph for m in models], [m.background for m in models]
    found = joint_lists(items, items, graphs, backgrounds, cosine_of(models))
    units = plain_units(models)
    assert (np.diff(found.offsets) == NEAREST).all()
    for item in range(COUNT):
        union = np.unique(np.concatenate([g.neighbors[g.offsets[item] :][:NEAREST] for g in graphs]))
        expected = union[np.lexsort((union, -units[item, union].astype(np.float32)))][:NEAREST]
        assert found.neighbors[found.offsets[item] : found.offsets[item + 1]].tolist() == expected.tolist()
        got = found.similarities[found.offsets[item] : found.offsets[item + 1]]
        np.testing.assert_allclose(got, units[item, expected], atol=1e-4)


def test_a_block_with_a_halo_makes_the_same_lists(models):
    items = np.arange(COUNT)
    graphs, backgrounds = [m.graph for m in models], [m.background for m in models]
    whole = joint_lists(items, items, graphs, backgrounds, cosine_of(models))
    mine = np.arange(20, 50)
    halo = np.unique(np.concatenate([mine, *(g.neighbors[g.offsets[i] :][:NEAREST] for g in graphs for i in mine)]))
    cut = [Neighborhoods.ordered(halo, g.offsets, g.neighbors, g.similarities) for g in graphs]
    near = cosine_of(models)
    part = joint_lists(
        halo, np.searchsorted(halo, mine), cut, [b[halo] for b in backgrounds],
        lambda model, first, second: near(model, halo[first], halo[second]),
    )  # fmt: skip
    low, high = whole.offsets[mine[0]], whole.offsets[mine[-1] + 1]
    assert np.array_equal(part.neighbors, whole.neighbors[low:high])
    assert np.array_equal(part.similarities, whole.similarities[low:high])


@pytest.mark.parametrize("subset", [(0,), (0, 2), (1, 2)])
def test_subsets_of_a_union_have_the_lists_that_they_have_alone(models, subset):
    items = np.arange(COUNT)
    graphs, backgrounds, near = [m.graph for m in models], [m.background for m in models], cosine_of(models)
    chosen = Union.of(items, items, graphs, backgrounds, near).joint_lists(subset)
    alone = joint_lists(
        items, items, [graphs[m] for m in subset], [backgrounds[m] for m in subset],
        lambda model, first, second: near(subset[model], first, second),
    )  # fmt: skip
    for one, other in zip(chosen, alone, strict=True):
        assert np.array_equal(one, other)


def test_edges_of_some_have_an_end_among_them():
    graph = Neighborhoods(np.array([0, 3, 4, 6]), np.array([5, 7, 9, 7, 1, 5]), np.float32([6, 5, 4, 3, 2, 1]))
    kept = edges_of_some(graph, np.array([1, 5, 7]), np.array([False, True, False]))
    assert [each.tolist() for each in kept] == [[0, 1, 2, 3], [5, 7, 5], [6, 3, 1]]


def test_in_degrees_of_parts_add_up(models):
    graph, items = models[0].graph, np.arange(COUNT)
    parts = sum(times_near(graph, items[start::3], items) for start in range(3))
    assert np.array_equal(parts, models[0].near)
    assert parts.sum() == COUNT * NEAREST
