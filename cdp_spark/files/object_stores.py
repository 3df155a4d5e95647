"""Let Arrow reach object stores like Spark, so that credentials are given only once, to Spark.

Spark's executors write tables through Hadoop's S3A; this process writes small files beside them through Arrow. Spark's
settings for S3 (``spark.hadoop.fs.s3a.access.key``, ``secret.key``, ``session.token``, ``endpoint``,
``endpoint.region``, ``connection.ssl.enabled``, and the same below ``fs.s3a.bucket.NAME``) also apply to Arrow. If they
name no credentials, both ask the machine: environment, profile, role.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from pyarrow import fs

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_SETTINGS = {
    "access.key": "access_key", "secret.key": "secret_key", "session.token": "session_token",
    "endpoint.region": "region", "endpoint": "endpoint_override", "connection.ssl.enabled": "scheme",
}  # fmt: skip
_session: list[Any] = []


def take_settings(spark: SparkSession) -> None:
    """Use this session's settings for folders that are opened from now on."""
    _session[:] = [spark]


def take_given(settings: Mapping[str, str]) -> None:
    """Use these Spark settings for folders that are opened before there is a session."""
    _session[:] = [SimpleNamespace(conf=SimpleNamespace(get=settings.get))]


def s3_files(bucket: str) -> fs.FileSystem | None:
    """Open S3 with the session's settings; None if they have none for it."""
    options = s3_options(_session[0], bucket) if _session else {}
    return fs.S3FileSystem(**options) if options else None


def s3_options(spark: Any, bucket: str) -> dict[str, Any]:
    """Translate Spark's settings.

    >>> from types import SimpleNamespace
    >>> known = {"access.key": "a", "endpoint": "https://store:9000", "bucket.lake.access.key": "b"}
    >>> get = lambda key, default=None: known.get(key.removeprefix("spark.hadoop.fs.s3a."), default)
    >>> spark = SimpleNamespace(conf=SimpleNamespace(get=get))
    >>> s3_options(spark, "lake")
    {'access_key': 'b', 'endpoint_override': 'store:9000', 'region': 'us-east-1', 'scheme': 'https'}
    >>> s3_options(spark, "other")["access_key"]
    'a'
    """
    options: dict[str, Any] = {}
    for ending, name in _SETTINGS.items():
        for prefix in (f"bucket.{bucket}.", ""):
            value = _setting(spark, f"spark.hadoop.fs.s3a.{prefix}{ending}")
            if value is not None:
                options[name] = value
                break
    plain = str(options.pop("scheme", "true")).lower() == "false"
    if (endpoint := options.get("endpoint_override")) is not None:
        scheme, mark, host = endpoint.rpartition("://")
        options |= {"endpoint_override": host, "region": options.get("region", "us-east-1")}
        options["scheme"] = scheme if mark else "http" if plain else "https"
    return options


def _setting(spark: Any, key: str) -> str | None:
    try:
        value = spark.conf.get(key, None)
    except Exception:  # a session that has ended, or a platform that hides them
        return None
    return None if value is None else str(value)
