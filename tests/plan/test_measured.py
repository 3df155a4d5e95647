"""A finished run's stages get the kinds that the register names."""

import pytest

from cdp_spark.plan.measured import machine_speed, measured_run
from cdp_spark.runs import register
from cdp_spark.runs.run_json import ClusterRecord, StageRecord

ROOMS = {"intake", "knn", "pairs", "scoring", "agglomeration", "clusters", "unlabelled"}
PLANNED = [stage for stage in register.STAGES if stage.room in ROOMS and stage.laws]


def record(names, strategy="mediator", rule="learned", *, without_labels=False):
    return ClusterRecord.model_validate({
        "stages": [{"name": name, "made_seconds": 1.0, "seconds": 1.0, "written_bytes": 8} for name in names],
        "seconds": len(names) + 1.0, "cores": 2, "dimensions": {"a": 8}, "counts": {"items": 100},
        "recall": {"a": {"method": "ivf", "recall": 0.96, "nprobe": 7}},
        "config": {"knn": {"k": 5}, "consensus": {"strategy": strategy}, "clusters": {"rule": rule}},
        "without_labels": {} if without_labels else None,
    })  # fmt: skip


def kinds(*names, **how):
    return set(measured_run(record(names, **how)).stages) - {"all else"}


@pytest.mark.parametrize("stage", PLANNED, ids=lambda stage: f"{stage.room} {stage.name}")
def test_every_planned_stage_is_of_a_kind_of_the_register(stage):
    trained = [{}, {"strategy": "vote", "rule": "code"}]
    ways = [{"without_labels": True}, *trained[:1]] if stage.room == "unlabelled" else trained
    found = [kinds(name, **way) for way in ways for name in (stage.name, stage.of("a"))]
    assert any(kind <= set(stage.laws) for kind in found)
    assert any(found)


def test_searches_are_told_apart_by_how_their_model_is_searched():
    names = ["knn/a", "by_shard/b", "knn/b", "shards/c", "by_shard/c", "knn/c"]
    stages = [
        {"name": name, "made_seconds": 1.0, "seconds": 1.0, "written_bytes": 6, "peak_worker_bytes": 1}
        for name in names
    ]
    record = {
        "dimensions": {"a": 8, "b": 8, "c": 8}, "stages": stages, "facts": [], "seconds": 10.0, "cores": 2,
        "recall": {model: {"method": "exact" if model == "c" else "ivf", "recall": 1.0} for model in "abc"},
        "config": {"knn": {"k": 5}, "consensus": {"strategy": "vote"}, "clusters": {"rule": "code"}},
        "counts": {"items": 100},
    }  # fmt: skip
    seconds = {kind: of["seconds"] for kind, of in measured_run(ClusterRecord.model_validate(record)).stages.items()}
    assert seconds == pytest.approx(
        {"lists": 2 / 3, "merged lists": 1 / 3, "exact shards": 1, "exact knn": 2, "all else": 4}
    )


def test_looks_at_all_pairs_and_at_halves_are_told_apart():
    names = ["first_look/whole", "log_odds/whole", "first_look/halves", "log_odds/coordinates", "agreement/models"]
    found = kinds(*names, without_labels=True)
    assert found == {"first look", "second look", "looks at halves", "agreement"}


def test_halves_of_coordinates_are_a_kind_of_their_own():
    halves = [f"{name}/a-b-half-01" for name in ("twins", "shards", "knn", "background")]
    assert kinds(*halves, without_labels=True) == {"search of halves"}
    assert kinds("knn/a-half", without_labels=True) == {"lists"}


def test_what_a_run_does_twice_is_added_up():
    run = measured_run(record(["forest", "labelled", "forest", "labelled"], without_labels=True))
    assert run.way == "without labels"
    assert run.size.k == 40
    assert run.stages["forest"]["seconds"] == run.stages["labelled, agglomerated"]["seconds"] == 2
    assert run.stages["all else"]["seconds"] == 1


def test_numbers_count_as_well():
    noted = record(["forest"]).model_copy(update={"facts": [StageRecord(name="prior", seconds=2.0, made_seconds=2.0)]})
    assert measured_run(noted).stages["mediator fit"]["seconds"] == 2


def test_the_speed_of_a_machine_is_measured_once():
    assert machine_speed() == machine_speed() > 0
