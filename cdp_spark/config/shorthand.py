"""Options and YAML -> config. Options are a shorthand for keys of the config file, and override it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cdp_spark.base.errors import ConfigError, nearest
from cdp_spark.base.plain_numbers import real_number
from cdp_spark.config.loading import Whole, load_config, load_config_of
from cdp_spark.config.sections import ClustersConfig, ConsensusConfig, ForestConfig, KnnConfig, MediatorConfig, Section
from cdp_spark.config.whole import RunConfig
from cdp_spark.config.yaml_text import local_text, parsed
from cdp_spark.files.paths import is_local

_SECTIONS: dict[str, type[Section]] = {
    "knn": KnnConfig,
    "consensus": ConsensusConfig,
    "forest": ForestConfig,
    "clusters": ClustersConfig,
}

MOST_THRESHOLDS = 1_000
"""Largest number of thresholds in one sweep."""

_KEYS = {
    "output": "output", "previous": "previous", "k": "knn.k", "threshold": "consensus.threshold",
    "accept": "consensus.accept", "mediator": "consensus.mediator",
}  # fmt: skip
"""Config keys of the short options; keys of the section ``input`` keep their names."""

_PATH_SECTIONS = ("base", "labels", "images")
"""Sections that a path alone can stand for."""


def clusters_settings(settings: Sequence[str]) -> dict[str, Any]:
    """Read ``key=value`` of the section ``clusters``, with or without its name before the key.

    >>> clusters_settings(["clusters.rule=paper", "max_cluster_size=20"])
    {'rule': 'paper', 'max_cluster_size': 20}
    """
    values: dict[str, Any] = {}
    for setting in settings:
        key, value = _setting(setting)
        name = key.removeprefix("clusters.")
        if name not in ClustersConfig.model_fields:
            raise ConfigError(f"--set {setting}: no such setting{nearest(name, ClustersConfig.model_fields)}")
        values[name] = value
    return values


def simulated_seed(settings: Sequence[str]) -> int:
    """Read the only setting of a training on simulated sets.

    >>> simulated_seed(["mediator.seed=3"]), simulated_seed([])
    (3, 0)
    """
    given: dict[str, Any] = {}
    for setting in settings:
        key, value = _setting(setting)
        if key != "mediator.seed":
            raise ConfigError(f"--set {setting}: --simulated takes no setting but mediator.seed")
        _put(given, key, value)
    return load_config_of(_Simulated, given).mediator.seed


class _Simulated(Section):
    mediator: MediatorConfig = MediatorConfig()


def config_of_file(
    kind: type[Whole],
    path: str | None,
    settings: Sequence[str] = (),
    *,
    from_afar: Callable[[str], str] | None = None,
    **shorthand: Any,
) -> Whole:
    """Make the config of a command.

    Parameters
    ----------
    kind : type
        ``RunConfig`` or ``TrainConfig``.
    path : str, optional
        YAML file: a local path, or a URI such as ``s3a://lake/cdp.yaml``.
    settings : sequence of str
        ``dotted.key=value``, the value in YAML.
    from_afar : callable, optional
        Reads the text that a URI names.
    **shorthand
        ``base``, ``committee``, ``output``, ``labels``, ``images``, ``previous``, ``k``, ``threshold``, ``accept``,
        ``mediator``; None where not given.

    Raises
    ------
    ConfigError
    """
    settings_given = {} if path is None else _read(path, from_afar)
    for key, value in shorthand.items():
        if value is not None:
            _put(settings_given, _KEYS.get(key, f"input.{key}"), value)
    for setting in settings:
        _put(settings_given, *_setting(setting))
    for needed, how in (("input", "--base PATH"), ("output", "--output FOLDER")):
        if needed not in settings_given:
            raise ConfigError(f"no {needed}: give {how}, or a config file with --config")
    return load_config_of(kind, settings_given)


def numbers(text: str, option: str) -> list[float]:
    """Read the numbers of an option: ``first:last:step``, both ends included, or a list with commas.

    >>> numbers("0.5:0.7:0.1", "--thresholds"), numbers("-0.5,0.62", "--granularity")
    ([0.5, 0.6, 0.7], [-0.5, 0.62])
    """
    try:
        if ":" not in text:
            return [real_number(number.strip()) for number in text.split(",")]
        first, last, step = (real_number(number.strip()) for number in text.split(":"))
    except ValueError:
        raise ConfigError(f"{option} {text}: write first:last:step or a list, such as 0.5:0.95:0.05") from None
    steps = (last - first) / step if step else -1.0
    if not 0 <= steps < MOST_THRESHOLDS:  # counted before they are made
        count = "none" if steps < 0 else "too many" if steps == float("inf") else f"about {steps:,.0f}"
        raise ConfigError(
            f"{option} {text}: give 1 to {MOST_THRESHOLDS:,} values, such as 0.5:0.95:0.05; there are {count}"
        )
    return [round(first + step_number * step, 12) for step_number in range(int(steps + 1e-9) + 1)]


def config_of_tables(models: Sequence[str], output: str, settings: Mapping[str, Any]) -> RunConfig:
    """Make the config of a call with DataFrames of these models, the base's first.

    ``settings`` are sections, or keys by their last name.
    """
    base, *committee = ({"name": name, "table": name} for name in models)
    nested: dict[str, Any] = {"input": {"base": base, "committee": committee}, "output": output}
    owner = {key: section for section, model in _SECTIONS.items() for key in model.model_fields}
    for key, value in settings.items():
        if key in _SECTIONS or key == "input":
            nested.setdefault(key, {}).update(value)
        elif key in owner:
            nested.setdefault(owner[key], {})[key] = value
        else:
            raise ConfigError(f"unknown setting {key}{nearest(key, owner)}")
    return load_config(nested)


def _setting(setting: str) -> tuple[str, Any]:
    key, sign, value = setting.partition("=")
    if not sign:
        raise ConfigError(f"--set {setting}: write it as dotted.key=value, such as consensus.threshold=0.6")
    return key.strip(), parsed(value, f"--set {setting}")


def _read(path: str, from_afar: Callable[[str], str] | None) -> dict[str, Any]:
    text = from_afar(path) if from_afar is not None and not is_local(path) else local_text(path)
    document = parsed(text, f"config {path}")
    if not isinstance(document, dict):
        raise ConfigError(f"config {path}: it must be a mapping with `input:` and `output:`")
    return document


def _put(settings: dict[str, Any], key: str, value: Any) -> None:
    """Set one value, also in a section that a path stands for, and in a source of the committee by its number.

    >>> settings = {"input": {"base": "a/v3.parquet", "committee": ["b/v3.parquet"]}}
    >>> _put(settings, "input.committee.0.name", "b")
    >>> settings["input"]["committee"]
    [{'path': 'b/v3.parquet', 'name': 'b'}]
    """
    *parents, last = key.split(".")
    node: Any = settings
    for parent in parents:
        node = _inside(node, parent, key)
    if isinstance(node, list):
        raise ConfigError(f"{key}: name what to set of it, such as {key}.name")
    node[last] = value


def _inside(node: Any, name: str, key: str) -> Any:
    of_list = isinstance(node, list)
    if of_list and not (name.isdecimal() and int(name) < len(node)):
        raise ConfigError(f"{key}: there is no {name}: the list has {len(node)}, counted from 0")
    at: Any = int(name) if of_list else name
    child = node[at] if of_list else node.setdefault(name, {})
    if isinstance(child, str) and (of_list or name in _PATH_SECTIONS):
        child = node[at] = {"path": child}
    if not isinstance(child, (dict, list)):
        raise ConfigError(f"{key}: {name} is not a section of the config")
    return child
