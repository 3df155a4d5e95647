"""The shift by agreement: the index, the splits, the rule, and coarse to fine."""

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from cdp_spark.unlabelled.kernels.agreement import Contingency
from cdp_spark.unlabelled.kernels.shift import (
    SHIFTS,
    Agreement,
    curve_of,
    shift_by_agreement,
    shift_of_whole,
    split_weights,
    upper_top,
)
from cdp_spark.unlabelled.kernels.splits import (
    at_coordinates,
    coordinate_halves,
    distinct_models,
    distinct_rows,
    model_splits,
)


def rule(y, s, upper=0.7, valley=0.015):
    """The choice as the prototype writes it."""
    i, n = int(y.argmax()), len(y)
    for j in range(n - 1, i, -1):
        is_top = y[j] > y[j - 1] and (j == n - 1 or y[j] >= y[j + 1])
        if is_top and y[j] >= upper * y[i] and y[j] - y[i:j].min() >= valley:
            i = j
            break
    while True:
        u = max([j for j in (i - 1, i + 1) if 0 <= j < n], key=lambda j: s[j])
        if s[u] <= s[i]:
            return i
        i = u


def curves(count: int, rough: float):
    """Agreement by shift like those of real sets: one broad hill, sometimes a second, and noise."""
    rng = np.random.default_rng(0)
    for _ in range(count):
        middles = rng.uniform(-7, 2, 2)
        heights = rng.uniform(0.3, 0.9), rng.choice([0.0, 1.0]) * rng.uniform(0.2, 0.9)
        widths = rng.uniform(0.8, 3, 2)
        hills = [h * np.exp(-(((SHIFTS - m) / w) ** 2)) for m, h, w in zip(middles, heights, widths, strict=True)]
        yield np.clip(np.maximum(*hills) + rng.normal(0, rough, len(SHIFTS)), 0, 1)


def as_agreements(values, items=SHIFTS):
    """By default the items hold nothing back: they agree the better the higher the shift."""
    return lambda places: {place: [Agreement(values[place], values[place], items[place])] for place in places}


def as_likeness(values=0 * SHIFTS):
    """By default the whole is most like the halves at their own shift."""
    return lambda top, places: {place: [values[place]] for place in places}


@pytest.mark.parametrize("seed", range(5))
def test_the_index_is_scikit_learns(seed):
    rng = np.random.default_rng(seed)
    one, other = rng.integers(0, 20, 300), rng.integers(0, 30, 300)
    assert Contingency.of(one, other).adjusted_rand == pytest.approx(adjusted_rand_score(one, other))


def test_nothing_joined_is_no_agreement():
    alone, joined = np.arange(5), np.array([0, 0, 2, 3, 4])
    assert adjusted_rand_score(alone, alone) == 1.0
    assert Contingency.of(alone, alone).adjusted_rand == 0.0
    assert Contingency.of(alone, joined).adjusted_rand == 0.0
    assert Contingency.of(joined, joined).adjusted_rand == 1.0


@pytest.mark.parametrize("seed", range(5))
def test_by_items_each_item_counts_once(seed):
    rng = np.random.default_rng(seed)
    one, other = rng.integers(0, 20, 60), rng.integers(0, 30, 60)
    found = []
    for item in range(60):
        mine, theirs = (np.flatnonzero(labels == labels[item]) for labels in (one, other))
        a, b, both = len(mine) - 1, len(theirs) - 1, len(np.intersect1d(mine, theirs)) - 1
        if a or b:
            common, chance = 2 * both / (a + b), 2 * a * b / 59 / (a + b)
            found.append((common - chance) / (1 - chance))
    assert Contingency.of(one, other).by_items == pytest.approx(np.mean(found), abs=1e-8)


def test_by_items_ends_are_nothing_and_all():
    alone, whole = np.arange(5), np.zeros(5, np.int64)
    assert Contingency.of(alone, alone).by_items == 0.0
    assert Contingency.of(whole, whole).by_items == 1.0
    assert Contingency.of(alone, whole).by_items == 0.0


def test_the_whole_needs_a_lower_shift_than_the_halves():
    high = np.where(SHIFTS > 0, 0.6 + 0.1 * SHIFTS, 0.4)  # the pairs of the halves agree best at the end of the range
    items = 0.8 - 0.1 * np.abs(SHIFTS - 0.5)
    for coarse in (True, False):
        for most_like, chosen in ((0.0, 0.5), (0.5, 0.5), (1.5, 1.5), (2.0, 2.0)):
            likeness = as_likeness(1 - np.abs(SHIFTS - most_like))
            curve = shift_by_agreement(as_agreements(high, items), likeness, np.ones(1), coarse=coarse)
            assert SHIFTS[curve.chosen] == chosen
            assert curve.looked_at[curve.chosen]
            assert curve.trust == pytest.approx(0.8)
    curve = shift_by_agreement(as_agreements(high, items), as_likeness(), np.ones(1))
    assert SHIFTS[curve.chosen] == 2.0


def test_the_whole_is_looked_for_near_the_halves():
    items = -SHIFTS
    for top in (0, 3, 16, 20):
        asked = []

        def likeness(at, places, asked=asked):
            asked.append((at, list(places)))
            return as_likeness(3 - SHIFTS)(at, places)

        values = np.where(np.arange(len(SHIFTS)) == top, 0.9, 0.1)
        curve = shift_by_agreement(as_agreements(values, items), likeness, np.ones(1), coarse=False)
        assert asked == [(top, list(range(max(0, top - 4), top + 1)))]
        assert curve.chosen == max(0, top - 4)
        assert shift_of_whole(top, np.zeros(len(SHIFTS)), items) == top


def test_small_differences_of_likeness_leave_the_choice_to_the_items():
    items = -SHIFTS
    for drop, chosen in ((0.01, 0.0), (0.03, 2.0)):
        likeness = np.where(SHIFTS == 2.0, 0.9, 0.9 - drop)
        assert SHIFTS[shift_of_whole(20, likeness, items)] == chosen


def test_the_rule_is_the_prototypes():
    for values in curves(300, 0.03):
        curve = curve_of(as_agreements(values)(range(len(SHIFTS))), np.ones(1))
        assert upper_top(curve.score, curve.smooth) == rule(curve.score, curve.smooth)
        cost = 0.01 * np.maximum(SHIFTS, 0) ** 2
        np.testing.assert_allclose(curve.score, values - cost)


def test_the_top_at_the_higher_shift_is_taken_across_a_valley_only():
    score = np.array([0.2, 0.9, 0.6, 0.7, 0.3])
    assert upper_top(score, score) == 3
    assert upper_top(np.array([0.2, 0.9, 0.6, 0.61, 0.3]), score) == 1  # valley too shallow
    assert upper_top(np.array([0.2, 0.9, 0.5, 0.62, 0.3]), score) == 1  # too low a top, .69 of the other's


def test_coarse_to_fine_chooses_nearly_as_the_whole_grid():
    apart, looked = [], []
    for values in curves(300, 0.01):
        whole = shift_by_agreement(as_agreements(values), as_likeness(), np.ones(1), coarse=False)
        asked = []

        def agreements(places, values=values, asked=asked):
            asked.extend(places)
            return as_agreements(values)(places)

        fine = shift_by_agreement(agreements, as_likeness(), np.ones(1))
        assert len(asked) == len(set(asked)) == fine.looked_at.sum()
        assert fine.looked_at[fine.chosen]
        apart.append(abs(SHIFTS[whole.chosen] - SHIFTS[fine.chosen]))
        looked.append(len(asked))
    assert np.mean(np.array(apart) == 0) > 0.9
    assert np.mean(looked) < 16


def test_balanced_splits_count_most():
    weights = split_weights([(0.5, 0.5), (0.5, 0.45), (0.9, 0.2)])
    np.testing.assert_allclose(weights, np.exp([0, -1, -14]) / np.exp([0, -1, -14]).sum())


@pytest.mark.parametrize("models", range(2, 10))
def test_halves_of_models_are_disjoint_and_whole(models):
    splits = model_splits(models)
    for one, other in splits:
        assert sorted(one + other) == list(range(models))
        assert abs(len(one) - len(other)) <= 1
    assert len(set(splits)) == len(splits)


def test_vectors_of_one_coordinate_have_halves_and_stay_as_they_are():
    vectors = np.array([[1], [-1]], np.float16)
    vectors.flags.writeable = False
    one, other = coordinate_halves(1, 0)
    assert at_coordinates(vectors, one).tolist() == at_coordinates(vectors, other).tolist() == [[1], [-1]]


def test_one_model_has_halves_of_coordinates_only():
    assert model_splits(1) == ()
    one, other = coordinate_halves(9, 3)
    assert sorted([*one, *other]) == list(range(9))
    assert not np.array_equal(one, coordinate_halves(9, 4)[0])


def test_models_and_rows_that_come_twice_count_once():
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(6, 4)).astype(np.float16), rng.normal(size=(6, 3)).astype(np.float16)
    assert distinct_models([one, other, one.copy(), other.copy()]) == [0, 1]
    one[4], other[4] = one[1], other[1]
    one[5] = one[0]  # the other model tells 5 from 0
    kept, place = distinct_rows([one, other])
    assert kept.tolist() == [0, 1, 2, 3, 5]
    assert place.tolist() == [0, 1, 2, 3, 1, 4]
