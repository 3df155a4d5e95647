"""Check that a server answers before PySpark waits for it, silently for minutes."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable

from cdp_spark.base.errors import MissingRequirementError
from cdp_spark.base.messages import one_line

_SAY_SECONDS, _GIVE_UP_SECONDS, _MASTER_SECONDS = 3.0, 45.0, 10.0


def check_connect(url: str, *, say: Callable[[str], object] | None = None, seconds: float = _GIVE_UP_SECONDS) -> None:
    """Wait until a Spark Connect server answers over gRPC, with proxies and TLS.

    Parameters
    ----------
    url : str
        ``sc://HOST:PORT/;key=value``.
    say : callable, optional
        Called once with a line that explains the wait; default: stderr.
    seconds : float
        Timeout.

    Raises
    ------
    MissingRequirementError
        If the address is wrong, or nothing answers there.
    """
    import grpc
    from pyspark.sql.connect.client.core import DefaultChannelBuilder

    address = url.split(";")[0].rstrip("/")  # without tokens
    try:
        channel = DefaultChannelBuilder(url).toChannel()
    except Exception as error:
        why = one_line(str(error), 200)
        raise MissingRequirementError(
            f"{address} is not an address of Spark Connect ({why}): write sc://HOST:PORT"
        ) from None
    ready = grpc.channel_ready_future(channel)
    try:
        for wait in (min(_SAY_SECONDS, seconds), seconds - min(_SAY_SECONDS, seconds)):
            try:
                ready.result(timeout=wait)
                return
            except grpc.FutureTimeoutError:
                if wait <= _SAY_SECONDS < seconds:
                    (say or _to_stderr)(f"waiting for {address}, up to {seconds:.0f} s: nothing answers there yet")
    finally:
        ready.cancel()
        channel.close()
    raise MissingRequirementError(
        f"nothing answered at {address} within {seconds:.0f} s: start the server of Spark Connect "
        f"(sbin/start-connect-server.sh), or check host, port and use_ssl{_proxies()}"
    )


def _proxies() -> str:
    """Name the variables by which gRPC asks a proxy, even for servers of this machine."""
    given = [name for name in ("grpc_proxy", "https_proxy", "http_proxy") if os.environ.get(name)]
    return f"; {given[0]} is set: name the host in no_grpc_proxy if it needs no proxy" if given else ""


def check_masters(master: str, seconds: float = _MASTER_SECONDS) -> None:
    """Check that a master of a standalone cluster listens; Spark itself would try for more than a minute.

    Parameters
    ----------
    master : str
        ``spark://HOST:PORT,HOST:PORT``; other masters are not checked.
    seconds : float

    Raises
    ------
    MissingRequirementError
    """
    if not master.startswith("spark://"):
        return
    addresses = [address.rpartition(":") for address in master.removeprefix("spark://").split(",")]
    if not all(host and port.isdigit() for host, _, port in addresses):
        raise MissingRequirementError(f"master {master}: write it as spark://HOST:PORT")
    deadline, why = time.monotonic() + seconds, ""
    while time.monotonic() < deadline:
        for host, _, port in addresses:
            try:
                socket.create_connection((host.strip("[]"), int(port)), timeout=seconds).close()
                return
            except (OSError, OverflowError) as error:
                why = str(error)
        time.sleep(0.5)
    raise MissingRequirementError(
        f"no master answers at {master} ({one_line(why, 100)}): start it, or name another one with --master"
    )


def _to_stderr(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
