"""The page of all settings, generated from the config classes."""

from __future__ import annotations

import json
import typing
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from cdp_spark.config.input_sections import ImagesConfig, LabelsConfig, SourceConfig
from cdp_spark.config.sections import PublishConfig
from cdp_spark.config.whole import RunConfig, TrainConfig

_SHARED = {
    SourceConfig: ("Source", "a source, or its path"),
    LabelsConfig: ("Labels", "labels, or their path"),
    ImagesConfig: ("Images", "images, or their path"),
    PublishConfig: ("Publish", "a table to publish to, or its name"),
}
"""Sections described once: the title, and the text that stands for the section elsewhere."""


def reference() -> str:
    """Return the page in Markdown."""
    lines = [
        "# Settings", "",
        "These are all keys of `cdp.yaml` and of `--set KEY=VALUE`. An unknown key is refused, with the nearest known "
        "key. The output's `config.yaml` records all values.", "",
    ]  # fmt: skip
    lines += ["## A run (`cdp-spark cluster`)", "", *_sections(RunConfig, ""), "## Training (`cdp-spark train`)", ""]
    lines += ["`input`, `knn` and `clusters` are as above; `input.labels` is required.", ""]
    lines += _table("mediator", TrainConfig.model_fields["mediator"].annotation)
    lines += ["## Sections within others", ""]
    for part, (title, _) in _SHARED.items():
        lines += _table(title, part, note=_first_line(part))
    return "\n".join(lines)


def _sections(kind: type[BaseModel], prefix: str) -> list[str]:
    lines, plain = [], []
    for name, field in kind.model_fields.items():
        if _is_part(field.annotation) and field.annotation not in _SHARED:
            lines += _table(f"{prefix}{name}", field.annotation, note=_first_line(field.annotation))
        else:
            plain.append(name)
    return [*_rows(kind, plain), "", *lines] if plain else lines


def _table(title: str, kind: Any, note: str = "") -> list[str]:
    return [f"### {title}", "", *([note, ""] if note else []), *_rows(kind, list(kind.model_fields)), ""]


def _rows(kind: type[BaseModel], names: list[str]) -> list[str]:
    lines = ["| key | values | default | |", "|---|---|---|---|"]
    for name in names:
        field = kind.model_fields[name]
        values = _values(field.annotation, field.metadata)
        lines.append(f"| `{name}` | {values} | {_default(field)} | {field.description or ''} |")
    return lines


def _values(annotation: Any, bounds: list[Any]) -> str:
    origin = typing.get_origin(annotation)
    if origin is typing.Literal:
        return ", ".join(f"`{value}`" for value in typing.get_args(annotation))
    if origin is not None and type(None) in typing.get_args(annotation):
        return " or ".join(_values(of, bounds) for of in typing.get_args(annotation) if of is not type(None))
    if origin is not None and origin is not tuple:
        return " or ".join(_values(of, []) for of in typing.get_args(annotation))
    said = [
        f"{sign} {getattr(bound, name)}" for bound in bounds for name, sign in _SIGNS.items() if hasattr(bound, name)
    ]
    return " ".join([_name(annotation), *([f"({', '.join(said)})"] if said else [])])


_PLURALS = {str: "texts", int: "whole numbers", float: "numbers"}
_SIGNS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}


def _name(annotation: Any) -> str:
    if typing.get_origin(annotation) is tuple:
        of = typing.get_args(annotation)[0]
        return "list of sources" if _is_part(of) else f"list of {_PLURALS.get(of, _name(of))}"
    if _is_part(annotation):
        return _SHARED[annotation][1]
    return {"str": "text", "int": "whole number", "float": "number", "bool": "`true`, `false`"}.get(
        getattr(annotation, "__name__", ""), str(annotation)
    )


def _is_part(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _default(field: Any) -> str:
    if field.default is PydanticUndefined:
        return "required"
    if field.default in (None, ()):
        return "none"
    if isinstance(field.default, (bool, tuple)):
        return f"`{json.dumps(field.default)}`"
    return f"`{field.default}`" if field.default != "" else ""


def _first_line(kind: type[BaseModel]) -> str:
    return (kind.__doc__ or "").splitlines()[0]
