"""Check the form of a value before its range; explain what a key needs and how to write it in YAML.

YAML turns what people write into booleans, numbers, text and lists. Here a boolean is not a number, text is not a
list, and a number is not text: each would reach the run as something else.
"""

from __future__ import annotations

import os
import types
from collections.abc import Mapping
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from cdp_spark.base.plain_numbers import is_grouped


def formed(value: Any, annotation: Any) -> Any:
    """Return a value in the form that pydantic takes, or say what form it must have.

    Parameters
    ----------
    value : object
        The value as YAML, an option or a caller gives it.
    annotation : type
        Type of the key.

    Raises
    ------
    ValueError
    """
    kinds = _kinds(annotation)
    if getattr(value, "shape", None) == ():  # a number or boolean of NumPy
        value = value.item()
    listed = next((kind for kind in kinds if get_origin(kind) is tuple), None)
    if listed is not None and isinstance(value, (list, tuple)):
        return tuple(formed(entry, get_args(listed)[0]) for entry in value)
    shares = next((kind for kind in kinds if get_origin(kind) is dict), None)
    if shares is not None and isinstance(value, Mapping):
        return {key: formed(entry, get_args(shares)[1]) for key, entry in value.items()}
    if isinstance(value, os.PathLike) and str in kinds:
        return os.fspath(value)
    if value is None or isinstance(value, (bool, int, float, str, list, tuple, dict)):
        return _plain(value, kinds)
    return value


def _plain(value: Any, kinds: list[Any]) -> Any:
    words = [word for kind in kinds if get_origin(kind) is Literal for word in get_args(kind)]
    section = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
    numbers = {int, float} & set(kinds)
    if isinstance(value, str):
        if numbers and is_grouped(value):
            return int(value)
        fits = value in words or str in kinds or getattr(section, "from_text", False)
        fits = fits or (bool in kinds and value.lower() in _BOOLEANS) or bool(words and not numbers)
    elif isinstance(value, (bool, type(None))):
        fits = type(value) in kinds
    elif isinstance(value, dict):
        fits = section is not None
    else:
        fits = not isinstance(value, (list, tuple)) and (float in numbers or (int in numbers and value == int(value)))
    if not fits:
        raise ValueError(_needed(kinds, words, section))
    return value


_BOOLEANS = ("true", "false", "yes", "no", "on", "off")


def _needed(kinds: list[Any], words: list[Any], section: Any) -> str:
    or_words = "".join(f", or {word!r}" for word in words)
    if float in kinds:
        return f"must be a number with a point and without quotes, such as 0.5{or_words}"
    if int in kinds:
        return f"must be a whole number without quotes or leading zeros, such as 15{or_words}"
    if bool in kinds:
        return "must be true or false"
    if any(get_origin(kind) is tuple for kind in kinds):
        return "must be a list, such as [a, b]"
    if section is not None:
        or_text = "a path or a name, or " if getattr(section, "from_text", False) else ""
        return f"must be {or_text}a mapping with keys such as {', '.join(list(section.model_fields)[:3])}"
    if any(get_origin(kind) is dict for kind in kinds):
        return "must be a mapping of names to numbers, such as {validation: 0.1}"
    if words:
        return f"must be one of {', '.join(map(str, words))}"
    return "must be text: put it in quotes"


def _kinds(annotation: Any) -> list[Any]:
    """Return the members of a union, or the one type."""
    if get_origin(annotation) in (Union, types.UnionType):
        return [kind for member in get_args(annotation) for kind in _kinds(member)]
    return [annotation]
