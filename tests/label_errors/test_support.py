"""Supports and verdicts against a plain account in dictionaries, on repartitioned input."""

from collections import defaultdict

import numpy as np
import pytest

from cdp_spark.base import schemas
from cdp_spark.label_errors import support as stage
from cdp_spark.label_errors.kernels import doubt as kernel

K, THRESHOLD = 4, 0.5
STRENGTHS = np.clip((np.arange(kernel.SCORE_BINS) - 256) * kernel.UNIT // 256, 0, kernel.UNIT).tolist()


def graph(seed, items=40, labels=6):
    """Pairs with scores, and labels as text; some items have none."""
    random = np.random.default_rng(seed)
    ends = {tuple(pair) for pair in np.sort(random.integers(0, items, (150, 2)), axis=1).tolist() if pair[0] != pair[1]}
    pairs = {pair: float(np.float32(random.uniform(-0.3, 1))) for pair in sorted(ends)}
    given = {item: f"p{random.integers(labels)}" for item in range(items) if random.uniform() < 0.9}
    return pairs, given


def plain_supports(pairs, given):
    """Sum up by dictionaries: {(item, label): [support, accepted pairs, their scores]}."""
    number = {label: min(item for item in given if given[item] == label) for label in given.values()}
    found = defaultdict(lambda: [0, 0, 0])
    for (src, dst), score in pairs.items():
        if src in given and dst in given:
            strength = STRENGTHS[min(int(np.floor((score + 1) * 256)), 511)]
            accepted = score > THRESHOLD
            if strength or accepted:
                for item, other in ((src, dst), (dst, src)):
                    sums = found[item, number[given[other]]]
                    sums[0] += strength
                    sums[1] += accepted
                    sums[2] += int(np.floor(score * kernel.UNIT + 0.5)) if accepted else 0
    return number, dict(found)


def tables(spark, pairs, given):
    items = spark.createDataFrame([(100 + item, item) for item in range(40)], "id long, item long")
    labels = spark.createDataFrame(
        [(100 + item, label) for item, label in given.items()] + [(100 + max(given) + 50, "p0"), (9_999, None)],
        "id long, label string",
    )
    scored = spark.createDataFrame([(*pair, score) for pair, score in pairs.items()], schemas.SCORED_PAIRS)
    labelled = stage.labelled_items(items.repartition(7), labels.repartition(7))
    return labelled, stage.labelled_pairs(scored.repartition(7), labelled)


@pytest.mark.engines("0")
@pytest.mark.parametrize("seed", range(3))
def test_supports_and_item_supports_are_those_of_a_plain_account(spark, seed):
    pairs, given = graph(seed)
    labelled, both = tables(spark, pairs, given)
    number, wanted = plain_supports(pairs, given)
    sizes = {label: list(given.values()).count(label) for label in number}
    assert {(row["item"], row["label"], row["size"]) for row in labelled.collect()} == {
        (item, number[label], sizes[label]) for item, label in given.items()
    }
    supported = stage.supports(both.repartition(7), STRENGTHS, THRESHOLD)
    found = {(row["item"], row["label"]): [row["support"], row["pairs"], row["scores"]] for row in supported.collect()}
    assert found == wanted
    for row in stage.item_supports(supported.repartition(7), labelled).collect():
        own = number[given[row["item"]]]
        others = {
            label: sums[0] for (item, label), sums in wanted.items() if item == row["item"] and label != own and sums[0]
        }
        best = min(others, key=lambda label: (-others[label], label), default=None)
        assert row["own"] == wanted.get((row["item"], own), [0])[0]
        assert (row["suggested"], row["other"]) == (best, others.get(best, 0))


def test_agreement_counts_pairs_by_score(spark):
    pairs, given = graph(9)
    _, both = tables(spark, pairs, given)
    wanted = defaultdict(lambda: [0, 0])
    for (src, dst), score in pairs.items():
        if src in given and dst in given:
            counts = wanted[min(int(np.floor((score + 1) * 256)), 511)]
            counts[0] += 1
            counts[1] += given[src] == given[dst]
    found = {row["bin"]: [row["pairs"], row["agreeing"]] for row in stage.agreement(both.repartition(7)).collect()}
    assert found == dict(wanted)


def test_a_score_of_one_falls_into_the_last_bin(spark):
    both = spark.createDataFrame([(0, 1, 1.0, 0, 0), (0, 2, -1.0, 0, 2)], stage.LABELLED_PAIRS)
    assert {row["bin"] for row in stage.agreement(both).collect()} == {0, kernel.SCORE_BINS - 1}


JUDGE = kernel.DoubtModel(0.8, 0.1, [[-3.0, 3.0], [-3.0, 3.0]], [[0.0, 0.6], [0.0, 1.0]], [2.0, 1.0])
ONE = kernel.UNIT
ROWS = [
    # item, label, size, own, other, suggested
    (0, 0, 5, 4 * ONE, 0, None),  # fine
    (1, 0, 5, 0, 2 * ONE, 7),  # its pairs are elsewhere
    (2, 0, 9, 0, 0, None),  # no pairs though there could be
    (3, 3, 1, 0, ONE // 4, 7),  # alone, little elsewhere
    (4, 0, 5, ONE, ONE, 7),  # both
]


def test_verdicts_name_what_is_wrong(spark):
    of_items = spark.createDataFrame(ROWS, stage.ITEM_SUPPORTS).repartition(3)
    found = {row["item"]: row for row in stage.verdicts(of_items, JUDGE, K).collect()}
    assert {item: row["issue"] for item, row in found.items()} == {
        0: None, 1: "wrong_label", 2: "unsure", 3: "unsure", 4: "unsure",
    }  # fmt: skip
    assert {item: row["suggested"] for item, row in found.items()} == {0: None, 1: 7, 2: None, 3: 7, 4: 7}
    own, other, could = np.array([[row[3], row[4], min(row[2] - 1, K)] for row in ROWS], float).T
    doubts = kernel.doubt(own / ONE, other / ONE, could, JUDGE.expected)
    wanted = JUDGE.probability(doubts, other / ONE >= kernel.ELSEWHERE)
    assert [found[item]["score"] for item in range(5)] == pytest.approx(wanted.tolist())


def test_the_census_counts_every_item_once(spark):
    of_items = spark.createDataFrame(ROWS, stage.ITEM_SUPPORTS).repartition(3)
    assert {(row["opportunities"], row["items"], int(row["own"])) for row in stage.totals(of_items, K).collect()} == {
        (4, 4, 5 * ONE), (0, 1, 0),
    }  # fmt: skip
    assert {row["bin"]: row["items"] for row in stage.best_supports(of_items).collect()} == {
        128: 1,
        64: 1,
        0: 1,
        8: 1,
        32: 1,
    }
    doubts = stage.doubt_counts(of_items, K, 0.8).collect()
    assert sum(row["items"] for row in doubts) == len(ROWS)
    assert sum(row["items"] for row in doubts if row["elsewhere"]) == 2
