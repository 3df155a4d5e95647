"""What ``auto`` means: nothing given goes without labels; a threshold, votes or a rule of votes go by vote."""

import numpy as np
import pytest

from cdp_spark.commands.cluster import cluster
from cdp_spark.config.loading import load_config
from cdp_spark.evidence.flow import explain
from cdp_spark.runs.finished_run import FinishedRun
from cdp_spark.scoring.choice import mediator_of, with_rule
from cdp_spark.sources import work_size
from cdp_spark.unlabelled import looks_flow
from tests.unlabelled.sets import simulated, written

SHIPPED, VOTE = ("mediator", "shipped"), ("vote", None)


def config(place="out", base="a.parquet", committee=("b.parquet",), **parts):
    return load_config({"input": {"base": base, "committee": list(committee)}, "output": str(place), **parts})


@pytest.mark.parametrize(
    ("parts", "way", "why"),
    [
        ({}, SHIPPED, "no mediator"),
        ({"knn": {"k": 5}}, SHIPPED, "no mediator"),
        ({"clusters": {"rule": "contraction"}}, SHIPPED, "no mediator"),
        ({"consensus": {"mediator": "shipped"}}, SHIPPED, "as asked"),
        ({"consensus": {"mediator": "shipped", "threshold": 0.6}}, SHIPPED, "as asked"),
        ({"consensus": {"threshold": 0.6}}, VOTE, "consensus.threshold"),
        ({"consensus": {"accept": "all"}}, VOTE, "consensus.accept"),
        ({"clusters": {"rule": "paper"}}, VOTE, "clusters.rule paper"),
        ({"consensus": {"strategy": "vote"}}, VOTE, "consensus.strategy"),
        ({"consensus": {"mediator": "/mediators/faces"}}, ("mediator", "/mediators/faces"), "it was given"),
    ],
)
def test_the_way_is_chosen_by_what_was_given(parts, way, why):
    found = config(**parts)
    assert (found.consensus.strategy, found.consensus.mediator) == way
    assert why in found.why


def test_the_rule_follows():
    assert mediator_of(config()) is None
    assert with_rule(config(), None).clusters.rule == "learned"
    assert with_rule(config(consensus={"mediator": "shipped", "threshold": 0.6}), None).clusters.rule == "code"
    assert with_rule(config(consensus={"strategy": "vote"}), None).clusters.rule == "code"


def test_memory_is_that_of_the_lists_that_are_searched():
    assert looks_flow.SEARCHED == work_size._WITHOUT_LABELS


def test_the_record_tells_the_way_and_a_run_by_another_way_warns(spark, tmp_path):
    base, *committee = written(tmp_path / "in", simulated(80, 2))
    run = cluster(config(tmp_path / "run", base, committee), spark=spark)
    assert "without labels" in run.record["way"]
    assert len(run.record["without_labels"]["curve"]) == 21
    assert run.record["config"]["consensus"]["mediator"] == "shipped"
    assert FinishedRun.of(spark, run.output).config.clusters.rule == "learned"
    again = cluster(config(tmp_path / "run", base, committee, consensus={"threshold": 0.5}), spark=spark)
    assert any("was made with consensus.strategy mediator" in warning for warning in again.record["warnings"])


@pytest.mark.report
def test_a_model_given_twice_and_repeated_items_have_a_report_and_are_explained(spark, tmp_path):
    first, second = (np.concatenate([each, each[:20]]) for each in simulated(80, 2))
    base, *committee = written(tmp_path / "in", [first, second, first])
    run = cluster(config(tmp_path / "run", base, committee), spark=spark)
    assert run.record["without_labels"]["same_as"] == {"m2": "m0"}
    assert run.record["without_labels"]["distinct_items"] == 80
    assert (tmp_path / "run" / "report.html").stat().st_size > 10_000
    assert explain(run.output, 3, 83, spark=spark).together
    edges = [each.features for each in explain(run.output, 7, spark=spark).neighbors]
    assert edges
    assert all(each["structure.m0"] == each["structure.m2"] <= 1 for each in edges)
