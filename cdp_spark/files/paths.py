"""Normalise users' paths: never empty, ``~`` expanded, local ones absolute.

A relative path could mean one folder to this process and another to Spark, whose JVM keeps the folder in which it
started.
"""

from __future__ import annotations

import os
import re

from cdp_spark.base.errors import ConfigError

_SCHEME = re.compile(r"(?!file:)[A-Za-z][A-Za-z0-9+.\-]+:/")
"""Start of a path to another file system (``dbfs:/`` has one slash); a drive letter does not match."""
_VARIABLE = re.compile(r"(?:^|/)(\$\w+|\$\{\w+\})(?:/|$)")
_PATTERN = "[]{}*?"
_ESCAPE = "\\"


def is_local(location: str) -> bool:
    """Return whether a path lies on this machine's file systems.

    >>> [is_local(path) for path in ("v3.parquet", "file:///v3", "s3a://lake/v3", "dbfs:/v3", "C:/v3")]
    [True, True, False, False, True]
    """
    return _SCHEME.match(location) is None


def local_path(location: str) -> str:
    """Return a local path without ``file:`` before it."""
    return location.removeprefix("file://").removeprefix("file:")


def absolute(location: str) -> str:
    """Return the absolute path; a URI stays unchanged.

    Raises
    ------
    ConfigError
        If it is empty, or holds an unexpanded variable or ``~``.

    Examples
    --------
    >>> absolute("/data/../v3.parquet"), absolute("s3a://lake/v3"), absolute("file:/v3/"), absolute("file:///50%20")
    ('/v3.parquet', 's3a://lake/v3', 'file:///v3', '/50%20')
    """
    if not location.strip():
        raise ConfigError("an empty path: name a file or folder (is a shell variable unset?)")
    if not is_local(location):
        return location
    plain = local_path(location)
    # Sail decodes percent signs in a URI; this process and Spark take them as they are.
    scheme = "file://" if location.startswith("file:") and "%" not in plain else ""
    path = plain if location.startswith("file:") else os.path.expanduser(plain)
    if path.startswith("~") and not os.path.lexists(path):
        raise ConfigError(f"path {location}: no such home folder is known here: write the folder itself")
    if (variable := _VARIABLE.search(path)) and not os.path.lexists(path):
        raise ConfigError(f"path {location}: {variable.group(1)} is not expanded here: write the folder itself")
    try:
        return scheme + os.path.abspath(path)
    except FileNotFoundError:
        raise ConfigError(f"path {location}: the current folder is gone: change to one that exists") from None


def shown(location: str) -> str:
    """Return a path for messages: relative if it lies below the current folder."""
    try:
        here = os.getcwd()
    except FileNotFoundError:
        return location
    return location[len(here) + 1 :] if location.startswith(f"{here}/") else location


def check_path(location: str) -> None:
    """Refuse a path that Spark can write but not read back, or that was meant as a pattern.

    Raises
    ------
    ConfigError
    """
    if _ESCAPE in location:
        raise ConfigError(f"path {shown(location)} has a backslash, which Spark reads as an escape sign: rename it")
    odd = sorted({sign for sign in location if sign in _PATTERN})
    if not odd:
        return
    signs = " ".join(odd)
    before = re.split(r"[\[\]{}*?]", location, maxsplit=1)[0].rpartition("/")[0]
    meant = is_local(location) and not os.path.lexists(local_path(location))
    how = f"give the folder, {shown(before) or '.'}, and all files below it are read" if meant else "rename it"
    raise ConfigError(f"path {shown(location)} has {signs}, which Spark reads as a pattern: {how}")
