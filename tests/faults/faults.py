"""Faults that strike a command while it makes one stage, in this process: each a context that the command runs in.

A kill is an exception that no handler of the project catches, and that leaves the lease behind as a dead process would.
"""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pyspark.errors import PySparkException

from cdp_spark.base.errors import GuardError
from cdp_spark.files import folder as folder_module
from cdp_spark.files.folder import Folder
from cdp_spark.runs import lease as lease_module
from cdp_spark.runs.lease import LEASE, Lease
from cdp_spark.runs.manifests import MANIFEST
from cdp_spark.runs.stage_store import StageStore

FULL = "Generic LocalFileSystem error: Unable to copy data to file: No space left on device (os error 28)"
READ_ONLY = "Generic LocalFileSystem error: Unable to create dir: Read-only file system (os error 30)"
"""What Sail said on a disk of 100 KiB, and on one mounted read-only."""
JUMP = 86_400.0
PUBLISHED = " published"
"""Marks the copy of a stage at the top of the output."""


class Killed(BaseException):
    """Stands for SIGKILL."""


@dataclass(frozen=True)
class Struck:
    """Where a fault strikes: the output, and in it a stage, a published copy, or a file."""

    output: Path
    stage: str
    again: Callable[[], object]
    """The same command, for a second start beside the first."""

    @property
    def name(self) -> str:
        """Name without the mark of a publication."""
        return self.stage.removesuffix(PUBLISHED)

    def is_it(self, name: str) -> bool:
        """Tell whether a name is that of the stage, or of one of several tables of its kind."""
        return self.stage == self.name and (name == self.name or name.startswith(f"{self.name}/"))

    def is_copy(self, target: str) -> bool:
        """Tell whether this folder at the top of the output is being published, under its name or a temporary one."""
        return self.stage != self.name and target.split(".")[0] == self.name

    def is_file(self, path: str | os.PathLike[str]) -> bool:
        """Tell whether a path is that of the stage's manifest, of its numbers, or of the file itself."""
        given = Path(path)
        if self.output not in given.parents:
            return False
        inner = given.relative_to(self.output).as_posix()
        if not inner.startswith("stages/"):
            return inner == self.stage
        inner = inner.removeprefix("stages/").removesuffix(f"/{MANIFEST}").removesuffix(".json")
        return self.is_it(inner.rsplit("-", 1)[0])


Patch = pytest.MonkeyPatch


def _leave_the_lease(patch: Patch) -> None:
    leave = Lease.__exit__

    def left(self: Lease, kind: Any, error: Any, trace: Any) -> None:
        if kind is not Killed:
            leave(self, kind, error, trace)
            return
        self._ended.set()
        self._renewer.join()
        lease_module._held_here.discard(self._mine["token"])

    patch.setattr(Lease, "__exit__", left)


def _when_written(patch: Patch, at: Struck, strike: Callable[[list[Path]], None]) -> None:
    """Strike when the files of a table lie there without a manifest, or a file without its name."""
    replace, written = os.replace, StageStore._written

    def struck_written(self: StageStore, path: str, name: str, schema: Any) -> dict[str, int]:
        if at.is_it(name) and Path(self.output) == at.output:
            strike(sorted((at.output / path).rglob("*.parquet")))
        return written(self, path, name, schema)

    def struck_replace(source: Any, target: Any) -> None:
        if at.is_file(target):
            strike([Path(source)])
        replace(source, target)

    patch.setattr(StageStore, "_written", struck_written)
    patch.setattr(folder_module.os, "replace", struck_replace)


def _halve(files: list[Path]) -> None:
    for file in files[1:]:
        file.unlink()
    for file in files[:1]:
        os.truncate(file, file.stat().st_size // 2)


def killed_while_writing(patch: Patch, at: Struck) -> None:
    def strike(files: list[Path]) -> None:
        _halve(files)
        raise Killed

    _leave_the_lease(patch)
    _when_written(patch, at, strike)


def killed_before_the_manifest(patch: Patch, at: Struck) -> None:
    def strike(files: list[Path]) -> None:
        raise Killed

    _leave_the_lease(patch)
    _when_written(patch, at, strike)


def killed_while_copying(patch: Patch, at: Struck) -> None:
    """Kill a publication when half of the files are copied."""

    def half(self: Folder, source: str, target: str, last: str) -> None:
        copy(self, source, target, last)
        if at.is_copy(target):
            _halve(sorted(Path(self.root, target).rglob("*.parquet")))
            raise Killed

    copy = Folder._copy_files
    _leave_the_lease(patch)
    patch.setattr(Folder, "_copy_files", half)


def killed_between_the_renames(patch: Patch, at: Struck) -> None:
    """Kill a publication when the copy is whole: before it has its name, and before the old one is gone."""

    class Moves:
        def __init__(self, files: Any) -> None:
            self._files = files

        def __getattr__(self, name: str) -> Any:
            return getattr(self._files, name)

        def move(self, source: str, target: str) -> None:
            if target.endswith(f"/{at.name}"):
                raise Killed
            self._files.move(source, target)

    def copying(self: Folder, source: str, target: str, **rest: Any) -> None:
        if at.is_copy(target):
            self._files = Moves(self._files)  # type: ignore[assignment]
        copy(self, source, target, **rest)

    copy = Folder.copy
    _leave_the_lease(patch)
    patch.setattr(Folder, "copy", copying)


def _refused(patch: Patch, at: Struck, said: str, number: int) -> None:
    """Let the engine say that it cannot write a table, and the system that it takes no file."""
    make, copy_files, replace = StageStore._make, Folder._copy_files, os.replace

    def making(self: StageStore, path: str, name: str, fingerprint: str, build: Any, by: Any) -> Any:
        if not at.is_it(name):
            return make(self, path, name, fingerprint, build, by)
        writer, words = type(build().write), []
        write = writer.parquet

        def refusing(this: Any, place: str, *rest: Any) -> None:
            words.append(place)
            write(this, place, *rest)
            _halve(sorted((at.output / path).rglob("*.parquet")))
            raise PySparkException(said)

        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(writer, "parquet", refusing)
            return make(self, path, name, fingerprint, build, by)

    def copying(self: Folder, source: str, target: str, last: str) -> None:
        copy_files(self, source, target, last)
        if at.is_copy(target):
            _halve(sorted(Path(self.root, target).rglob("*.parquet")))
            raise OSError(number, os.strerror(number))

    def replacing(source: Any, target: Any) -> None:
        if at.is_file(target):
            raise OSError(number, os.strerror(number))
        replace(source, target)

    patch.setattr(StageStore, "_make", making)
    patch.setattr(Folder, "_copy_files", copying)
    patch.setattr(folder_module.os, "replace", replacing)


def disk_full(patch: Patch, at: Struck) -> None:
    _refused(patch, at, FULL, errno.ENOSPC)


def read_only_output(patch: Patch, at: Struck) -> None:
    _refused(patch, at, READ_ONLY, errno.EROFS)


def _once(patch: Patch, at: Struck, act: Callable[[], None]) -> None:
    """Act once, before the stage is made, published or written."""
    make, write, copy, done = StageStore._make, Folder.write_bytes, Folder.copy, []
    write_text = StageStore.write

    def first(matches: bool) -> None:
        if matches and not done:
            done.append(True)
            act()

    def making(self: StageStore, path: str, name: str, *rest: Any) -> Any:
        first(at.is_it(name))
        return make(self, path, name, *rest)

    def writing(self: Folder, name: str, data: bytes) -> None:
        first(at.is_file(Path(self.root, name)))
        write(self, name, data)

    def writing_text(self: StageStore, name: str, text: str) -> None:
        first(at.is_file(Path(self.folder.root, name)))
        write_text(self, name, text)

    def copying(self: Folder, source: str, target: str, **rest: Any) -> None:
        first(at.is_copy(target))
        copy(self, source, target, **rest)

    patch.setattr(StageStore, "_make", making)
    patch.setattr(Folder, "write_bytes", writing)
    patch.setattr(StageStore, "write", writing_text)
    patch.setattr(Folder, "copy", copying)


def lease_taken_over(patch: Patch, at: Struck) -> None:
    """Another machine takes the output over; this one has not noticed when it goes on."""

    def take() -> None:
        now = time.time()
        other = {"token": "x", "host": "far", "machine": "far", "pid": 1, "process_started": now, "since": now}
        (at.output / LEASE).write_text(json.dumps({**other, "heartbeat": now}))

    _once(patch, at, take)


def other_run_ends(output: Path) -> None:
    """The other machine dies: its lease expires."""
    if (output / LEASE).exists():
        known = json.loads((output / LEASE).read_text())
        known["heartbeat"] -= 2 * lease_module.EXPIRY_SECONDS
        (output / LEASE).write_text(json.dumps(known))


def two_starts(patch: Patch, at: Struck) -> None:
    """Start the same command beside the first: it is refused, and the first goes on."""

    def second() -> None:
        with pytest.raises(GuardError, match="is held by process"):
            at.again()

    _once(patch, at, second)


def _clock(patch: Patch, at: Struck, by: float) -> None:
    now = time.time
    _once(patch, at, lambda: patch.setattr(time, "time", lambda: now() + by))


def clock_jumps_ahead(patch: Patch, at: Struck) -> None:
    _clock(patch, at, JUMP)


def clock_jumps_back(patch: Patch, at: Struck) -> None:
    _clock(patch, at, -JUMP)


def damage(output: Path, stage: str) -> None:
    """Change bytes in the middle of what a stage or a file holds, its length kept."""
    for file in _held(output, stage)[:1]:
        with file.open("r+b") as stream:
            stream.seek(file.stat().st_size // 2)
            found = stream.read(8)
            stream.seek(file.stat().st_size // 2)
            stream.write(bytes(255 - byte for byte in found))


def lose(output: Path, stage: str) -> None:
    """Remove a file of a stage, or the file itself."""
    for file in _held(output, stage)[:1]:
        file.unlink()


def _held(output: Path, stage: str) -> list[Path]:
    at = Struck(output, stage, lambda: None)
    if at.stage != at.name:
        return sorted((output / at.name).rglob("*.parquet"))
    if (output / stage).is_file():
        return [output / stage]
    found = sorted(file for file in (output / "stages").rglob("*.json") if at.is_file(file))
    tables = [each.parent for each in found if each.name == MANIFEST]
    return sorted(file for folder in tables for file in folder.rglob("*.parquet")) or found


@dataclass(frozen=True)
class Fault:
    """A fault.

    Attributes
    ----------
    strike : callable
        While a command runs: patches it, given a ``Struck``. Else changes what an ended run has left.
    at : str
        What it can strike: ``t`` a table, ``n`` numbers, ``f`` a file, ``p`` a published copy.
    ends : str or int
        How the struck run ends: killed, well, or refused with this exit code.
    while_running : bool
    """

    strike: Callable[..., None]
    at: str
    ends: str | int = "killed"
    while_running: bool = True


FAULTS = {
    "killed while it writes": Fault(killed_while_writing, "tnf"),
    "killed between data and manifest": Fault(killed_before_the_manifest, "tnf"),
    "killed while it publishes": Fault(killed_while_copying, "p"),
    "killed between the renames of publishing": Fault(killed_between_the_renames, "p"),
    "disk full": Fault(disk_full, "tnfp", 3),
    "read-only output": Fault(read_only_output, "tnfp", 3),
    "lease taken over": Fault(lease_taken_over, "tnfp", 4),
    "two starts at once": Fault(two_starts, "tnfp", "well"),
    "clock jumps ahead": Fault(clock_jumps_ahead, "tnfp", "well"),
    "clock jumps back": Fault(clock_jumps_back, "tnfp", "well"),
    "damaged page": Fault(damage, "tnfp", "well", while_running=False),
    "lost file": Fault(lose, "tnfp", "well", while_running=False),
}
