"""Text of YAML -> plain values, without the forms that YAML reads otherwise than people write them.

``yes`` and ``off`` stay text, and so do ``014`` (12 in YAML), ``12:30`` (750), ``1_0`` and ``2024-01-01``: a key that
needs a number refuses them, and a key that needs text takes them as they are. What stays a number is one in every
version of YAML, so that a config that was written is read as it was.
"""

from __future__ import annotations

import re
from collections import deque
from pathlib import Path
from typing import Any, ClassVar

import yaml

from cdp_spark.base.errors import ConfigError, shortened
from cdp_spark.files.paths import absolute, local_path

_MERGE = "tag:yaml.org,2002:merge"


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """Resolves null, true and false, plain numbers and merges; all else is text."""

    yaml_implicit_resolvers: ClassVar[dict[str, list[tuple[str, re.Pattern[str]]]]] = {}

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Let a mapping's own keys override merged ones; PyYAML 6.0.4 takes the oldest of a chain of merges."""
        own = [pair for pair in node.value if pair[0].tag != _MERGE]
        merged: dict[Any, tuple[yaml.Node, yaml.Node]] = {}
        for key, source in node.value:
            if key.tag != _MERGE:
                continue
            for each in source.value if isinstance(source, yaml.SequenceNode) else [source]:
                if not isinstance(each, yaml.MappingNode):
                    raise yaml.constructor.ConstructorError(problem="<<: needs a mapping", problem_mark=key.start_mark)
                self.flatten_mapping(each)
                for pair in each.value:
                    merged.setdefault(_name(pair[0]), pair)  # of several sources the first wins
        known = {_name(key) for key, _ in own}
        node.value = [*(pair for name, pair in merged.items() if name not in known), *own]


for _kind, _pattern, _first in (
    (_MERGE, r"<<", "<"),
    ("tag:yaml.org,2002:null", r"~|null|Null|NULL|", "~nN"),
    ("tag:yaml.org,2002:bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("tag:yaml.org,2002:int", r"[-+]?(0|[1-9][0-9]*)", "-+0123456789"),
    (
        "tag:yaml.org,2002:float",
        r"[-+]?((0|[1-9][0-9]*)\.[0-9]*|\.[0-9]+)([eE][-+][0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
):
    _Loader.add_implicit_resolver(_kind, re.compile(f"^(?:{_pattern})$"), [*_first, *([""] if "null" in _kind else [])])


def parsed(text: str, where: str) -> Any:
    """Read one document.

    Parameters
    ----------
    text : str
    where : str
        How messages name it, such as ``config cdp.yaml``.

    Raises
    ------
    ConfigError
        If it is not plain YAML, not UTF-8, or a key is given twice in one mapping.
    """
    if "\0" in text or "\ufffd" in text:  # UTF-16, or what a lenient reader has made of another encoding
        raise ConfigError(f"{where}: it is not UTF-8: write it as UTF-8")
    try:
        return _document(text, where)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        position = f" at line {mark.line + 1}" if mark else ""
        why = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise ConfigError(f"{where}: not plain YAML{position}: {why}") from None
    except ConfigError:
        raise
    except Exception as error:  # what the loader meets in values such as `!!timestamp x` or `!!float _`
        why = "nested too deeply" if isinstance(error, RecursionError) else shortened(f"{error}")
        raise ConfigError(f"{where}: not plain YAML: {why}") from None


def _document(text: str, where: str) -> Any:
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _check_keys(node, where)
        return loader.construct_document(node)
    finally:
        loader.dispose()


def local_text(path: str) -> str:
    """Read a local file of text.

    Raises
    ------
    ConfigError
        If it cannot be read, or is not UTF-8.
    """
    try:
        return Path(local_path(absolute(path))).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"config {path}: {error.strerror or error}: check the path") from None
    except UnicodeDecodeError:
        raise ConfigError(f"config {path}: it is not UTF-8: write it as UTF-8") from None
    except ValueError as error:  # a NUL in the path
        raise ConfigError(f"config {path}: {error}: check the path") from None


def _name(key: yaml.Node) -> Any:
    return (key.tag, key.value) if isinstance(key, yaml.ScalarNode) else id(key)


def _check_keys(root: yaml.Node, where: str) -> None:
    """Refuse a key that one mapping has twice, at any depth."""
    waiting: deque[tuple[yaml.Node, str]] = deque([(root, "")])
    seen: set[int] = set()  # an alias names a node again
    while waiting:
        node, path = waiting.popleft()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting += [(entry, path) for entry in node.value]
        if isinstance(node, yaml.MappingNode):
            _check_once([key for key, _ in node.value], path, where)
            waiting += [(value, f"{path}{key.value}.") for key, value in node.value]


def _check_once(keys: list[yaml.Node], path: str, where: str) -> None:
    first: dict[Any, yaml.Node] = {}
    for key in keys:
        if not isinstance(key, yaml.ScalarNode) or key.tag == _MERGE:
            continue
        earlier = first.setdefault(_name(key), key)
        if earlier is not key:
            lines = f"lines {earlier.start_mark.line + 1} and {key.start_mark.line + 1}"
            raise ConfigError(f"{where}: {path}{key.value} is given twice ({lines}): keep one of them")
