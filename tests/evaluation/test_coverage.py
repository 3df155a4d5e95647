"""The surest items: counted by confidence, and evaluated by the plain metrics of those items alone."""

import numpy as np
import pandas as pd
import pytest

from cdp_spark.evaluation import coverage as stage
from cdp_spark.evaluation.kernels.metrics import scores, sums_of
from cdp_spark.report.certainty import coverage

SCHEMA = "id long, cluster long, best_score float, confidence float"


@pytest.fixture(scope="module")
def run(spark):
    """Clusters of several sizes with wrong items, a quarter of the items in none, and their labels."""
    random = np.random.default_rng(3)
    count = 400
    label = random.integers(0, 60, count)
    cluster = np.where(random.random(count) < 0.25, -1, np.where(random.random(count) < 0.2, label + 1, label))
    table = pd.DataFrame({
        "id": np.arange(count), "cluster": cluster, "best_score": random.random(count).round(3),
        "confidence": np.where(cluster < 0, np.nan, random.random(count).round(2)), "label": label,
    })  # fmt: skip
    rows = [
        (int(row.id), int(row.cluster), float(row.best_score), None if row.cluster < 0 else float(row.confidence))
        for row in table.itertuples()
    ]
    labels = spark.createDataFrame(table[["id", "label"]])
    sure = np.where(cluster < 0, 1 - table["best_score"].astype("float32"), table["confidence"].astype("float32"))
    return spark.createDataFrame(rows, SCHEMA).repartition(7, "id"), labels, table.assign(sure=sure.astype(float))


def test_an_item_without_a_pair_is_alone_as_surely_as_its_best_pair_is_wrong(spark):
    rows = [(0, 4, 0.9, 0.5), (1, -1, 0.25, None), (2, -1, None, None), (3, 4, 0.9, 1.0), (4, -1, -0.5, None)]
    found = stage.confidence_histogram(spark.createDataFrame(rows, SCHEMA).repartition(3)).collect()
    assert {row["bin"]: row["items"] for row in found} == {500: 1, 750: 1, 999: 3}


@pytest.mark.engines
def test_the_figures_of_each_share_are_those_of_its_items_alone(run):
    clusters, labels, table = run
    found = coverage(clusters, labels)
    assert found[0].share == 1
    assert [each.share for each in found] == sorted({each.share for each in found}, reverse=True)
    assert [each.confidence for each in found] == sorted(each.confidence for each in found)
    for each in found:
        surest = table[np.floor(table["sure"] * stage.BINS).clip(upper=stage.BINS - 1) >= each.confidence * stage.BINS]
        assert len(surest) == round(each.share * len(table))
        alone = np.where(surest["cluster"] < 0, 10_000 + surest["id"], surest["cluster"])
        wanted = scores(sums_of(alone, surest["label"].to_numpy()))
        assert each.pairwise_f == pytest.approx(wanted["pairwise_f"], abs=1e-9)
        assert each.bcubed_f == pytest.approx(wanted["bcubed_f"], abs=1e-9)


def test_without_labels_there_are_shares_and_confidences(run):
    found = coverage(run[0], None)
    assert [(each.share, each.confidence) for each in found] == [
        (each.share, each.confidence) for each in coverage(run[0], run[1])
    ]
    assert all(each.pairwise_f is None and each.bcubed_f is None for each in found)
