"""The embedded engine Sail: a Spark Connect server in Rust that runs inside this process, without Java."""

from __future__ import annotations

import atexit
import importlib.metadata
import os
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from cdp_spark.base.errors import MissingRequirementError
from cdp_spark.base.messages import one_line

_S3A = "spark.hadoop.fs.s3a."
_STORE_SETTINGS = {
    "access.key": "AWS_ACCESS_KEY_ID", "secret.key": "AWS_SECRET_ACCESS_KEY", "session.token": "AWS_SESSION_TOKEN",
    "endpoint.region": "AWS_REGION", "endpoint": "AWS_ENDPOINT_URL",
}  # fmt: skip
"""Spark's settings for S3, and Sail's environment variables for the same."""
_SHARED = ("spark.sql.session.timeZone", "spark.app.name")
"""Settings that mean the same on both engines."""
_LOOPBACK = ("127.0.0.1", "localhost")
_UNPROXIED = ("no_grpc_proxy", "no_proxy")
"""Variables with hosts that gRPC reaches directly; the first that is set counts."""
_running: list[Any] = []


def sail_installed() -> bool:
    """Return whether the package is there."""
    return find_spec("pysail") is not None


def sail_version() -> str:
    """Return the release that is installed."""
    return importlib.metadata.version("pysail")


def serves(setting: str) -> bool:
    """Return whether a Spark setting has a meaning on Sail.

    >>> serves("spark.sql.session.timeZone"), serves("spark.hadoop.fs.s3a.access.key"), serves("spark.executor.memory")
    (True, True, False)
    """
    return setting in _SHARED or setting.startswith(_S3A)


def server_url(conf: Mapping[str, str]) -> str:
    """Start the server, unless it runs already, and return the URL of Spark Connect that it answers on.

    Parameters
    ----------
    conf : mapping of str to str
        Spark settings; those for S3 become environment variables for Sail.
    """
    _store_settings(conf)
    keep_from_proxies()
    if not _running:
        # Sail logs to stderr. Errors reach us through the client.
        os.environ.setdefault("RUST_LOG", "off")
        from pysail.spark import SparkConnectServer

        try:
            server = SparkConnectServer(ip="127.0.0.1", port=0)
            server.start(background=True)
        except Exception as error:  # in Rust
            why = one_line(str(error), 200)
            raise MissingRequirementError(f"Sail does not start: {why}: look at the variables SAIL_*") from None
        atexit.register(server.stop)
        _running.append(server)
    host, port = _running[0].listening_address
    return f"sc://{host}:{port}"


def keep_from_proxies() -> None:
    """Let gRPC reach a server of this machine directly: it would ask the proxy of ``http_proxy``, and wait forever.

    Only gRPC's own variable changes: ``no_proxy`` is also for other programs.
    """
    excluded = next(filter(None, map(os.environ.get, _UNPROXIED)), "")
    missing = [host for host in _LOOPBACK if host not in excluded.split(",")]
    if missing:
        os.environ[_UNPROXIED[0]] = ",".join(filter(None, (excluded, *missing)))


def _store_settings(conf: Mapping[str, str]) -> None:
    for ending, name in _STORE_SETTINGS.items():
        if (value := conf.get(_S3A + ending)) is not None:
            os.environ[name] = value
    if conf.get(f"{_S3A}connection.ssl.enabled", "true").lower() == "false":
        os.environ["AWS_ALLOW_HTTP"] = "true"
        endpoint = os.environ.get("AWS_ENDPOINT_URL", "")
        if endpoint and "://" not in endpoint:
            os.environ["AWS_ENDPOINT_URL"] = f"http://{endpoint}"
