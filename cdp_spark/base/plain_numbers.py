"""Parse numbers of options, configs and ids strictly: ASCII digits in unambiguous forms.

Python also accepts ``1_0``, digits of other scripts and surrounding blanks, and YAML reads ``014`` as 12.
"""

from __future__ import annotations

import re

_WHOLE = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_GROUPED = re.compile(r"[-+]?[1-9][0-9]{0,2}(_[0-9]{3})+")
_REAL = re.compile(r"[-+]?(0|[1-9][0-9]*|[0-9]*\.[0-9]+|[0-9]+\.)([eE][-+]?[0-9]+)?")


def is_grouped(text: str) -> bool:
    """Return whether text is a whole number with grouped thousands.

    >>> is_grouped("50_000"), is_grouped("1_0"), is_grouped("5")
    (True, False, False)
    """
    return _GROUPED.fullmatch(text) is not None


def whole_number(text: str) -> int:
    """Read a whole number; ``_`` may group thousands.

    >>> whole_number("-12"), whole_number("50_000")
    (-12, 50000)

    Raises
    ------
    ValueError
    """
    if _WHOLE.fullmatch(text) or is_grouped(text):
        return int(text)
    raise ValueError(f"{text!r} is not a whole number")


def real_number(text: str) -> float:
    """Read a number, with or without a point or an exponent.

    >>> real_number(".5"), real_number("5e-1"), real_number("1_000")
    (0.5, 0.5, 1000.0)

    Raises
    ------
    ValueError
    """
    if _REAL.fullmatch(text) or is_grouped(text):
        return float(text)
    raise ValueError(f"{text!r} is not a number")
