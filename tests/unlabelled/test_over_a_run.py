"""Explain, denoise, export and report over a run without labels, with items and a model that repeat others."""

from pathlib import Path

import numpy as np
import pytest

from cdp_spark.commands.cluster import cluster
from cdp_spark.config.loading import load_config
from cdp_spark.evidence.as_text import text
from cdp_spark.evidence.flow import explain
from cdp_spark.label_errors.flow import denoise
from cdp_spark.report import report
from cdp_spark.training.kernels.simulation import simulated_set
from cdp_spark.training_lists.flow import export
from tests.unlabelled.sets import written

COUNT = 150
ROWS = np.concatenate([np.arange(COUNT), np.arange(0, COUNT, 5)])
"""A fifth of the rows repeat an earlier one: 150 is 0 again, 151 is 5 again."""


@pytest.fixture(scope="module")
def run(spark, tmp_path_factory):
    """A run over two models, of which one is given twice."""
    place = tmp_path_factory.mktemp("repeats")
    drawn = simulated_set(3, items=4 * COUNT)
    vectors = [np.float32(each[ROWS]) for each in drawn.models[:2]]
    base, *committee = written(place / "in", [*vectors, 4 * vectors[0]])
    config = load_config({"input": {"base": base, "committee": committee}, "output": str(place / "run")})
    return cluster(config, spark=spark), drawn.identity[ROWS]


def test_the_record_names_what_repeats(run):
    told = run[0].record["without_labels"]
    assert told["same_as"] == {"m2": "m0"}
    assert told["repeated_items"] == COUNT // 5


def test_an_item_that_repeats_another_is_explained_by_that_one(spark, run):
    place = run[0].output
    copy, first = explain(place, 151, spark=spark), explain(place, 5, spark=spark)
    assert copy.neighbors == first.neighbors
    assert copy.a.same_as == 5
    assert "identical in all models to 5" in text(copy)
    assert first.a.copies == 1
    both = explain(place, 151, 5, spark=spark)
    assert both.together
    assert "151 and 5 are identical in all models" in text(both)
    far = explain(place, 151, 0, spark=spark)
    assert "identical in all models" in far.verdict
    assert not far.path or far.path[0].src == 5


def test_the_terms_of_a_pair_make_its_log_odds(spark, run):
    found = explain(run[0].output, 5, spark=spark)
    told = run[0].record["without_labels"]
    scored = [pair for pair in found.neighbors if pair.score is not None]
    assert scored
    for pair in scored:
        known = pair.terms
        assert known["joint_similarity"] is not None
        assert known["shift"] == told["shift"]
        own = known["mediator"] + known["shift"]
        odds = (own + known["self_training"]) / 2 if told["self_trained"] else own
        assert known["log_odds"] == pytest.approx(odds, abs=1e-4)
        assert pair.score == pytest.approx(1 / (1 + np.exp(-known["log_odds"])), abs=1e-6)
    shown = text(found)
    assert all(head in shown for head in ("joint", "log odds", "mediator", "shift"))
    left_out = [pair for pair in found.neighbors if pair.score is None]
    assert all("by all models together" in pair.why for pair in left_out)


def test_wrong_labels_of_items_that_repeat_others_are_found(spark, tmp_path, run):
    labels = run[1].copy()
    labels[151] = labels.max() + 1
    labels[150] = next(each for each in labels if each != labels[0] and (labels == each).sum() > 2)
    given = spark.createDataFrame(list(enumerate(labels.tolist())), "id long, label long")
    found = denoise(run[0].output, given, output=str(tmp_path / "out"), spark=spark)
    scores = {row["id"]: row["score"] for row in found.scores.collect()}
    assert len(scores) == len(ROWS)
    others = sorted(scores, key=scores.__getitem__, reverse=True)
    assert {150, 151} & set(others[:6])
    twice = {row["id"] for row in found.issues.where("issue = 'near_duplicates'").collect()}
    assert set(range(COUNT, len(ROWS))) <= twice


def test_it_is_exported_and_reported(spark, tmp_path, run):
    done = export(run[0].output, output=str(tmp_path / "out"), spark=spark)
    assert done
    page = Path(report(run[0].output, spark=spark)).read_text(encoding="utf-8")
    assert "Clusters of run" in page
