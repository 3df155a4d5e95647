"""Limits of this process (``ulimit``) that a run would meet halfway, or that keep an engine from starting."""

from __future__ import annotations

import os
import sys

_LEAST = (
    ("RLIMIT_NOFILE", "n", 256, "open files", "65536"),
    ("RLIMIT_AS", "v", 4 * 2**30, "bytes of address space", "unlimited"),
    ("RLIMIT_DATA", "d", 4 * 2**30, "bytes of data", "unlimited"),
    ("RLIMIT_FSIZE", "f", 2**30, "bytes in one file", "unlimited"),
    ("RLIMIT_NPROC", "u", 128, "processes and threads", "4096"),
    ("RLIMIT_CPU", "t", 600, "seconds of processor time", "unlimited"),
)
"""Limit, option of ``ulimit``, the least that a small run needs, in words, and what to set."""


def limits() -> str:
    """Check the limits; return one line.

    Raises
    ------
    OSError
        If one is too low for a run.
    """
    if sys.platform == "win32":
        return "this system has none"
    import resource

    boundless = (-1, resource.RLIM_INFINITY)
    for name, option, least, words, remedy in _LEAST:
        soft = resource.getrlimit(getattr(resource, name))[0]
        exempt = name == "RLIMIT_NPROC" and os.geteuid() == 0
        if soft not in boundless and soft < least and not exempt:
            raise OSError(f"at most {soft:,} {words}, but a run needs {least:,}: raise it, ulimit -{option} {remedy}")
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return "open files without a limit" if files in boundless else f"{files:,} open files"
