"""Numbers as people write them in options, configs and ids: ASCII digits, and no form that reads two ways.

Python also takes ``1_0``, the digits of other scripts and blanks around them, and YAML takes ``014`` for 12.
"""

from __future__ import annotations

import re

_WHOLE = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_GROUPED = re.compile(r"[-+]?[1-9][0-9]{0,2}(_[0-9]{3})+")
_REAL = re.compile(r"[-+]?(0|[1-9][0-9]*|[0-9]*\.[0-9]+|[0-9]+\.)([eE][-+]?[0-9]+)?")


def is_grouped(text: str) -> bool:
    """Tell whether text is a whole number whose thousands are set apart.

    >>> is_grouped("50_000"), is_grouped("1_0"), is_grouped("5")
    (True, False, False)
    """
    return _GROUPED.fullmatch(text) is not None


def whole_number(text: str) -> int:
    """Read a whole number; thousands may be set apart by ``_``.

    >>> whole_number("-12"), whole_number("50_000")
    (-12, 50000)

    Raises
    ------
    ValueError
    """
    if _WHOLE.fullmatch(text) or is_grouped(text):
        return int(text)
    raise ValueError(f"{text!r} is no whole number")


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
    raise ValueError(f"{text!r} is no number")
