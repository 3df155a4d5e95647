import pytest

from cdp_spark.base.errors import ConfigError
from cdp_spark.config.input_sections import ImagesConfig, LabelsConfig
from cdp_spark.config.loading import load_config, load_config_of
from cdp_spark.config.shorthand import config_of_file, config_of_tables
from cdp_spark.config.uses import DenoiseConfig, ExportConfig
from cdp_spark.config.whole import RunConfig, TrainConfig


def models(base: str, *committee: str) -> list[str]:
    return load_config({"input": {"base": base, "committee": list(committee)}, "output": "run"}).input.models


def test_models_are_named_by_as_much_of_their_paths_as_tells_them_apart():
    assert models("lfw/v3.parquet", "lfw/casia.x.parquet") == ["v3", "casia"]
    assert models("v3/embeddings.parquet", "casia/embeddings.parquet") == ["v3", "casia"]
    assert models("arcface.r50.parquet", "arcface.r100.parquet", "v2.parquet") == ["arcface.r50", "arcface.r100", "v2"]
    assert models("a/x.1.parquet", "b/x.1.parquet") == ["a", "b"]
    assert models("a/out/x.parquet", "b/out/x.parquet", "b/out/y.parquet") == ["a-out-x", "b-out-x", "y"]
    assert models("s3://lake/v3/emb/", "s3://lake/v2/emb") == ["v3", "v2"]


def test_names_that_were_given_stay():
    given = [{"name": "v3", "path": "a/x.parquet"}, {"path": "b/v3.parquet"}]
    config = load_config({"input": {"base": given[0], "committee": given[1:]}, "output": "run"})
    assert config.input.models == ["v3", "b"]


def test_one_file_twice_is_refused_with_the_way_out():
    with pytest.raises(ConfigError, match=r"two models are named v3: .*--set input\.committee\.0\.name=NAME"):
        models("v3.parquet", "v3.parquet")
    settings = ["input.base.name=first", "input.committee.0.name=second"]
    config = config_of_file(RunConfig, None, settings, base="v3.parquet", committee=["v3.parquet"], output="run")
    assert config.input.models == ["first", "second"]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("input.committee.1.name=x", "there is no 1: the list has 1, counted from 0"),
        ("input.committee.0=x", r"name what to set of it, such as input\.committee\.0\.name"),
        ("knn.k.x=1", "k is not a section of the config"),
    ],
)
def test_settings_of_a_list_are_named_by_number(setting, message):
    with pytest.raises(ConfigError, match=message):
        config_of_file(RunConfig, None, ["knn.k=3", setting], base="v3.parquet", committee=["b.parquet"], output="run")


def test_all_paths_of_a_config_are_absolute_when_it_is_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    given = {"base": "v3.parquet", "committee": ["~/v2.parquet"], "labels": "l.parquet", "images": "img/{id}.jpg"}
    config = load_config({"input": given, "output": "~/run", "previous": "old", "consensus": {"mediator": "m"}})
    paths = [source.path for source in config.input.sources]
    assert paths == [f"{tmp_path}/v3.parquet", "/home/me/v2.parquet"]
    assert (config.output, config.previous, config.consensus.mediator) == (
        "/home/me/run",
        f"{tmp_path}/old",
        f"{tmp_path}/m",
    )
    assert (config.input.labels.path, config.input.images.path) == (
        f"{tmp_path}/l.parquet",
        f"{tmp_path}/img/{{id}}.jpg",
    )
    train = load_config_of(TrainConfig, {"input": given, "output": "m"})
    export = load_config_of(ExportConfig, {"run": "run", "output": "~/out", "images": "img/{id}.jpg"})
    assert (train.output, export.run, export.output) == (f"{tmp_path}/m", f"{tmp_path}/run", "/home/me/out")
    assert export.images.path == "img/{id}.jpg"  # the lists of an export may be for another machine
    assert load_config_of(ImagesConfig, "~/{id}.jpg").path == "/home/me/{id}.jpg"


@pytest.mark.parametrize(
    ("kind", "settings", "key"),
    [
        (RunConfig, {"input": {"base": ""}, "output": "run"}, "input.base.path"),
        (RunConfig, {"input": {"base": "a", "committee": ["b", " "]}, "output": "run"}, "input.committee.1.path"),
        (RunConfig, {"input": {"base": "a", "labels": ""}, "output": "run"}, "input.labels.path"),
        (RunConfig, {"input": {"base": "a", "images": ""}, "output": "run"}, "input.images.path"),
        (RunConfig, {"input": {"base": "a"}, "output": ""}, "output"),
        (RunConfig, {"input": {"base": "a"}, "output": "run", "previous": ""}, "previous"),
        (DenoiseConfig, {"run": "", "output": "out"}, "run"),
    ],
)
def test_an_empty_path_is_refused_by_its_key(kind, settings, key):
    with pytest.raises(ConfigError, match=rf"config: {key}: an empty path: name a file or folder"):
        load_config_of(kind, settings)


def test_python_calls_refuse_empty_paths():
    with pytest.raises(ConfigError, match="output: an empty path"):
        config_of_tables(["v3"], "", {})
    with pytest.raises(ConfigError, match="path: an empty path"):
        load_config_of(LabelsConfig, "")
