"""Clusters from elsewhere: names, gaps, repeats."""

import math

import pytest

from cdp_spark.base.errors import InputError
from cdp_spark.evaluation.flow import evaluate
from cdp_spark.evaluation.given_clusters import given_clusters

NAN = math.nan


def clusters_of(spark, rows, kinds):
    table, warnings = given_clusters(spark.createDataFrame(rows, kinds).repartition(5))
    return {row["id"]: row["cluster"] for row in table.collect()}, warnings


@pytest.mark.engines
@pytest.mark.parametrize(
    ("kind", "given", "wanted"),
    [
        ("long", [7, 7, -1, None, 0], [7, 7, -1, -1, 0]),
        ("string", ["c1", "c1", None, "", "c0"], [2, 2, -1, 0, 1]),
        ("double", [3.0, 3.0, NAN, -1.0, 0.5], [1, 1, -1, -1, 0]),
        ("long", [-7, -7, -1, None, 2**63 - 1], [0, 0, -1, -1, 1]),
        ("boolean", [True, True, None, None, False], [1, 1, -1, -1, 0]),
    ],
)
def test_clusters_are_numbers_or_names_and_null_nan_and_minus_one_are_none(spark, kind, given, wanted):
    found, warnings = clusters_of(spark, list(enumerate(given)), f"id long, cluster {kind}")
    assert [found[id] for id in range(len(given))] == wanted
    assert len(warnings) == given.count("")  # a text that looks like a missing value


@pytest.mark.engines
def test_one_table_may_hold_clusters_and_labels(spark):
    both = spark.createDataFrame([(i, f"c{i // 4}", i // 5) for i in range(40)], "id long, cluster string, label long")
    numbers = both.selectExpr("id", "cast(substr(cluster, 2) as long) as cluster")
    found = evaluate(both, both)
    assert found == evaluate(numbers, both.select("id", "label"))
    assert (found["kept"]["pairwise_precision"], found["kept"]["pairwise_recall"]) == pytest.approx((2 / 3, 0.5))


@pytest.mark.engines
def test_nan_is_no_label(spark):
    clusters = spark.createDataFrame([(i, i // 5) for i in range(40)], "id long, cluster long")
    rows = [(i, NAN if i % 4 == 0 else float(i // 5)) for i in range(40)]
    kept = evaluate(clusters, spark.createDataFrame(rows, "id long, label double"))["kept"]
    assert (kept["pairwise_precision"], kept["pairwise_recall"], kept["identities"]) == (1, 1, 8)


@pytest.mark.engines
def test_rows_without_an_id_are_left_out_and_counted(spark):
    found, warnings = clusters_of(spark, [(None, 1), (2, 3)], "id long, cluster long")
    assert (found, warnings) == ({2: 3}, ["clusters: 1 rows have no id and are left out"])


@pytest.mark.parametrize(
    ("rows", "kinds", "said"),
    [
        (
            [(0, 1), (0, 1), (1, 2)],
            "id long, cluster long",
            r"clusters: 1 ids occur more than once, such as 0 \(2 time",
        ),
        (
            [(0, 1)],
            "id long, kluster long",
            "clusters: no column cluster; it has id: bigint, kluster: bigint: name another",
        ),
        ([(0, [1])], "id long, cluster array<int>", "clusters: cluster is array<int>"),
    ],
)
def test_refusals(spark, rows, kinds, said):
    with pytest.raises(InputError, match=said):
        clusters_of(spark, rows, kinds)
