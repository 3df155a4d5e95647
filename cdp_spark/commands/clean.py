"""List or remove what an output no longer needs.

These are stages that its last run does not use, copies of embeddings, and whole older runs. Only files that a run wrote
are removed, and only if the caller asks for it.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from cdp_spark.base.errors import ConfigError, InputError
from cdp_spark.files.folder import FileInfo, Folder, is_leftover
from cdp_spark.runs.finished_run import finished_record, finished_runs
from cdp_spark.runs.lease import Lease
from cdp_spark.runs.manifests import MANIFEST
from cdp_spark.runs.own_files import is_of_table, remove_own
from cdp_spark.runs.register import COPIES_OF_EMBEDDINGS
from cdp_spark.runs.run_json import ClusterRecord
from cdp_spark.runs.stage_store import OURS

_OF_STAGE = re.compile(r"(.+?-[0-9a-f]{16})/")
_FACTS = re.compile(r".+-[0-9a-f]{16}\.json")


@dataclass(frozen=True)
class Removable:
    """A folder or file below ``location`` that can be removed.

    Attributes
    ----------
    location, name : str
    bytes : int
    why : {"old", "unfinished", "leftover", "vectors", "run"}
        Not used by the last run; never finished; left by an interrupted copy; holds embeddings; an older run.
    """

    location: str
    name: str
    bytes: int
    why: str


def clean(output: str, *, vectors: bool = False, remove: bool = False) -> list[Removable]:
    """List what an output no longer needs, and remove it on request.

    Parameters
    ----------
    output : str
        Output of a finished run.
    vectors : bool
        Also all copies of embeddings, including those of the last run; embeddings of people are biometric data.
        Clusters stay; running again makes stages that hold vectors anew from the input.
    remove : bool
        Remove instead of only listing.

    Raises
    ------
    InputError
        If there is no finished run.
    GuardError
        If a run holds the output.
    """
    folder = Folder(output)
    _finished(folder)  # before the lease, which would make the folder
    with Lease(output):
        removable = list(_of_output(folder, _finished(folder), vectors))
        if remove:
            for each in removable:
                remove_own(folder, each.name, _own(each.name))
    return removable


def clean_runs(root: str, *, keep: int, remove: bool = False) -> list[Removable]:
    """List all but the newest finished runs, and remove them on request.

    Parameters
    ----------
    root : str
        Folder whose subfolders are outputs; links to outputs are ignored.
    keep : int
        How many of the newest finished runs stay. Unfinished runs also stay, since they may still be running.
    remove : bool
        Remove instead of only listing.

    Raises
    ------
    ConfigError
        If no run would stay.
    """
    if keep < 1:
        raise ConfigError(f"--keep {keep}: at least one run must stay: give 1 or more")
    folder = Folder(root)
    # A link, such as `latest`, is another name of a run, and removing that would remove the run itself.
    runs = [name for name in finished_runs(root) if not folder.local or not os.path.islink(f"{folder.root}/{name}")]
    older = [f"{folder.location}/{name}" for name in runs[:-keep]]
    return [removable for output in older for removable in _whole_run(output, remove)]


def _finished(folder: Folder) -> ClusterRecord:
    record = finished_record(folder)
    if record is None:
        raise InputError(
            f"{folder.location}: clean needs a finished run to know what is old, and there is none: check the path"
        )
    return record


def _of_output(folder: Folder, record: ClusterRecord, vectors: bool) -> Iterator[Removable]:
    used = {stage.path.removeprefix("stages/") for stage in record.stages}
    for stage, files in sorted(_by_stage(folder.files("stages")).items()):
        if (why := _why(stage, files, used, vectors)) is not None:
            yield Removable(folder.location, f"stages/{stage}", sum(file.length for file in files), why)
    for name in folder.names():
        if is_leftover(name):
            yield Removable(folder.location, name, _bytes(folder, name), "leftover")


def _by_stage(files: Iterable[FileInfo]) -> dict[str, list[FileInfo]]:
    """Group files by stage; facts, small JSON files, are left out."""
    groups: dict[str, list[FileInfo]] = defaultdict(list)
    for file in files:
        if file.path.startswith("_workspace/"):
            groups["_workspace"].append(file)
        elif (match := _OF_STAGE.match(file.path)) and is_of_table(file.path):
            groups[match.group(1)].append(file)
    return groups


def _why(stage: str, files: list[FileInfo], used: set[str], vectors: bool) -> str | None:
    if vectors and stage.startswith(COPIES_OF_EMBEDDINGS):
        return "vectors"
    if stage in used:
        return None
    return "old" if any(file.path.endswith(MANIFEST) for file in files) else "unfinished"


def _whole_run(output: str, remove: bool) -> list[Removable]:
    """List or remove a run's own files; the folder may hold others."""
    with Lease(output):
        folder = Folder(output)
        mine = [name for name in folder.names() if name != "_lease.json" and (name in OURS or is_leftover(name))]
        held = [name for name in mine if _holds(folder, name)]
        removable = [Removable(folder.location, name, _bytes(folder, name), "run") for name in held]
        if remove:
            # The record goes last, so that a half-removed run is still recognized as one.
            for name in sorted(mine, key=lambda name: name in ("run.json", "latest.json")):
                remove_own(folder, name, _own(name))
    if remove and not folder.names():
        parent, _, name = folder.location.rpartition("/")
        Folder(parent).remove(name)
    return removable


def _own(name: str) -> Callable[[str], bool]:
    """Return a test of whether a file below an output's folder is ours."""
    if is_leftover(name) or name == "stages/_workspace":
        return bool
    if name == "stages":
        return lambda path: is_of_table(path) or path.startswith("_workspace/") or bool(_FACTS.fullmatch(path))
    return is_of_table


def _holds(folder: Folder, name: str) -> bool:
    files = folder.files(name)
    return not files or any(_own(name)(file.path) for file in files)


def _bytes(folder: Folder, name: str) -> int:
    below = folder.files(name)
    return sum(file.length for file in below if _own(name)(file.path)) if below else len(folder.read_bytes(name) or b"")
