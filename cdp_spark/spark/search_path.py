"""Where modules are looked for: a user's ``random.py`` in the folder one stands in must not replace Python's own."""

from __future__ import annotations

import os
from collections.abc import Sequence


def working_folder_last(path: Sequence[str]) -> list[str]:
    """Move the working folder, which ``python -m`` puts first, behind everything else.

    >>> working_folder_last(["", "/lib", "/lib/site-packages"])
    ['/lib', '/lib/site-packages', '']
    """
    try:
        here = os.getcwd()
    except OSError:  # it has been removed
        return [step for step in path if step]
    first = [step for step in path[:1] if step in ("", here)]
    return [*path[len(first) :], *first]
