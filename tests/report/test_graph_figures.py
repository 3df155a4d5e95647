import itertools

import numpy as np
import pandas as pd
import pytest

from cdp_spark.base.numeric.hashing import in_share
from cdp_spark.report import graph_figures
from cdp_spark.spark.hashed_sample import hashed_sample

KNN = "item long, neighbors array<long>, similarities array<float>"


def graph(seed: int, items: int = 60, k: int = 4) -> dict[int, list[int]]:
    """Make random lists; nobody names item 7."""
    random = np.random.default_rng(seed)
    return {
        i: random.choice([j for j in range(items) if j not in (i, 7)], k, replace=False).tolist() for i in range(items)
    }


def table(spark, lists):
    return spark.createDataFrame([(i, near, [0.5] * len(near)) for i, near in lists.items()], KNN).repartition(7)


@pytest.mark.engines
def test_in_degrees_are_those_of_plain_counting_and_items_in_no_list_count(spark):
    graphs = [graph(0), graph(1)]
    found = graph_figures.in_degrees([table(spark, lists) for lists in graphs]).collect()
    for index, lists in enumerate(graphs):
        named = pd.Series([j for near in lists.values() for j in near]).value_counts()
        wanted = named.reindex(range(60), fill_value=0).value_counts().to_dict()
        assert {row["in_degree"]: row["items"] for row in found if row["graph"] == index} == wanted
        assert 0 in wanted


def test_a_share_of_the_items_keeps_their_whole_in_degree(spark):
    lists = {i: [0] for i in range(1, 400)} | {0: [1]}
    rows = graph_figures.in_degrees([table(spark, lists)], share=0.5).collect()
    found = {row["in_degree"]: row["items"] for row in rows}
    assert 120 < sum(found.values()) < 280
    assert found.get(399, 0) in (0, 1)
    assert set(found) <= {0, 1, 399}


@pytest.mark.parametrize("labelled", [False, True])
def test_confirmed_pairs_are_those_of_a_plain_vote(spark, labelled):
    base, one, two = graph(0), graph(1), graph(2)
    one |= {i: base[i][:2] + one[i][:2] for i in range(0, 60, 2)}  # else few would agree
    two |= {i: base[i] for i in range(0, 60, 3)}
    labels = {i: i % 3 for i in range(50)}
    bits: dict[tuple[int, int], int] = {}
    for i, j in ((i, j) for i, near in base.items() for j in near):
        pair = (min(i, j), max(i, j))
        bits[pair] = bits.get(pair, 0) | (j in one[i]) | (j in two[i]) << 1
    same = {
        pair: labels[pair[0]] == labels[pair[1]] if labelled and set(pair) <= set(labels) else None for pair in bits
    }
    wanted = pd.Series([(bits[pair], same[pair]) for pair in bits]).value_counts().to_dict()
    named = spark.createDataFrame(list(labels.items()), "item long, label long") if labelled else None
    found = graph_figures.confirmed_pairs(table(spark, base), [table(spark, one), table(spark, two)], named)
    assert {(row["members"], row["same"]): row["pairs"] for row in found.collect()} == wanted
    assert {each for each, _ in wanted} == {0, 1, 2, 3}


def test_of_a_share_of_the_pairs_both_directions_are_seen(spark):
    everyone = {i: [j for j in range(30) if j != i] for i in range(30)}
    # The member has each edge in one direction only, so a pair is confirmed by whichever edge has it.
    member = {i: [j for j in range(30) if j > i] for i in range(30)}
    found = graph_figures.confirmed_pairs(table(spark, everyone), [table(spark, member)], None, share=0.4).collect()
    assert [row["members"] for row in found] == [1]
    assert 0.25 < found[0]["pairs"] / len(list(itertools.combinations(range(30), 2))) < 0.55


@pytest.mark.parametrize("salt", ["figures", "a", "four"])
def test_the_share_that_a_kernel_takes_is_the_one_that_spark_takes(spark, salt):
    values = np.random.default_rng(1).integers(-(2**63), 2**63 - 1, 3_000)
    rows = spark.createDataFrame(pd.DataFrame({"item": values}))
    for share in (0.0, 0.3, 1.0):
        kept = [row["item"] for row in hashed_sample(rows, "item", salt=salt, below=share).collect()]
        assert sorted(kept) == sorted(values[in_share(values, salt, share)].tolist())
