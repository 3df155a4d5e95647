"""Faults that strike a command while it makes one stage, in this process: each a context that the command runs in."""

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
from cdp_spark.runs.lease import LEASE
from cdp_spark.runs.manifests import MANIFEST
from cdp_spark.runs.stage_store import StageStore
from tests.faults import kills
from tests.faults.kills import Patch, halve
from tests.faults.struck import Struck

FULL = "Generic LocalFileSystem error: Unable to copy data to file: No space left on device (os error 28)"
READ_ONLY = "Generic LocalFileSystem error: Unable to create dir: Read-only file system (os error 30)"
"""What Sail said on a disk of 100 KiB, and on one mounted read-only."""
JUMP = 86_400.0


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
            halve(sorted((at.output / path).rglob("*.parquet")))
            raise PySparkException(said)

        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(writer, "parquet", refusing)
            return make(self, path, name, fingerprint, build, by)

    def copying(self: Folder, source: str, target: str, last: str) -> None:
        copy_files(self, source, target, last)
        if at.is_copy(target):
            halve(sorted(Path(self.root, target).rglob("*.parquet")))
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
    "killed while it writes": Fault(kills.killed_while_writing, "tnf"),
    "killed between data and manifest": Fault(kills.killed_before_the_manifest, "tnf"),
    "killed while it publishes": Fault(kills.killed_while_copying, "p"),
    "killed between the renames of publishing": Fault(kills.killed_between_the_renames, "p"),
    "disk full": Fault(disk_full, "tnfp", 3),
    "read-only output": Fault(read_only_output, "tnfp", 3),
    "lease taken over": Fault(lease_taken_over, "tnfp", 4),
    "two starts at once": Fault(two_starts, "tnfp", "well"),
    "clock jumps ahead": Fault(clock_jumps_ahead, "tnfp", "well"),
    "clock jumps back": Fault(clock_jumps_back, "tnfp", "well"),
    "damaged page": Fault(damage, "tnfp", "well", while_running=False),
    "lost file": Fault(lose, "tnfp", "well", while_running=False),
}
