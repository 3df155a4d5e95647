"""Where a fault strikes."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cdp_spark.runs.manifests import MANIFEST

PUBLISHED = " published"
"""Marks the copy of a stage at the top of the output."""


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
