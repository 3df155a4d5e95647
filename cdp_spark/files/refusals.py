"""What a disk, a file system or an engine says when it takes no more, as one line that says what to do."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from cdp_spark.base.errors import MissingRequirementError

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_NO_ROOM_TEXTS = ("No space left", "Disk quota exceeded")
_READ_ONLY = "Read-only file system"


def file_refusal(location: str, error: OSError) -> MissingRequirementError | None:
    """Return our own line for an error of the file system that ``location`` lies in, or None."""
    text = str(error)
    if isinstance(error, PermissionError) or "Permission denied" in text or "ACCESS_DENIED" in text:
        return MissingRequirementError(
            f"{location} may not be read and written: give this user the right to, or choose another place"
        )
    if error.errno == errno.EROFS or _READ_ONLY in text:
        return _read_only(location)
    if error.errno in _NO_ROOM or any(sign in text for sign in _NO_ROOM_TEXTS):
        return MissingRequirementError(
            f"{location} has no room left: free some, then start the same command again; it continues"
        )
    return None


def engine_refusal(location: str, error: Exception) -> MissingRequirementError | None:
    """Return our own line for an error of an engine that was writing to ``location``, or None.

    The engine reads and writes in one step and says only what the system said, so a denied permission counts only
    where the message names the place that it writes to.
    """
    text = str(error)
    if any(sign in text for sign in _NO_ROOM_TEXTS):
        return MissingRequirementError(
            f"there is no room left for {location}, or for the engine's temporary files: free some, then start the "
            "same command again; it continues"
        )
    if _READ_ONLY in text:
        return _read_only(location)
    if "Permission denied" in text and location.removeprefix("file://") in text:
        return file_refusal(location, PermissionError(text))
    return None


@contextmanager
def engine_refusals(location: str) -> Iterator[None]:
    """Raise our own line where the engine cannot write to ``location``.

    Raises
    ------
    MissingRequirementError
    """
    try:
        yield
    except MissingRequirementError:
        raise
    except Exception as error:
        if (ours := engine_refusal(location, error)) is not None:
            raise ours from error
        raise


def _read_only(location: str) -> MissingRequirementError:
    return MissingRequirementError(
        f"{location} is on a file system that is mounted read-only: mount it for writing, or choose another place"
    )
