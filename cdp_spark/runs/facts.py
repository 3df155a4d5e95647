"""A few durable numbers, each in one atomic JSON file."""

from __future__ import annotations

from typing import Any

from cdp_spark.base.errors import DamagedStageError
from cdp_spark.files.folder import Folder
from cdp_spark.runs.documents import object_of


def stored_facts(folder: Folder, path: str) -> dict[str, Any] | None:
    """Read facts; None if there are none.

    Parameters
    ----------
    folder : Folder
    path : str
        File within the folder.

    Raises
    ------
    DamagedStageError
        If the file is not a JSON object.
    """
    data = folder.read_bytes(path)
    if data is None:
        return None
    try:
        facts = object_of(data)
    except ValueError:
        raise DamagedStageError(
            f"{folder.path(path)} is not JSON: something changed it; remove that file and start the same command again"
        ) from None
    return facts
