"""Kill a command while it makes, writes or publishes one stage.

A kill is an exception that no handler of the project catches. It leaves the lease behind, as a dead process would.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cdp_spark.files import folder as folder_module
from cdp_spark.files.folder import Folder
from cdp_spark.runs import lease as lease_module
from cdp_spark.runs.lease import Lease
from cdp_spark.runs.stage_store import StageStore
from tests.faults.struck import Struck

Patch = pytest.MonkeyPatch


class Killed(BaseException):
    """Stands for SIGKILL."""


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


def halve(files: list[Path]) -> None:
    for file in files[1:]:
        file.unlink()
    for file in files[:1]:
        os.truncate(file, file.stat().st_size // 2)


def killed_while_writing(patch: Patch, at: Struck) -> None:
    def strike(files: list[Path]) -> None:
        halve(files)
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
            halve(sorted(Path(self.root, target).rglob("*.parquet")))
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
