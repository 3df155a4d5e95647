"""Nested settings -> a config, or one line that names the first wrong key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from cdp_spark.base.errors import ConfigError, nearest, shortened
from cdp_spark.config.input_sections import ImagesConfig, LabelsConfig, SourceConfig
from cdp_spark.config.sections import PublishConfig, Section
from cdp_spark.config.whole import RunConfig

Whole = TypeVar("Whole", bound=Section)


def load_config(settings: Mapping[str, Any]) -> RunConfig:
    """Make the config of a run from nested settings; see :func:`load_config_of`."""
    return load_config_of(RunConfig, settings)


def load_config_of(kind: type[Whole], settings: Mapping[str, Any] | Section | str) -> Whole:
    """Make the config of a command, or a section of one, from nested settings or from the path that stands for them.

    Raises
    ------
    ConfigError
        One line naming the first wrong key; unknown keys with the nearest known one.
    """
    try:
        return kind.model_validate(settings if isinstance(settings, (Section, str)) else dict(settings))
    except ValidationError as error:
        raise ConfigError(_one_line(error, kind)) from None


def _one_line(error: ValidationError, kind: type[Section]) -> str:
    first = error.errors(include_url=False)[0]
    where = ".".join(str(step) for step in first["loc"])
    if first["type"] == "extra_forbidden":
        known = _known_keys(kind, [str(step) for step in first["loc"][:-1]])
        return f"config: unknown key {where}{nearest(str(first['loc'][-1]), known)}"
    message = first["msg"].removeprefix("Value error, ")
    needed = f"config: {where}: {message}" if where else f"config: {message}"
    given = first.get("input")
    if isinstance(given, (dict, BaseModel)):
        return needed
    return f"{needed}; it is empty" if given is None else f"{needed}; found {shortened(repr(given))}"


_BY_NAME = {
    "base": SourceConfig,
    "committee": SourceConfig,
    "labels": LabelsConfig,
    "images": ImagesConfig,
    "publish": PublishConfig,
}
"""Sections whose field's annotation is not the section's own class."""


def _known_keys(kind: type[Section], path: list[str]) -> list[str]:
    section: Any = kind
    for step in path:
        field = getattr(section, "model_fields", {}).get(step)
        if field is None:
            break
        section = _BY_NAME.get(step, field.annotation)
    return list(getattr(section, "model_fields", {}))
