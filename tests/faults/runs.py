"""Bring an output to where a fault strikes, strike, start again, and compare with a run that nothing disturbed."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from cdp_spark.base.errors import CdpError, DamagedStageError
from cdp_spark.files.folder import Folder
from cdp_spark.runs import finished_run
from cdp_spark.runs.manifests import MANIFEST, checked_manifest
from cdp_spark.sources.damaged import translated
from tests.faults import faults
from tests.faults.commands import COMMANDS, output_of, result, write_inputs
from tests.faults.faults import lose
from tests.faults.kills import Killed
from tests.faults.struck import Struck

WELL = "the next start ended like one never disturbed"
_LONGEST = 400


@dataclass
class Undisturbed:
    """What a command made: its output before and after, and the order in which the stages came."""

    before: Path
    after: Path
    order: list[str]
    result: dict[str, Any]


@dataclass
class Runs:
    """All commands on one folder; each is run undisturbed once, when it is first asked for."""

    spark: SparkSession
    root: Path
    known: dict[str, Undisturbed] = field(default_factory=dict)

    def __post_init__(self) -> None:
        write_inputs(self.root)

    def start(self, command: str) -> None:
        """Start as a new process of the command line would."""
        finished_run._checked.clear()
        try:
            COMMANDS[command].start(self.spark, self.root)
        except CdpError:
            raise
        except Exception as error:
            if (ours := translated(error)) is not None:
                raise ours from error
            raise

    def undisturbed(self, command: str) -> Undisturbed:
        """Run a command that nothing disturbs."""
        if command in self.known:
            return self.known[command]
        for earlier in COMMANDS[command].before:
            self.restore(self.undisturbed(earlier).after, output_of(earlier, self.root))
        output, kept = output_of(command, self.root), self.root / "kept" / command
        output.mkdir(exist_ok=True)
        shutil.copytree(output, kept / "before")
        self.start(command)
        shutil.copytree(output, kept / "after")
        made = set(_stages(kept / "after")) - set(_stages(kept / "before"))
        order = sorted(made, key=lambda path: _made_at(kept / "after" / path))
        self.known[command] = Undisturbed(kept / "before", kept / "after", order, result(kept / "after"))
        return self.known[command]

    def restore(self, kept: Path, output: Path) -> None:
        shutil.rmtree(output, ignore_errors=True)
        shutil.copytree(kept, output)

    def begin(self, command: str) -> None:
        """Bring all outputs to where a command begins."""
        of = self.undisturbed(command)
        for earlier in COMMANDS[command].before:
            self.restore(self.undisturbed(earlier).after, output_of(earlier, self.root))
        self.restore(of.before, output_of(command, self.root))

    def until(self, command: str, stage: str, *, whole: bool) -> Struck:
        """Bring the output to where a stage begins; with ``whole``, to where it has ended."""
        self.begin(command)
        of, output = self.undisturbed(command), output_of(command, self.root)
        at = Struck(output, stage, lambda: self.start(command))
        names = [path.removeprefix("stages/").removesuffix(".json").rsplit("-", 1)[0] for path in of.order]
        first = next((number for number, name in enumerate(names) if at.is_it(name)), None)
        if first is None and whole:
            self.restore(of.after, output)
            return at
        for path in of.order[: None if first is None else first + whole]:
            source, target = of.after / path, output / path
            target.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if source.is_dir() else shutil.copy2)(source, target)
        return at

    def strike(self, command: str, stage: str, fault: str) -> str:
        """Let a fault strike, and start again until all is well; return what happened, in a few words."""
        kind = faults.FAULTS[fault]
        at = self.until(command, stage, whole=not kind.while_running)
        said = self._struck(command, at, kind)
        if kind.while_running:
            whole_tables(at.output)
        faults.other_run_ends(at.output)
        said += self._until_well(command, at)
        assert result(at.output) == self.undisturbed(command).result
        whole_tables(at.output)
        return ", ".join(said)

    def cluster_again(self, command: str, refusal: CdpError) -> str:
        """Do what a command said that could not read its run."""
        if isinstance(refusal, DamagedStageError):
            _mend(self.root, str(refusal))
        self.start(command)
        return f"exit {refusal.exit_code}: {self._line(refusal)}, once cluster had run again {WELL}"

    def _struck(self, command: str, at: Struck, kind: faults.Fault) -> list[str]:
        if not kind.while_running:
            kind.strike(at.output, at.stage)
            return []
        with pytest.MonkeyPatch.context() as patch:
            kind.strike(patch, at)
            try:
                self.start(command)
            except Killed:
                return ["killed"]
            except CdpError as error:
                if error.exit_code != kind.ends:
                    raise
                return [f"exit {error.exit_code}: {self._line(error)}"]
        assert kind.ends == "well", "the fault did not strike"
        return ["ended well"]

    def _line(self, error: CdpError) -> str:
        """Check that a refusal is one short line; return it without the folder of this test."""
        text = str(error)
        assert "\n" not in text
        assert len(text) <= _LONGEST
        return text.replace(f"{self.root}/", "")

    def _until_well(self, command: str, at: Struck) -> list[str]:
        """Start again; where a damaged stage is named, do what the line says."""
        said = []
        for _ in range(3):
            try:
                self.start(command)
            except DamagedStageError as error:
                said.append(f"exit {error.exit_code}: {self._line(error)}")
                _mend(at.output.parent, str(error))
            else:
                return [*said, WELL]
        raise AssertionError("what the line says does not help")


def unmanifest(output: Path, stage: str) -> None:
    """Leave a stage as a kill would while it is made again: some of its files, and no manifest."""
    lose(output, stage)
    for path in (output / "stages").rglob(MANIFEST):
        if path.parent.relative_to(output / "stages").as_posix().startswith((f"{stage}-", f"{stage}/")):
            path.unlink()


def _mend(root: Path, line: str) -> None:
    """Remove the folder or file that a line names."""
    words = line.removeprefix("stage ")
    for path in sorted(root.rglob("stages/**/*"), key=lambda path: -len(str(path))):
        if words.startswith(str(path)):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
            return
    raise AssertionError(f"the line names no stage: {line}")


def whole_tables(output: Path) -> None:
    """Check that every published table is whole: all its files, as its manifest lists them."""
    folder = Folder(str(output))
    for manifest in output.glob(f"*/{MANIFEST}"):
        if "." not in manifest.parent.name:
            checked_manifest(folder, manifest.parent.name)


def _stages(output: Path) -> list[str]:
    stages = output / "stages"
    found = [path for path in stages.rglob("*.json") if path.name != MANIFEST]
    found += [path.parent for path in stages.rglob(MANIFEST)]
    return sorted(str(path.relative_to(output)) for path in found)


def _made_at(path: Path) -> int:
    return (path / MANIFEST if path.is_dir() else path).stat().st_mtime_ns
