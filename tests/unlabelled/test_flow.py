"""The durable stages give what the reference gives: any size, any blocks, duplicates, models that come twice."""

import numpy as np
import pytest

from cdp_spark.runs.stage_store import StageStore
from cdp_spark.spark.differences import is_sail
from cdp_spark.unlabelled import blocks, looks_flow
from cdp_spark.unlabelled.flow import scored_without_labels
from cdp_spark.unlabelled.kernels.reference import cluster_without_labels
from cdp_spark.unlabelled.sample_flow import Sizes
from cdp_spark.unlabelled.shipped import load_unlabelled
from tests.unlabelled.sets import clustered, first_rows, simulated, taken


@pytest.fixture(scope="module")
def mediator():
    return load_unlabelled()[0]


def same_as_reference(spark, place, vectors, mediator):
    label, found, rows = clustered(spark, place, vectors)
    wanted, facts = cluster_without_labels(vectors, mediator)
    assert np.array_equal(label, first_rows(wanted))
    for name in ("shift", "halves", "self_trained", "models"):
        assert found.facts[name] == getattr(facts, name), name
    assert found.facts["agreement"] == pytest.approx(facts.agreement, abs=1e-4)
    assert found.facts["predicted_precision"] == pytest.approx(facts.precision, abs=1e-5)
    assert found.facts["predicted_recall"] == pytest.approx(facts.recall, abs=1e-5)
    assert len(found.warnings) == len(facts.warnings)
    assert [each["looked_at"] for each in found.facts["curve"]] == facts.curve.looked_at.tolist()
    np.testing.assert_allclose([each["score"] for each in found.facts["curve"]], facts.curve.score, atol=1e-4)
    np.testing.assert_allclose(found.facts["strengths"], facts.strengths, atol=1e-4)
    return found, rows


@pytest.mark.engines
def test_the_whole_way_equals_the_reference_in_any_blocks_and_rounds(spark, tmp_path, mediator, monkeypatch):
    monkeypatch.setattr(looks_flow, "_LEAST_BLOCK", 60)
    monkeypatch.setattr(blocks, "HELD_BYTES", 100_000)
    assert is_sail(spark) == (
        len(blocks.Blocks(spark.range(1).withColumnRenamed("id", "block"), 5, 250, 1_000).rounds(1_000)) == 5
    )
    found, rows = same_as_reference(spark, tmp_path, simulated(), mediator)
    assert set(rows["status"]) <= {"clustered", "singleton", "discarded"}
    assert list(found.graphs) == ["m0", "m1", "m2"]


@pytest.mark.parametrize("models", [1, 2])
def test_few_models(spark, tmp_path, mediator, models):
    found, _ = same_as_reference(spark, tmp_path, simulated(200, models), mediator)
    assert found.facts["halves"] == "coordinates" or models > 1


@pytest.mark.parametrize("count", [0, 1, 2, 16, 41])
@pytest.mark.parametrize("models", [1, 3])
def test_small_tables_have_clusters(spark, tmp_path, mediator, count, models):
    vectors = simulated(41, models)
    vectors = [each[:count] for each in vectors]
    label, found, rows = clustered(spark, tmp_path, vectors)
    wanted, facts = cluster_without_labels(vectors, mediator)
    assert len(rows) == count
    assert np.array_equal(label, first_rows(wanted))
    assert not count or found.facts["shift"] == facts.shift


def test_exact_duplicates_follow_the_item_that_they_repeat(spark, tmp_path, mediator):
    vectors = simulated(200)
    rows = np.concatenate([np.arange(200), np.arange(0, 200, 5), np.arange(0, 200, 20)])
    found, clusters = same_as_reference(spark, tmp_path, [each[rows] for each in vectors], mediator)
    assert found.facts["distinct_items"] == 200
    sizes = clusters[clusters["cluster"] >= 0].groupby("cluster")["size"].agg(["count", "first", "nunique"])
    assert (sizes["count"] == sizes["first"]).all()
    assert (sizes["nunique"] == 1).all()
    assert clusters["cluster"].to_numpy()[200:].min() >= 0


def test_a_model_given_twice_counts_once(spark, tmp_path, mediator):
    vectors = simulated(150, 2)
    found, _ = same_as_reference(spark, tmp_path, [*vectors, 4 * vectors[0]], mediator)
    assert found.facts["models"] == 2
    assert list(found.graphs) == ["m0", "m1", "m2"]
    assert found.graphs["m2"] is found.graphs["m0"]


def test_no_true_pair_is_told(spark, tmp_path, mediator):
    rng = np.random.default_rng(0)
    vectors = [rng.normal(size=(120, 32)).astype(np.float32) for _ in range(2)]
    found, _ = same_as_reference(spark, tmp_path, vectors, mediator)
    assert any("do not trust" in warning for warning in found.warnings)


def test_a_sample_of_whole_pieces_chooses_the_shift_of_a_large_set(spark, tmp_path, monkeypatch):
    monkeypatch.setattr(looks_flow, "_LEAST_BLOCK", 60)
    _, found, rows = clustered(spark, tmp_path, simulated(300), Sizes(compared=120, piece=20))
    assert 40 < found.facts["compared_items"] < 220
    assert len(rows) == 300
    assert found.facts["agreement"] > 0


def test_a_second_run_makes_nothing_anew(spark, tmp_path, monkeypatch):
    store, config, intake = taken(spark, tmp_path, simulated(60, 2))
    once = scored_without_labels(store, intake, config)
    monkeypatch.setattr(StageStore, "_make", None)
    again = scored_without_labels(StageStore(spark, config.output), intake, config)
    assert again.facts == once.facts
    assert again.pairs.path == once.pairs.path
