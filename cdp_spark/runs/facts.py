"""A few durable numbers, one atomic file of JSON each."""

from __future__ import annotations

import json
from typing import Any

from cdp_spark.base.errors import DamagedStageError
from cdp_spark.files.folder import Folder


def stored_facts(folder: Folder, place: str) -> dict[str, Any] | None:
    """Read facts; None where there are none.

    Parameters
    ----------
    folder : Folder
    place : str
        File within it.

    Raises
    ------
    DamagedStageError
        If the file is no JSON.
    """
    text = folder.read(place)
    if text is None:
        return None
    try:
        found: dict[str, Any] = json.loads(text)
    except json.JSONDecodeError:
        raise DamagedStageError(
            f"{folder.path(place)} is no JSON: something changed it; remove that file and run again"
        ) from None
    return found
