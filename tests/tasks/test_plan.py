"""What a run will take: read off the input and the config, from the package's figures or from one's own runs."""

import json

import pytest

from cdp_spark.base.config import load_config
from cdp_spark.base.errors import ConfigError, InputError
from cdp_spark.tasks.cluster import cluster
from cdp_spark.tasks.plan import plan, reference
from tests import command, data


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("embeddings")
    ids, _, models = data.embeddings(15)
    data.write(folder, ids, models)
    return folder


def config(inputs, output="unused", **parts):
    members = {"base": f"{inputs}/base", "committee": [f"{inputs}/one", f"{inputs}/two"]}
    return load_config({"input": members, "output": str(output), "knn": {"k": 5}, **parts})


def test_the_input_is_counted_and_small_inputs_are_searched_exactly(spark, inputs):
    (found,) = plan(config(inputs), spark=spark, workers=2)
    assert found.items == len(data.embeddings(15)[0])
    assert found.models == {"base": 12, "one": 16, "two": 20}
    assert {"exact knn", "forest", "clusters"} <= set(found.stages)
    assert not {"lists", "truth", "scored_pairs, mediator"} & set(found.stages)


def test_larger_inputs_cost_more_and_more_workers_take_less_time(spark, inputs):
    small, large, huge = plan(config(inputs), spark=spark, items=[10**5, 10**6, 10**9], workers=2)
    assert {"lists", "truth"} <= set(small.stages)
    assert 4 < large.seconds / small.seconds < 40
    assert "by_shard" in huge.stages or "by_shard" not in reference()[-1].stages
    (quicker,) = plan(config(inputs), spark=spark, items=[10**6], workers=16)
    assert quicker.seconds < large.seconds / 2
    assert "within a factor of 1.5" in large.sure
    assert "an extrapolation" in huge.sure


def test_the_mediator_has_stages_of_its_own(spark, inputs):
    judged = {"strategy": "mediator", "mediator": "somewhere"}
    (found,) = plan(config(inputs, consensus=judged), spark=spark, items=[10**6])
    assert {"blocks", "members", "scored_pairs, mediator"} <= set(found.stages)
    assert "scored_pairs, vote" not in found.stages


def test_own_runs_are_gone_by(spark, inputs, tmp_path):
    record = cluster(config(inputs, tmp_path / "run"), spark=spark).record
    (found,) = plan(config(inputs), spark=spark, workers=record["cores"], measured=[str(tmp_path / "run")])
    assert 0.4 < found.seconds / record["seconds"] < 2.5  # the speed of the machine is measured twice
    stored = sum(stage["written_bytes"] for stage in record["stages"])
    assert sum(cost.written_bytes for cost in found.stages.values()) == pytest.approx(stored, rel=0.05)


def test_refusals(spark, inputs, tmp_path):
    with pytest.raises(ConfigError, match="--items must be 1 or more"):
        plan(config(inputs), spark=spark, items=[0])
    with pytest.raises(InputError, match="no finished run there"):
        plan(config(inputs), spark=spark, measured=[str(tmp_path)])
    strange = load_config({"input": {"base": f"{inputs}/base", "embedding_column": "vector"}, "output": "unused"})
    with pytest.raises(InputError, match="model base: no column vector; there are id, embedding"):
        plan(strange, spark=spark)


def test_as_a_user_types_it(inputs):
    words = ["plan", "--base", f"{inputs}/base", "--items", "1e6", "1e7", "--workers", "8"]
    shown = command.run(*words)
    assert shown.returncode == 0, shown.stderr
    assert "1,000,000 items, 1 models: base (12); 8 workers at once" in shown.stdout
    assert "worker MiB" in shown.stdout
    plans = json.loads(command.run(*words, "--json").stdout)["plans"]
    assert [each["items"] for each in plans] == [10**6, 10**7]
    assert command.run("plan", "--base", f"{inputs}/base", "--items", "many").returncode == 2
