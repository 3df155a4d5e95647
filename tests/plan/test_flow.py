"""What a run will take: read off the input and the config, from finished runs."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from cdp_spark.base.errors import ConfigError, InputError
from cdp_spark.commands.cluster import cluster
from cdp_spark.config.loading import load_config
from cdp_spark.plan import flow as task
from cdp_spark.plan.flow import plan
from cdp_spark.plan.measured import measured_run
from cdp_spark.runs.run_json import ClusterRecord
from tests import command, data


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("embeddings")
    ids, _, models = data.embeddings(15)
    data.write(folder, ids, models)
    return folder


def config(inputs, output="unused", **sections):
    members = {"base": f"{inputs}/base", "committee": [f"{inputs}/one", f"{inputs}/two"]}
    return load_config({"input": members, "output": str(output), "knn": {"k": 5}, **sections})


@pytest.fixture(scope="module")
def measured(spark, inputs, tmp_path_factory):
    """Outputs of an exact and of an approximate run."""
    folder = tmp_path_factory.mktemp("runs")
    cluster(config(inputs, folder / "exact"), spark=spark)
    few_cells = {"k": 5, "exact_below": 0, "recall_target": 0.5}
    cluster(config(inputs, folder / "cells", knn=few_cells), spark=spark)
    return [str(folder / "exact"), str(folder / "cells")]


def test_the_input_is_counted_and_small_inputs_are_searched_exactly(spark, inputs, measured):
    (found,) = plan(config(inputs), spark=spark, workers=2, measured=measured)
    assert found.items == len(data.embeddings(15)[0])
    assert found.models == {"base": 12, "one": 16, "two": 20}
    assert {"exact knn", "forest", "clusters"} <= set(found.stages)
    assert not {"lists", "truth", "scored_pairs, mediator"} & set(found.stages)


def test_larger_inputs_cost_more_and_more_workers_take_less_time(spark, inputs, measured):
    sizes = [10**5, 10**6, 10**9]
    small, large, huge = plan(config(inputs), spark=spark, items=sizes, workers=2, measured=measured)
    assert {"lists", "truth", "pilot"} <= set(small.stages)
    assert small.seconds < large.seconds < huge.seconds
    (quicker,) = plan(config(inputs), spark=spark, items=[10**6], workers=16, measured=measured)
    assert quicker.stages["lists"].seconds < large.stages["lists"].seconds / 2
    assert "an extrapolation" in huge.sure


def test_the_whole_of_a_measured_run_is_found_again(spark, inputs, measured):
    record = json.loads(Path(measured[0], "run.json").read_text())
    (found,) = plan(config(inputs), spark=spark, workers=record["cores"], measured=measured[:1])
    stored = sum(stage["written_bytes"] for stage in record["stages"])
    assert sum(cost.written_bytes for cost in found.stages.values()) == pytest.approx(stored, rel=0.05)
    assert 0.2 < found.seconds / record["seconds"] < 5  # the speed of the machine is measured twice


def test_refusals(spark, inputs, measured, tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="--items must be 1 or more"):
        plan(config(inputs), spark=spark, items=[0], measured=measured)
    with pytest.raises(InputError, match="needs the output of a finished run"):
        plan(config(inputs), spark=spark, measured=[str(tmp_path)])
    strange = load_config({"input": {"base": f"{inputs}/base", "embedding_column": "vector"}, "output": "unused"})
    with pytest.raises(InputError, match="model base: no column vector; it has id: bigint, embedding: array<float>"):
        plan(strange, spark=spark, measured=measured)
    monkeypatch.setattr(task, "_REFERENCES", dict.fromkeys(("sail", "spark"), tmp_path / "none.json"))
    with pytest.raises(ConfigError, match="pass their outputs with --measured"):
        plan(config(inputs), spark=spark)


def test_as_a_user_types_it(inputs, measured):
    words = ["plan", "--base", f"{inputs}/base", "--items", "1e6", "1e7", "--workers", "8", "--measured", *measured]
    shown = command.run(*words)
    assert shown.returncode == 0, shown.stderr
    assert "1,000,000 items, 1 models: base (12); 8 workers at once" in shown.stdout
    assert "pairs are scored by the mediator that ships, without labels" in shown.stdout
    assert "worker MiB" in shown.stdout
    plans = json.loads(command.run(*words, "--json").stdout)["plans"]
    assert [each["items"] for each in plans] == [10**6, 10**7]
    assert all(each["way"].endswith("clusters.rule learned") for each in plans)
    assert command.run("plan", "--base", f"{inputs}/base", "--items", "many").returncode == 2


@pytest.fixture
def as_measured(monkeypatch):
    monkeypatch.setattr(task, "machine_speed", lambda: 100.0)


def test_figures_come_with_the_package(spark, inputs, as_measured):
    for engine in ("sail", "spark"):
        assert {run.way for run in task.reference(engine)} >= {"vote", "without labels"}
    small, large, mediated = (
        plan(config(inputs, consensus=consensus, clusters={"rule": "code"}), spark=spark, items=[items], workers=2)[0]
        for items, consensus in ((10**6, {}), (10**8, {}), (10**6, {"strategy": "mediator", "mediator": "unused"}))
    )
    assert 0 < small.seconds < mediated.seconds < large.seconds
    assert {"blocks", "members"} <= set(mediated.stages) - set(small.stages)
    assert "merged lists" in set(large.stages) - set(small.stages)
    assert "an extrapolation" not in small.sure
    assert "an extrapolation" in large.sure


WAYS = {
    "vote": ({"accept": 1}, {}),
    "mediator": ({"strategy": "mediator", "mediator": "unused"}, {"rule": "learned"}),
    "without labels": ({}, {}),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("members", [("one", "two"), ()], ids=["committee", "single model"])
@pytest.mark.parametrize("engine", ["sail", "spark"])
def test_no_stage_of_any_way_is_left_out(spark, inputs, as_measured, monkeypatch, engine, members, way):
    monkeypatch.setattr(task, "engine_of", lambda spark: SimpleNamespace(name=engine))
    consensus, clusters = WAYS[way]
    consensus = consensus | ({"accept": 0} if way == "vote" else {})
    given = {"base": f"{inputs}/base", "committee": [f"{inputs}/{name}" for name in members]}
    wanted = load_config({"input": given, "output": "unused", "consensus": consensus, "clusters": clusters})
    small, large = plan(wanted, spark=spark, items=[20_000, 200_000], workers=2)
    assert "left out" not in small.sure
    assert "left out" not in large.sure
    assert 0 < small.seconds < large.seconds


def test_the_way_that_auto_means_is_planned_and_named(spark, inputs, as_measured):
    (found,) = plan(config(inputs), spark=spark, items=[10**5], workers=2)
    assert found.way.startswith("by the mediator that ships, without labels: no mediator, threshold")
    assert found.way.endswith("clusters.rule learned")
    assert {"first look", "agreement", "taught", "pieces", "labelled, agglomerated"} <= set(found.stages)
    (voted,) = plan(config(inputs, consensus={"accept": 1}), spark=spark, items=[10**5], workers=2)
    assert voted.way == "by vote: consensus.accept was given; clusters.rule code"
    assert not {"first look", "pieces"} & set(voted.stages)


def test_a_single_model_is_searched_by_halves_of_its_coordinates(spark, inputs, as_measured):
    given = load_config({"input": {"base": f"{inputs}/base"}, "output": "unused"})
    (one,) = plan(given, spark=spark, items=[10**5], workers=2)
    (several,) = plan(config(inputs), spark=spark, items=[10**5], workers=2)
    assert one.stages["search of halves"].seconds > one.stages["lists"].seconds
    assert "search of halves" not in several.stages
    assert 0 < several.more_seconds < several.seconds
    assert not one.more_seconds


@pytest.fixture(scope="module")
def without_labels(spark, inputs, tmp_path_factory):
    output = tmp_path_factory.mktemp("without labels")
    cluster(config(inputs, output), spark=spark)
    return output


def test_all_that_a_run_without_labels_made_is_planned(spark, inputs, without_labels):
    record = ClusterRecord.model_validate_json((without_labels / "run.json").read_text())
    (found,) = plan(config(inputs), spark=spark, workers=record.cores, measured=[str(without_labels)])
    taken = measured_run(record).stages
    assert set(found.stages) == set(taken)
    assert sum(cost.written_bytes for cost in found.stages.values()) == pytest.approx(
        sum(stage.written_bytes for stage in record.stages), rel=0.05
    )
