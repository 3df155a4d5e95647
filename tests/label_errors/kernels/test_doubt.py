"""Strengths against scikit-learn's isotonic regression; the model on populations with known wrong labels."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression

from cdp_spark.label_errors.kernels import doubt as kernel

K = 10


@pytest.mark.parametrize("seed", range(20))
def test_pools_are_those_of_isotonic_regression(seed):
    random = np.random.default_rng(seed)
    whole = random.integers(1, 50, 40)
    hits = random.integers(0, whole + 1)
    curve = np.concatenate([[a / b] * (end - first) for first, end, a, b in kernel.isotonic_pools(hits, whole)])
    wanted = IsotonicRegression().fit_transform(np.arange(40), hits / whole, sample_weight=whole)
    assert curve == pytest.approx(wanted)


def test_strengths_rise_from_nothing_to_certain_and_a_few_odd_pairs_do_not_matter():
    pairs, agreeing = np.zeros((2, kernel.SCORE_BINS), np.int64)
    bins = np.arange(256, 512, 8)
    pairs[bins] = 1000
    agreeing[bins] = np.linspace(0, 800, len(bins)).astype(int)
    pairs[511], agreeing[511] = 2, 0
    strength = kernel.strengths(pairs, agreeing)
    assert (np.diff(strength) >= 0).all()
    assert strength[256] == 0
    assert strength[511] == kernel.UNIT
    assert abs(strength[bins[16]] / kernel.UNIT - agreeing[bins[16]] / 790) < 0.05


def test_without_agreement_no_pair_is_strong():
    pairs = np.full(kernel.SCORE_BINS, 5)
    assert not kernel.strengths(pairs, np.zeros_like(pairs)).any()


@given(*(st.floats(0, 30) for _ in range(4)), st.floats(0, 1))
def test_doubt_rises_with_support_elsewhere_and_falls_with_own(own, other, more, could, expected):
    def doubt(own, other):
        return kernel.doubt(*(np.array([value]) for value in (own, other, could)), expected)[0]

    assert doubt(own, other + more) >= doubt(own, other)
    assert doubt(own + more, other) <= doubt(own, other)


def test_exchanged_are_the_doubts_of_each_item_with_each_others_label():
    random = np.random.default_rng(3)
    best, could = random.integers(0, 200, 30), random.integers(0, K + 1, 25)
    census = kernel.Census(0.7, np.zeros((2, kernel.DOUBT_BINS), int), np.bincount(best), np.bincount(could))
    wanted = np.zeros((2, kernel.DOUBT_BINS))
    for one in best:
        support = (one + 0.5) / kernel.SUPPORT_BINS if one else 0.0
        for other in could:
            value = np.log((support + 0.2 + 0.35 * 0.7 * other) / 0.2)
            number = int((value - kernel.DOUBT_LOW) / (kernel.DOUBT_HIGH - kernel.DOUBT_LOW) * kernel.DOUBT_BINS)
            wanted[int(support >= kernel.ELSEWHERE), number] += 1
    assert kernel.exchanged(census) == pytest.approx(wanted / wanted.sum())


def population(wrong_share: float, seed: int, items: int = 20_000):
    """Return supports: labels have 2 to 12 items, partners support with chance .8, strangers with .1."""
    random = np.random.default_rng(seed)
    could = np.minimum(random.integers(1, 12, items), K)
    true = random.binomial(could, 0.8).astype(float)
    stranger = random.binomial(1, 0.1, items) * random.uniform(0, 1, items)
    wrong = random.uniform(size=items) < wrong_share
    own = np.where(wrong, 0.0, true)
    other = np.where(wrong, np.maximum(true, stranger), stranger)
    promised = np.where(wrong, random.permutation(could), could)
    return own, other, promised, wrong


def learned(own, other, could, precision=0.9):
    expected = own.sum() / could.sum()
    doubts, elsewhere = kernel.doubt(own, other, could, expected), other >= kernel.ELSEWHERE
    counts = np.stack([
        np.bincount(kernel.doubt_bins(doubts[elsewhere == kind]), minlength=kernel.DOUBT_BINS) for kind in (0, 1)
    ])  # fmt: skip
    best = (np.maximum(own, other) * kernel.SUPPORT_BINS).astype(int)
    model = kernel.learned(kernel.Census(expected, counts, np.bincount(best), np.bincount(could)), precision)
    return model, doubts, elsewhere


@pytest.mark.parametrize("wrong_share", [0.02, 0.05, 0.3])
def test_the_model_estimates_the_share_of_wrong_labels_and_keeps_the_precision(wrong_share):
    own, other, could, wrong = population(wrong_share, 1)
    model, doubts, elsewhere = learned(own, other, could)
    assert model.wrong_share == pytest.approx(wrong_share, rel=0.15, abs=0.004)
    called = model.called_wrong(doubts, elsewhere)
    assert wrong[called].mean() >= 0.87
    assert called[wrong].mean() >= 0.8
    probability = model.probability(doubts, elsewhere)
    for low, high in ((0.0, 0.1), (0.1, 0.5), (0.5, 1.0)):
        chosen = (probability >= low) & (probability <= high)
        if chosen.sum() > 300:
            assert wrong[chosen].mean() == pytest.approx(probability[chosen].mean(), abs=0.1)


def test_among_right_labels_next_to_none_is_called_wrong():
    own, other, could, _ = population(0.0, 2)
    model, doubts, elsewhere = learned(own, other, could)
    assert model.wrong_share < 0.005
    assert model.called_wrong(doubts, elsewhere).mean() < 0.002


def test_a_model_survives_json():
    own, other, could, _ = population(0.05, 3, 500)
    model = learned(own, other, could)[0]
    assert kernel.DoubtModel(**json.loads(json.dumps(asdict(model)))) == model


def test_without_items_nothing_is_called_wrong():
    nothing = np.zeros(0)
    model, doubts, elsewhere = learned(np.array([1.0]), nothing.sum(keepdims=True), np.array([1]))
    assert not model.called_wrong(doubts, elsewhere).any()
