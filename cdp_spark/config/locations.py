"""Paths in a config: absolute when the config is made; and the names of models, from where their files lie."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import PurePosixPath

from cdp_spark.base.errors import ConfigError
from cdp_spark.files.paths import absolute


def here(path: str | None) -> str | None:
    """Make a path of a config absolute; a validator of fields.

    Raises
    ------
    ValueError
        As :func:`cdp_spark.files.paths.absolute`, in the way that pydantic takes it.
    """
    try:
        return None if path is None else absolute(path)
    except ConfigError as error:
        raise ValueError(str(error)) from None


def short_name(place: str) -> str:
    """Return a model's name where nothing else has it: what stands before the first dot.

    >>> short_name("/data/arcface.r50.parquet"), short_name("s3://lake/v3/")
    ('arcface', 'v3')
    """
    name = PurePosixPath(place).name
    return name.split(".")[0] or name.lstrip(".").split(".")[0]


def _stem(place: str) -> str:
    return PurePosixPath(place).name.removesuffix(".parquet").lstrip(".")


def _parent(place: str) -> str:
    return PurePosixPath(place).parent.name


def _both(place: str) -> str:
    return f"{_parent(place)}-{_stem(place)}"


def _all(place: str) -> str:
    return f"{PurePosixPath(place).parent.parent.name}-{_both(place)}"


_WAYS: tuple[Callable[[str], str], ...] = (_stem, _parent, _both, _all)


def told_apart(names: Sequence[str], places: Sequence[str | None]) -> list[str]:
    """Name models so that no two have one name, by more of their paths where the file's stem is not enough.

    Parameters
    ----------
    names : sequence of str
    places : sequence of (str or None)
        Path of each whose name was not given; None where it was.

    Returns
    -------
    list of str
        The same names where they differ, or where nothing tells them apart.

    Examples
    --------
    >>> told_apart(["embeddings", "embeddings"], ["v3/embeddings.parquet", "casia/embeddings.parquet"])
    ['v3', 'casia']
    >>> told_apart(["arcface", "arcface", "v2"], ["arcface.r50.parquet", "arcface.r100.parquet", "v2.parquet"])
    ['arcface.r50', 'arcface.r100', 'v2']
    """
    for way in _WAYS:
        found = [
            way(place) if place is not None and names.count(name) > 1 else name
            for name, place in zip(names, places, strict=True)
        ]
        if len(set(found)) == len(found) and all(found):
            return found
    return list(names)
