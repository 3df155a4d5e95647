"""One run at a time writes to an output: a lease with a heartbeat.

Refused while its holder is alive; taken over at once when the holder was a process of this machine that has ended, and
after the expiry when it was elsewhere.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from types import TracebackType

import psutil

from cdp_spark.base.errors import GuardError
from cdp_spark.runtime.files import Folder

LEASE = "_lease.json"
HEARTBEAT_SECONDS = 10.0
EXPIRY_SECONDS = 60.0


class Lease:
    """Hold an output while the block runs.

    Raises
    ------
    GuardError
        On entering, when a living run holds the output.
    """

    def __init__(self, output: str) -> None:
        self._folder = Folder(output)
        self._ended = threading.Event()
        self._mine = {
            "token": uuid.uuid4().hex,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "process_started": psutil.Process().create_time(),
            "since": time.time(),
        }

    def __enter__(self) -> Lease:
        held = self._folder.read(LEASE)
        if held is not None and _alive(json.loads(held)):
            raise GuardError(_refusal(self._folder.location, json.loads(held)))
        self._beat()
        # Two that start together both write; the one whose token stands is the holder.
        time.sleep(0.05)
        if self._token() != self._mine["token"]:
            raise GuardError(f"output {self._folder.location}: another run has just taken it; wait for it to end")
        threading.Thread(target=self._renew, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._token() == self._mine["token"]:
            self._folder.remove(LEASE)

    def _token(self) -> str | None:
        text = self._folder.read(LEASE)
        return None if text is None else json.loads(text).get("token")

    def _beat(self) -> None:
        self._folder.write(LEASE, json.dumps({**self._mine, "heartbeat": time.time()}))

    def _renew(self) -> None:
        while not self._ended.wait(HEARTBEAT_SECONDS):
            if self._token() != self._mine["token"]:
                return
            self._beat()


def _alive(holder: dict[str, object]) -> bool:
    if holder.get("host") == socket.gethostname():
        try:
            started = float(psutil.Process(int(str(holder.get("pid")))).create_time())
        except psutil.Error:
            return False
        return abs(started - float(str(holder.get("process_started")))) < 2.0
    return time.time() - float(str(holder.get("heartbeat", 0))) < EXPIRY_SECONDS


def _refusal(output: str, holder: dict[str, object]) -> str:
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(float(str(holder.get("since", 0)))))
    return (
        f"output {output} is held by process {holder.get('pid')} on {holder.get('host')} since {since}: "
        "wait for it to end, or choose another output"
    )
