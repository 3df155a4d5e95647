"""What commands print to, and the folder they stand in."""

from __future__ import annotations

import os
import sys

from cdp_spark.base.errors import MissingRequirementError


def replace_what_stdout_lacks() -> None:
    """Let signs that the terminal's encoding lacks be printed as ``?``: all work is done by then."""
    if hasattr(sys.stdout, "reconfigure") and sys.stdout.errors in ("strict", "surrogateescape"):
        sys.stdout.reconfigure(errors="replace")


def check_folder() -> None:
    """Refuse to start in a folder that has been removed.

    Raises
    ------
    MissingRequirementError
    """
    try:
        os.getcwd()
    except OSError:
        raise MissingRequirementError("the folder one stands in has been removed: cd to another one") from None


def flush_stdout() -> None:
    """Write what is held back, so that a failure is met here and not after the last line.

    Raises
    ------
    MissingRequirementError
        If there is no room for it; that its reader has gone is another matter.
    """
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        _forget_stdout()
        raise MissingRequirementError(f"stdout cannot be written: {error.strerror}: redirect it elsewhere") from None


def reader_has_gone(error: BaseException) -> bool:
    """Return whether an error means that nobody reads stdout any more, as after ``| head -1``: a good end."""
    if not isinstance(error, BrokenPipeError) or sys.stdout is None:
        return False
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _forget_stdout()
        return True
    except (OSError, ValueError):
        return False
    return False


def _forget_stdout() -> None:
    """Let what is still held back go nowhere: Python would try again at its end, and say that it failed."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):
        return
