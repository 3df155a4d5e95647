"""Read JSON files of a run; a damaged file is refused in one line.

A file may come from another version, so unknown keys are kept, and a missing key is reported when it is read.
Known keys must have their type, and paths must lie in the run.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from cdp_spark.base.errors import CdpError, ConfigError, InputError
from cdp_spark.config.loading import load_config
from cdp_spark.files.folder import Folder
from cdp_spark.runs.run_json import ClusterRecord, Count, Fingerprint, Number, Seconds, StagePath


class _Known(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)


class _Latest(_Known):
    clusters: StagePath = "stages/clusters"
    fingerprint: Fingerprint = "none"


class _Sweep(_Known):
    rows: list[dict[str, Number | None]] = []
    pairs: str = ""
    best: Number | None = None
    why: str = ""
    current: Number = 0.0


class _Manifest(_Known):
    files: dict[str, Count]
    rows: Count
    seconds: Seconds
    sha256: dict[str, str] | None = None
    peak_worker_bytes: Count | None = None


def read_record(folder: Folder) -> ClusterRecord | None:
    """Read ``run.json``; None if there is none.

    Raises
    ------
    InputError
        If it is damaged.
    """
    record = read_json(folder, "run.json", ClusterRecord, "cluster again into another folder")
    if record is None:
        return None
    try:
        # With every key, including those that an earlier version left out.
        config = load_config(record.get("config", {})).model_dump(mode="json")
    except ConfigError as error:
        raise _damaged(folder.path("run.json"), str(error), "cluster again into another folder") from None
    return ClusterRecord.model_validate({**record, "config": config})


def read_latest(folder: Folder) -> dict[str, Any] | None:
    """Read ``latest.json``; None if there is none.

    Raises
    ------
    InputError
        If it is damaged.
    """
    return read_json(folder, "latest.json", _Latest, "start the run's command again, which writes it anew")


def read_sweep(folder: Folder, name: str) -> dict[str, Any] | None:
    """Read the last sweep; None if there is none.

    Raises
    ------
    InputError
        If it is damaged.
    """
    return read_json(folder, name, _Sweep, "run cdp-spark sweep again")


def manifest_of(data: bytes) -> dict[str, Any]:
    """Read a stage's manifest.

    Raises
    ------
    ValueError
        If it is damaged.
    """
    manifest = object_of(data)
    known = _Manifest.model_validate(manifest)
    if not set(known.sha256 or {}) <= set(known.files):
        raise ValueError("digests of other files")
    return manifest


def read_json(folder: Folder, name: str, kind: type[BaseModel], mend: str) -> dict[str, Any] | None:
    """Read a JSON object and check the types of known keys. A missing key is reported when it is read.

    Raises
    ------
    InputError
        If it is damaged; ``mend`` says what to do.
    """
    path = folder.path(name)
    data = folder.read_bytes(name)
    if data is None:
        return None
    try:
        content = object_of(data, lambda key: _damaged(path, f"it lacks {key}", mend))
        kind.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        raise _damaged(path, f"{where}: {first['msg'].removeprefix('Value error, ')}", mend) from None
    except ValueError as error:
        raise _damaged(path, str(error), mend) from None
    return content


def object_of(data: bytes, lacking: Callable[[str], Exception] = KeyError) -> dict[str, Any]:
    """Parse a JSON object; ``lacking`` makes the error for a missing key when it is read.

    Raises
    ------
    ValueError
        If it is not a JSON object.
    """

    class Asked(dict[str, Any]):
        def __missing__(self, key: str) -> Any:
            raise lacking(key)

    try:
        content = json.loads(data.decode(), object_hook=Asked)
        if b"\\ud" in data.lower():  # half of a surrogate pair, which no file can hold
            json.dumps(content, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"it is not JSON ({error})") from None
    if not isinstance(content, dict):
        raise ValueError("it is not an object")
    return content


def _damaged(path: str, why: str, mend: str) -> CdpError:
    return InputError(f"{path} is damaged, {why}: {mend}")
