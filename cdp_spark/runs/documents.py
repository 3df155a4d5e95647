"""JSON files of a run, read again: whoever changed them meets one line, never a half-understood run.

A file may come from another version, so what is unknown is kept and what is missing is told only when it is asked for.
What is there must have its type, and places must lie in the run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from cdp_spark.base.errors import CdpError, ConfigError, InputError
from cdp_spark.config.loading import load_config
from cdp_spark.files.folder import Folder

END_OF_TIME = 253_402_300_799
"""Seconds since 1970: the end of the year 9999."""
_FAR = 2**63


def _inside(place: str) -> str:
    steps = place.split("/")
    if steps[0] != "stages" or len(steps) < 2 or any(step in ("", ".", "..") for step in steps) or "\\" in place:
        raise ValueError("must lie in the run's folder stages")
    return place


def _name(text: str) -> str:
    if not re.fullmatch(r"[\w.\-]+", text) or ".." in text:
        raise ValueError("is no fingerprint")
    return text


Place = Annotated[str, AfterValidator(_inside)]
Fingerprint = Annotated[str, AfterValidator(_name)]
Count = Annotated[int, Field(ge=0, lt=_FAR)]
Seconds = Annotated[float, Field(ge=0, le=END_OF_TIME)]
Number = Annotated[float, Field(gt=-_FAR, lt=_FAR)]


class _Known(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)


class _Stage(_Known):
    name: str
    fingerprint: Fingerprint
    path: Place
    rows: Count
    made_seconds: Seconds = 0.0
    seconds: Seconds = 0.0
    reused: bool = False
    peak_worker_bytes: Count | None = None
    written_bytes: Count = 0


class _Counts(_Known):
    items: Count = 0
    rows: dict[str, Count] = {}
    quarantined: dict[str, dict[str, Count]] = {}
    statuses: dict[str, Count] = {}
    clusters: Count = 0
    largest: Count = 0
    scored_pairs: Count = 0
    forest_edges: Count = 0


class _Recall(_Known):
    method: str
    recall: Number
    low: Number = 0.0
    high: Number = 0.0
    target: Number = 0.0


class _Metrics(_Known):
    kept: dict[str, Number | None]
    removed: dict[str, Number | None]


class _Lineage(_Known):
    previous: str | None = None
    next_id: Count | None = None


class _Record(_Known):
    finished: Seconds = 0.0
    started: Seconds = 0.0
    seconds: Seconds = 0.0
    config: dict[str, Any] = {}
    counts: _Counts = _Counts()
    stages: list[_Stage] = []
    dimensions: dict[str, Count] = {}
    recall: dict[str, _Recall] = {}
    threshold: Number = 0.0
    metrics: _Metrics | None = None
    warnings: list[str] = []
    versions: dict[str, str] = {}
    cores: Count | None = None
    forest_complete: bool = True
    lineage: _Lineage = _Lineage()


class _Latest(_Known):
    clusters: Place = "stages/clusters"
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


def read_record(folder: Folder) -> dict[str, Any] | None:
    """Read ``run.json``; None where there is none.

    Raises
    ------
    InputError
        If it is damaged.
    """
    record = read_json(folder, "run.json", _Record, "cluster again into another folder")
    if record is not None and "config" in record:
        try:
            # With every key, whatever the version that wrote it left out.
            record["config"] = load_config(record["config"]).model_dump(mode="json")
        except ConfigError as error:
            raise _damaged(folder.path("run.json"), str(error), "cluster again into another folder") from None
    return record


def read_latest(folder: Folder) -> dict[str, Any] | None:
    """Read ``latest.json``; None where there is none.

    Raises
    ------
    InputError
        If it is damaged.
    """
    return read_json(folder, "latest.json", _Latest, "start the run's command again, which writes it anew")


def read_sweep(folder: Folder, name: str) -> dict[str, Any] | None:
    """Read the last sweep; None where there is none.

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
    found = object_of(data)
    known = _Manifest.model_validate(found)
    if not set(known.sha256 or {}) <= set(known.files):
        raise ValueError("digests of other files")
    return found


def read_json(folder: Folder, name: str, kind: type[BaseModel], mend: str) -> dict[str, Any] | None:
    """Read an object of JSON whose known keys have their types; a key that is missing is told when it is asked for.

    Raises
    ------
    InputError
        If it is damaged; ``mend`` says what to do.
    """
    place = folder.path(name)
    data = folder.read_bytes(name)
    if data is None:
        return None
    try:
        found = object_of(data, lambda key: _damaged(place, f"it lacks {key}", mend))
        kind.model_validate(found)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        raise _damaged(place, f"{where}: {first['msg'].removeprefix('Value error, ')}", mend) from None
    except ValueError as error:
        raise _damaged(place, str(error), mend) from None
    return found


def object_of(data: bytes, lacking: Callable[[str], Exception] = KeyError) -> dict[str, Any]:
    """Parse an object of JSON; ``lacking`` makes the error for a key that is asked for and missing.

    Raises
    ------
    ValueError
        If it is none.
    """

    class Asked(dict[str, Any]):
        def __missing__(self, key: str) -> Any:
            raise lacking(key)

    try:
        found = json.loads(data.decode(), object_hook=Asked)
        if b"\\ud" in data.lower():  # half a character, which no file can hold
            json.dumps(found, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"it is no JSON ({error})") from None
    if not isinstance(found, dict):
        raise ValueError("it is no object")
    return found


def _damaged(place: str, why: str, mend: str) -> CdpError:
    return InputError(f"{place} is damaged, {why}: {mend}")
