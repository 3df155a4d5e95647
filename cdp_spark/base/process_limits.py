"""Limits of this process (``ulimit``) that a run would meet halfway, or that keep an engine from starting."""

from __future__ import annotations

import os
import sys

from cdp_spark.base.errors import MissingRequirementError

_OF_START = (
    ("RLIMIT_NOFILE", "n", 256, "open files", "65536"),
    ("RLIMIT_AS", "v", 4 * 2**30, "bytes of address space", "unlimited"),
    ("RLIMIT_DATA", "d", 4 * 2**30, "bytes of data", "unlimited"),
    ("RLIMIT_NPROC", "u", 128, "processes and threads", "4096"),
)
"""Limit, option of ``ulimit``, the least that an engine needs to start, in words, and what to set."""
_OF_WORK = (
    ("RLIMIT_FSIZE", "f", 2**30, "bytes in one file", "unlimited"),
    ("RLIMIT_CPU", "t", 600, "seconds of processor time", "unlimited"),
)
"""The same of limits that only a larger run meets."""


def check_limits(*, start_only: bool = True) -> None:
    """Refuse limits that are too low.

    Parameters
    ----------
    start_only : bool
        Only those that keep an engine from starting, or end this process, without a word that names them.

    Raises
    ------
    MissingRequirementError
    """
    if sys.platform == "win32":
        return
    import resource

    for name, option, least, words, remedy in _OF_START + (() if start_only else _OF_WORK):
        soft = resource.getrlimit(getattr(resource, name))[0]
        exempt = soft in (-1, resource.RLIM_INFINITY) or (name == "RLIMIT_NPROC" and os.geteuid() == 0)
        if soft < least and not exempt:
            raise MissingRequirementError(
                f"at most {soft:,} {words}, but a run needs {least:,}: raise the limit, ulimit -{option} {remedy}"
            )
