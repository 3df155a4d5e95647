"""Standard output, and the current folder."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Sequence

from cdp_spark.base.errors import CdpError, ConfigError, MissingRequirementError


def replace_what_stdout_lacks() -> None:
    """Print characters that the terminal's encoding lacks as ``?`` instead of failing after the work."""
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
        raise MissingRequirementError("the current folder has been removed: cd to another one") from None


def check_docstrings() -> None:
    """Refuse a Python without docstrings: packages build their classes from them, and would fail after the work.

    Raises
    ------
    MissingRequirementError
    """
    if sys.flags.optimize > 1:
        raise MissingRequirementError("Python drops docstrings, which packages need: unset PYTHONOPTIMIZE, or use -O")


def check_words(words: Sequence[str]) -> None:
    """Refuse words that engines cannot receive: names that are not UTF-8, or that this locale cannot read.

    Raises
    ------
    CdpError
    """
    for word in words:
        try:
            word.encode()
        except UnicodeEncodeError:
            raise _unnamed(word) from None


def _unnamed(word: str) -> CdpError:
    shown, known = ascii(word), sys.getfilesystemencoding()
    if known.lower() in ("utf-8", "utf8"):
        return ConfigError(f"{shown} is not UTF-8, which engines name files by: rename it")
    return MissingRequirementError(
        f"this locale reads names as {known} and cannot name {shown}: set LC_ALL=C.UTF-8 and unset PYTHONUTF8"
    )


def flush_stdout() -> None:
    """Flush stdout, so that a failure shows here and not after the last line.

    Raises
    ------
    MissingRequirementError
        If there is no room for it.
    """
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        _forget_stdout()
    except OSError as error:
        _forget_stdout()
        raise MissingRequirementError(f"stdout cannot be written: {error.strerror}: redirect it elsewhere") from None


def reader_has_gone(error: BaseException) -> bool:
    """Return whether an error means that the reader of stdout has gone, as after ``| head -1``, which is no failure."""
    if not isinstance(error, BrokenPipeError) or not hasattr(select, "poll"):
        return False
    try:
        ends = select.poll()
        ends.register(sys.stdout.fileno(), 0)
        gone = any(event & (select.POLLERR | select.POLLHUP) for _, event in ends.poll(0))
    except (AttributeError, OSError, ValueError):  # no file behind it
        return False
    if gone:
        _forget_stdout()
    return gone


def _forget_stdout() -> None:
    """Discard buffered output: Python would try again at exit and report a failure."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):
        return
