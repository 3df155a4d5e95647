"""An S3 server on loopback, for tests."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from pyarrow import fs

from tests.standalone import free_port

SECRET = "word-that-no-file-may-hold"


@dataclass(frozen=True)
class Store:
    """A running server with one bucket, ``lake``."""

    endpoint: str
    files: fs.FileSystem

    @property
    def settings(self) -> dict[str, str]:
        """Settings of Spark."""
        own = {
            "access.key": "cdp-tests", "secret.key": SECRET, "endpoint": self.endpoint, "path.style.access": "true",
            "endpoint.region": "us-east-1", "connection.ssl.enabled": "false",
        }  # fmt: skip
        return {f"spark.hadoop.fs.s3a.{key}": value for key, value in own.items()}

    @property
    def variables(self) -> dict[str, str]:
        """Environment of other programs."""
        return {
            "AWS_ACCESS_KEY_ID": "cdp-tests", "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": "us-east-1", "AWS_ALLOW_HTTP": "true",
        }  # fmt: skip

    def put(self, folder: Path, path: str) -> None:
        """Copy a folder of this machine into the bucket."""
        for file in filter(Path.is_file, folder.rglob("*")):
            with self.files.open_output_stream(f"lake/{path}/{file.relative_to(folder)}") as stream:
                stream.write(file.read_bytes())


@contextmanager
def store() -> Iterator[Store]:
    """Run an empty server while the block runs."""
    server = pytest.importorskip("moto.server", reason="moto, of the extra dev, is not installed")
    port = free_port()
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # a run is thousands of requests, a line each
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    running.start()
    try:
        # What it holds belongs to the process, not to the server: an earlier one's buckets would be here.
        urlopen(Request(f"http://127.0.0.1:{port}/moto-api/reset", method="POST"), timeout=10).close()
        files = fs.S3FileSystem(
            access_key="cdp-tests", secret_key=SECRET, region="us-east-1", scheme="http",
            endpoint_override=f"127.0.0.1:{port}", allow_bucket_creation=True,
        )  # fmt: skip
        files.create_dir("lake")
        yield Store(f"http://127.0.0.1:{port}", files)
    finally:
        running.stop()
