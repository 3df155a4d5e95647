"""One run at a time writes to an output: a lease with a heartbeat.

The lease is refused while its holder is alive. It is taken over at once if the holder was a process of this machine
that has ended, and after the expiry if it ran elsewhere.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil
from pydantic import BaseModel, ConfigDict, Field

from cdp_spark.base.errors import GuardError
from cdp_spark.files.folder import Folder
from cdp_spark.runs.documents import object_of
from cdp_spark.runs.run_json import END_OF_TIME

LEASE = "_lease.json"
HEARTBEAT_SECONDS = 10.0
EXPIRY_SECONDS = 60.0
# An object store has no lock: the last writer holds the lease, and a rival's write may take this long.
_SETTLE_SECONDS = 1.0

_held_here: set[str] = set()


class _Holder(BaseModel):
    model_config = ConfigDict(extra="allow")

    token: str
    pid: int = Field(gt=0, lt=2**31)
    machine: str
    process_started: float = Field(ge=0, le=END_OF_TIME)
    process_ticks: int | None = Field(default=None, ge=0)
    since: float = Field(ge=0, le=END_OF_TIME)
    heartbeat: float = Field(ge=0, le=END_OF_TIME)


class Lease:
    """Hold an output while the block runs.

    Raises
    ------
    GuardError
        On entering, if a living run holds the output.
    """

    def __init__(self, output: str) -> None:
        self._folder = Folder(output)
        self._ended = threading.Event()
        self._lost = False
        self._renewer = threading.Thread(target=self._renew, daemon=True)
        self._mine: dict[str, Any] = {
            "token": uuid.uuid4().hex,
            "host": socket.gethostname(),
            "machine": _machine(),
            "pid": os.getpid(),
            "process_started": psutil.Process().create_time(),
            "process_ticks": _ticks(os.getpid()),
            "since": time.time(),
        }

    def __enter__(self) -> Lease:
        with self._locked():
            holder = self._holder()
            if holder is not None and _alive(holder):
                raise GuardError(_refusal(self._folder.location, holder))
            _held_here.add(self._mine["token"])  # first, since another thread of this process may look next
            self._beat()
        if not self._folder.local:
            time.sleep(_SETTLE_SECONDS)
        if not self._is_mine():
            _held_here.discard(self._mine["token"])
            raise GuardError(f"output {self._folder.location}: another run has just taken it; wait for it to end")
        self._renewer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._renewer.join()  # otherwise its last beat could bring the lease back
        _held_here.discard(self._mine["token"])
        with self._locked():
            if self._is_mine():
                self._folder.remove(LEASE)

    def check(self) -> None:
        """Refuse to go on if another run has taken over the output, because this one slept longer than the expiry.

        The file decides: after a sleep, this may be called before the heartbeat notices.

        Raises
        ------
        GuardError
        """
        if self._lost or not self._is_mine():
            raise GuardError(
                f"output {self._folder.location}: another run took it over while this one did not answer; "
                "wait for that one to end"
            )

    def _holder(self) -> dict[str, Any] | None:
        data = self._folder.read_bytes(LEASE)
        try:
            return None if data is None else _Holder.model_validate(object_of(data)).model_dump()
        except ValueError:
            return None  # not ours: we write atomically

    def _is_mine(self) -> bool:
        return bool((self._holder() or {}).get("token") == self._mine["token"])

    def _beat(self) -> None:
        self._folder.write(LEASE, json.dumps({**self._mine, "heartbeat": time.time()}))

    def _renew(self) -> None:
        while not self._ended.wait(HEARTBEAT_SECONDS):
            try:
                with self._locked():
                    if not self._is_mine():
                        self._lost = True
                        return
                    self._beat()
            except Exception:  # a store that is briefly out of reach must not end the heartbeat
                continue

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other runs of this machine from reading or changing the lease; the folder itself is the lock."""
        if not self._folder.local:
            yield
            return
        self._folder.make()
        handle = os.open(self._folder.location.removeprefix("file://"), os.O_RDONLY)
        try:
            _lock(handle)
            yield
        finally:
            os.close(handle)


def _lock(handle: int) -> None:
    try:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX)
    except (ImportError, OSError):  # some network file systems cannot lock folders; then only the token decides
        return


def _machine() -> str:
    """Identify the scope of process ids: containers may share a host name, and a machine may have rebooted."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{socket.gethostname()} {boot} {os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        return f"{socket.gethostname()} {uuid.getnode()}"


def _ticks(pid: int) -> int | None:
    """Return when a process began, in ticks since boot; None if the system does not say.

    Wall-clock time would change when the clock is set, and a living holder would look like another process.
    """
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return None


def _alive(holder: dict[str, Any]) -> bool:
    if holder.get("machine") == _machine():
        if holder.get("pid") == os.getpid():
            return holder.get("token") in _held_here
        pid = int(str(holder.get("pid")))
        try:
            started = float(psutil.Process(pid).create_time())
        except psutil.Error:
            return False
        if None not in (known := (holder.get("process_ticks"), _ticks(pid))):
            return known[0] == known[1]
        return abs(started - float(str(holder.get("process_started")))) < 2.0
    return time.time() - float(str(holder.get("heartbeat", 0))) < EXPIRY_SECONDS


def _refusal(output: str, holder: dict[str, Any]) -> str:
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(float(str(holder.get("since", 0)))))
    if float(str(holder.get("heartbeat", 0))) > time.time() + EXPIRY_SECONDS:
        return (
            f"output {output} is held by process {holder.get('pid')} on {holder.get('host')}, whose clock is ahead of "
            f"this one's: wait for it to end; if it has died, remove {LEASE} there, or choose another output"
        )
    return (
        f"output {output} is held by process {holder.get('pid')} on {holder.get('host')} since {since}: "
        "wait for it to end, or choose another output"
    )
