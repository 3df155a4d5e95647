"""Versions of Python and of packages, for records and cards."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Iterable


def installed_versions(packages: Iterable[str]) -> dict[str, str]:
    """Return Python's version, then those of the packages that are installed.

    >>> list(installed_versions(["numpy", "no-such-package"]))
    ['python', 'numpy']
    """
    versions = {"python": platform.python_version()}
    for package in packages:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions
