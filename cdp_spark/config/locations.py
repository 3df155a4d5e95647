"""Make the paths of a config absolute, and name models after their files."""

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


def short_name(path: str) -> str:
    """Return the default name of a model: the file name up to the first dot.

    >>> short_name("/data/arcface.r50.parquet"), short_name("s3://lake/v3/")
    ('arcface', 'v3')
    """
    name = PurePosixPath(path).name
    return name.split(".")[0] or name.lstrip(".").split(".")[0]


def _stem(path: str) -> str:
    return PurePosixPath(path).name.removesuffix(".parquet").lstrip(".")


def _parent(path: str) -> str:
    return PurePosixPath(path).parent.name


def _both(path: str) -> str:
    return f"{_parent(path)}-{_stem(path)}"


def _all(path: str) -> str:
    return f"{PurePosixPath(path).parent.parent.name}-{_both(path)}"


_WAYS: tuple[Callable[[str], str], ...] = (_stem, _parent, _both, _all)


def distinct_names(names: Sequence[str], paths: Sequence[str | None]) -> list[str]:
    """Give every model its own name, with more of its path where the file's stem is not enough.

    Parameters
    ----------
    names : sequence of str
    paths : sequence of (str or None)
        The path of each model without a given name; None for the others.

    Returns
    -------
    list of str
        The same names where they differ already, or where the paths do not help.

    Examples
    --------
    >>> distinct_names(["embeddings", "embeddings"], ["v3/embeddings.parquet", "casia/embeddings.parquet"])
    ['v3', 'casia']
    >>> distinct_names(["arcface", "arcface", "v2"], ["arcface.r50.parquet", "arcface.r100.parquet", "v2.parquet"])
    ['arcface.r50', 'arcface.r100', 'v2']
    """
    for way in _WAYS:
        candidates = [
            way(path) if path is not None and names.count(name) > 1 else name
            for name, path in zip(names, paths, strict=True)
        ]
        if len(set(candidates)) == len(candidates) and all(candidates):
            return candidates
    return list(names)
