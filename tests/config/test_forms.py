"""The form of each key's value: what else YAML may make of it is refused in one line that says how to write it."""

import pathlib

import numpy as np
import pytest

from cdp_spark.base.errors import ConfigError
from cdp_spark.config.loading import load_config, load_config_of
from cdp_spark.config.uses import ExportConfig
from cdp_spark.config.whole import TrainConfig

GIVEN = {"input": {"base": "v3.parquet", "committee": ["casia.parquet"], "labels": "labels.parquet"}, "output": "run"}


def with_key(key, value):
    *parents, last = key.split(".")
    settings = {**GIVEN, "input": dict(GIVEN["input"])}
    place = settings
    for parent in parents:
        place = place.setdefault(parent, {})
    place[last] = value
    return settings


NUMBER = "must be a number with a point and without quotes, such as 0.5"
WHOLE = "must be a whole number without quotes or leading zeros, such as 15"


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("consensus.threshold", True, NUMBER), ("consensus.threshold", "yes", NUMBER),
        ("consensus.threshold", "5e-1", NUMBER), ("consensus.threshold", "0.5", f"{NUMBER}, or 'auto'; found '0.5'"),
        ("knn.recall_target", "0.9", NUMBER), ("knn.recall_target", np.True_, NUMBER),
        ("knn.k", True, WHOLE), ("knn.k", "014", WHOLE), ("knn.k", 7.5, WHOLE), ("knn.k", [7], WHOLE),
        ("knn.k", None, f"{WHOLE}; it is empty"), ("knn.k", "12:30", WHOLE), ("knn.k", "٣", WHOLE),
        ("consensus.accept", True, f"{WHOLE}, or 'all'; found True"), ("consensus.accept", "yes", WHOLE),
        ("input.committee", "casia.parquet", r"must be a list, such as \[a, b\]; found 'casia.parquet'"),
        ("input.committee", [True], "must be a path or a name, or a mapping with keys such as name, path, table"),
        ("input.base", ["a"], "must be a path or a name, or a mapping with keys such as name, path, table"),
        ("input.labels", True, "must be a path or a name, or a mapping with keys such as path"),
        ("input", "v3.parquet", "must be a mapping with keys such as base"),
        ("knn", None, "must be a mapping with keys such as k, recall_target, exact_below; it is empty"),
        ("output", 7, "must be text: put it in quotes; found 7"), ("output", None, "must be text"),
        ("mlflow", True, "must be text"), ("clusters.soft_labels", 1, "must be true or false"),
        ("clusters.soft_labels", "perhaps", "must be true or false"), ("clusters.rule", 3, "must be one of auto, code"),
        ("previous", "x" * 1000 + "\n", None), ("knn.k", "x" * 1000, WHOLE),
    ],
)  # fmt: skip
def test_other_forms_are_refused(key, value, said):
    if said is None:
        load_config(with_key(key, value))
        return
    with pytest.raises(ConfigError, match=f"config: {key}: {said}") as refused:
        load_config(with_key(key, value))
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 400


def test_forms_that_mean_the_same_are_taken():
    config = load_config(with_key("clusters.soft_labels", "yes") | {"output": pathlib.Path("a/run")})
    assert (config.clusters.soft_labels, config.output) == (True, str(pathlib.Path.cwd() / "a/run"))
    assert load_config(with_key("forest.task_edges", "50_000")).forest.task_edges == 50_000
    assert load_config(with_key("knn.k", np.int64(7))).knn.k == load_config(with_key("knn.k", 7.0)).knn.k == 7
    assert load_config(with_key("consensus.threshold", np.float32(0.5))).consensus.threshold == 0.5
    assert load_config(with_key("input.committee", ({"path": "a", "name": "b"},))).input.models == ["v3", "b"]


def test_entries_of_lists_and_mappings_have_forms_too():
    with pytest.raises(ConfigError, match=NUMBER):
        load_config_of(ExportConfig, {"run": "a", "output": "b", "splits": {"test": True}})
    for key, value in (("worlds", [0, True]), ("hidden", ["5"])):
        with pytest.raises(ConfigError, match=f"config: mediator.{key}: must be"):
            load_config_of(TrainConfig, with_key(f"mediator.{key}", value))
