"""The errors a user may meet, each with the exit code of the command line.

Every message is one line: what is wrong, where, why, and how to fix it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from cdp_spark.base.messages import one_line


class CdpError(Exception):
    """Base class of the errors that this package raises on purpose."""

    exit_code = 1

    def __str__(self) -> str:
        return one_line(super().__str__())


class ConfigError(CdpError):
    """An option or a config value is wrong."""

    exit_code = 2


class InputError(CdpError):
    """The user's data cannot be used as it is."""

    exit_code = 2


class SchemaError(InputError):
    """A table lacks a column or has it with another type."""


class MissingRequirementError(CdpError):
    """The machine or cluster lacks something: Java, a jar, memory, disk."""

    exit_code = 3


class GuardError(CdpError):
    """A guard refused: another run holds the output, or a giant component."""

    exit_code = 4


class DamagedStageError(CdpError):
    """A file of a run is damaged, or a stage's files differ from those that its manifest lists."""

    exit_code = 2


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``" (did you mean 'x'?)"`` for the nearest known name, or ``""``.

    >>> nearest("treshold", ["threshold", "accept"])
    " (did you mean 'threshold'?)"
    >>> nearest("zzz", ["threshold"])
    ''
    """
    close = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean '{close[0]}'?)" if close else ""


def listed(words: Sequence[str], most: int = 8) -> str:
    """Name the first few words of a list and the number of further ones.

    >>> listed(["a", "b"]), listed(list("abcd"), 2)
    ('a, b', 'a, b and 2 more')
    """
    shown = ", ".join(word if word.isprintable() else repr(word) for word in words[:most])
    return f"{shown} and {len(words) - most:,} more" if len(words) > most else shown


def shortened(text: str, most: int = 100) -> str:
    """Shorten text to fit into a message.

    >>> shortened("[1, 2, 3]", 6)
    '[1, ...'
    """
    return text if len(text) <= most else f"{text[: most - 2]}..."
