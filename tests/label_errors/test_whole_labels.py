"""Issues of whole labels on small graphs, each expected row by hand or by a plain account."""

from collections import defaultdict

import numpy as np
import pytest

from cdp_spark.base import schemas
from cdp_spark.label_errors import support, whole_labels
from cdp_spark.label_errors.kernels import doubt as kernel

ONE = kernel.UNIT
STRENGTHS = [0] * 256 + [ONE] * 256
# Labels 0 (items 0-4), 5 (items 5-7), 8 (items 8-10), 11 (item 11).
LABEL = {**dict.fromkeys(range(5), 0), **dict.fromkeys(range(5, 8), 5), **dict.fromkeys(range(8, 11), 8), 11: 11}


def every(*items):
    return [(a, b) for a in items for b in items if a < b]


def tables(spark, pairs, label=None):
    label = LABEL if label is None else label
    sizes = {number: list(label.values()).count(number) for number in label.values()}
    rows = [(item, number, sizes[number]) for item, number in label.items()]
    labelled = spark.createDataFrame(rows, support.LABELLED).repartition(3)
    both = spark.createDataFrame(
        [(a, b, 0.9, label[a], label[b]) for a, b in pairs], support.LABELLED_PAIRS
    ).repartition(5)
    supported = support.supports(both, STRENGTHS, 0.5)
    return both, supported, support.item_supports(supported, labelled), labelled


def test_two_labels_whose_items_are_all_alike_are_one_identity(spark):
    pairs = every(*range(8)) + every(8, 9, 10)
    _, supported, of_items, _ = tables(spark, pairs)
    found = whole_labels.duplicates(supported.repartition(7), of_items, least=0.5).collect()
    assert [(row["label"], row["suggested"], row["score"]) for row in found] == [(5, 0, 1.0)]


def test_one_wrong_item_makes_no_double_and_neither_does_a_label_of_one_item(spark):
    pairs = every(*range(5)) + every(5, 6) + every(8, 9, 10)
    pairs += [(item, 7) for item in range(5)] + [(8, 11), (9, 11), (10, 11)]
    _, supported, of_items, _ = tables(spark, pairs)
    assert whole_labels.duplicates(supported, of_items, least=0.5).collect() == []


@pytest.mark.engines("0")
@pytest.mark.parametrize("seed", range(3))
def test_doubles_are_those_of_a_plain_account(spark, seed):
    random = np.random.default_rng(seed)
    label = {item: (item // 4) * 4 if item < 24 else 24 + (item - 24) // 2 * 2 for item in range(32)}
    pairs = [
        pair
        for pair in every(*range(32))
        if random.uniform() < (0.9 if label[pair[0]] // 8 == label[pair[1]] // 8 else 0.05)
    ]
    _, supported, of_items, _ = tables(spark, pairs, label)
    size = {number: list(label.values()).count(number) for number in label.values()}
    support = defaultdict(int)
    for a, b in pairs:
        support[a, label[b]] += 1
        support[b, label[a]] += 1
    shown = defaultdict(float)
    for (item, other), count in support.items():
        if other != label[item]:
            own = support.get((item, label[item]), 0) / (size[label[item]] - 1)
            share = min(1.0, count / size[other] / max(own, 0.02))
            shown[label[item], other] += share / size[label[item]]
    best = {}
    for (small, large), share in shown.items():
        score = min(share, shown.get((large, small), 0))
        smaller = (size[small], -small) < (size[large], -large)
        if smaller and score >= 0.3:
            best[small] = max(best.get(small, (0, 0)), (round(score, 3), -large))
    found = whole_labels.duplicates(supported.repartition(7), of_items, least=0.3).collect()
    assert {row["label"]: (round(row["score"], 3), -row["suggested"]) for row in found} == best


def verdicts(spark, label, wrong=(), issue="wrong_label", suggested=None):
    rows = [
        (
            item,
            number,
            issue if item in wrong else None,
            suggested if item in wrong else None,
            0.9 if item in wrong else 0.0,
        )
        for item, number in label.items()
    ]
    return spark.createDataFrame(rows, support.VERDICTS).repartition(3)


def test_a_label_of_two_groups_is_two_identities_and_wrong_items_do_not_count(spark):
    label = dict.fromkeys(range(9), 0) | dict.fromkeys((9, 10, 11), 9)
    pairs = every(0, 1, 2, 3) + every(4, 5, 6) + every(7, 8) + every(9, 10, 11)
    both, *_ = tables(spark, pairs, label)
    found = whole_labels.merged(both, verdicts(spark, label, wrong=(7, 8)), STRENGTHS, k=5, tasks=3).collect()
    assert {(row["item"], row["label"], row["part"], row["score"]) for row in found} == {
        (item, 0, 4, 0.75) for item in (4, 5, 6)
    }


def test_the_same_image_twice_is_told_of_all_but_the_first(spark):
    knn = spark.createDataFrame(
        [
            (0, [1, 5], [0.999, 0.5]), (1, [0, 2], [0.999, 0.995]), (2, [1], [0.995]), (5, [0], [0.5]), (6, [7], [1.0]),
            (7, [6], [1.0]), (8, [], []),
        ],
        schemas.KNN,
    )  # fmt: skip
    label = {0: 0, 1: 1, 2: 1, 5: 5, 7: 7, 8: 8}
    _, _, _, labelled = tables(spark, [(0, 1)], label)
    found = whole_labels.near_duplicates(knn.repartition(5), labelled, similarity=0.99).collect()
    assert {(row["item"], row["suggested"], round(row["score"], 3)) for row in found} == {
        (1, 0, 0.999), (2, 1, 0.995), (7, None, 1.0),
    }  # fmt: skip


def test_an_item_of_a_double_is_not_called_wrong_for_it(spark):
    doubles = spark.createDataFrame([(5, 0, 0.8)], whole_labels.DUPLICATES)
    parts = spark.createDataFrame([(9, 8, 9, 0.7), (10, 8, 9, 0.5)], "item long, label long, part long, score double")
    twice = spark.createDataFrame([(1, None, 1.0)], "item long, suggested long, score double")
    of_items = verdicts(spark, LABEL, wrong=(3,), suggested=5).unionByName(
        verdicts(spark, {20: 8}, wrong=(20,), suggested=5)
    )
    rows = whole_labels.flagged(of_items, doubles, parts, twice, least=0.6).collect()
    assert {(row["item"], row["issue"], row["label"], row["suggested"], row["part"]) for row in rows} == {
        (20, "wrong_label", 8, 5, None), (9, "merged_identity", 8, None, 9), (1, "near_duplicates", 0, None, None),
        *((item, "duplicate_identities", 5, 0, None) for item in (5, 6, 7)),
    }  # fmt: skip
