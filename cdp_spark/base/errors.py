"""The errors a user may meet, each with the exit code of the command line.

Every message is one line that says what is wrong, where, why, and how to mend it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class CdpError(Exception):
    """Base of all errors that this package raises on purpose."""

    exit_code = 1


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
    """A stage's files are not those that its manifest lists."""


LONGEST = 400
"""Characters of a message at most: one line on a wide terminal, not a page."""


def one_line(text: str, longest: int = LONGEST) -> str:
    """Return a text without line breaks; of a long one the middle is left out, since the remedy stands at its end.

    >>> one_line("what\\n  was  wrong")
    'what was wrong'
    >>> one_line("a" * 30 + "b" * 30, longest=21)
    'aaaaaaaaaaaaa … bbbbb'
    """
    line = " ".join(text.split())
    if len(line) <= longest:
        return line
    room = longest - 3
    first = room * 3 // 4
    return f"{line[:first]} … {line[first - room :]}"


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``" (did you mean 'x'?)"`` for the known name nearest to ``name``, else ``""``.

    >>> nearest("treshold", ["threshold", "accept"])
    " (did you mean 'threshold'?)"
    >>> nearest("zzz", ["threshold"])
    ''
    """
    close = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean '{close[0]}'?)" if close else ""
