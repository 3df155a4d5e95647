"""Servers that do not answer: a line soon, and an end within the time that is given."""

from __future__ import annotations

import os
import socket
import time

import pytest

from cdp_spark.base.errors import MissingRequirementError
from cdp_spark.spark import remote, sail


@pytest.fixture
def closed():
    """A port of loopback where nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.fixture
def mute():
    """One where something listens and says nothing."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


@pytest.mark.parametrize("place", ["closed", "mute"])
def test_nothing_that_speaks_spark_connect_is_said_soon_and_given_up(request, monkeypatch, place):
    monkeypatch.setattr(remote, "_SAY_SECONDS", 0.2)
    port, told, begun = request.getfixturevalue(place), [], time.monotonic()
    with pytest.raises(MissingRequirementError, match=f"nothing answered at sc://localhost:{port} within 1 s: start"):
        remote.check_connect(f"sc://localhost:{port}/;token=secret", say=told.append, seconds=1.0)
    assert time.monotonic() - begun < 10
    assert told == [f"waiting for sc://localhost:{port}, up to 1 s: nothing answers there yet"]


@pytest.mark.parametrize("url", ["sc://", "sc://host:1/path", "sc://host:1/;nonsense"])
def test_an_address_that_is_none_is_refused_at_once(url):
    with pytest.raises(MissingRequirementError, match=r"is not an address of Spark Connect .*write sc://HOST:PORT"):
        remote.check_connect(url)


def test_of_a_clusters_masters_one_must_listen(closed, mute):
    remote.check_masters(f"spark://127.0.0.1:{closed},127.0.0.1:{mute}")
    remote.check_masters("local[2]")
    with pytest.raises(MissingRequirementError, match=f"no master answers at spark://127.0.0.1:{closed} .*refused"):
        remote.check_masters(f"spark://127.0.0.1:{closed}", seconds=0.5)
    with pytest.raises(MissingRequirementError, match="write it as spark://HOST:PORT"):
        remote.check_masters("spark://127.0.0.1")


def test_a_proxy_that_may_stand_in_the_way_is_named(closed, monkeypatch):
    monkeypatch.setattr(remote, "_SAY_SECONDS", 0.1)
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    with pytest.raises(MissingRequirementError, match="https_proxy is set: name the host in no_grpc_proxy"):
        remote.check_connect(f"sc://localhost:{closed}", say=lambda _: None, seconds=0.2)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({}, "127.0.0.1,localhost"), ({"no_proxy": ".corp"}, ".corp,127.0.0.1,localhost"),
        ({"no_grpc_proxy": "a,localhost", "no_proxy": "b"}, "a,localhost,127.0.0.1"),
        ({"no_proxy": "localhost,127.0.0.1"}, None),
    ],
)  # fmt: skip
def test_servers_of_this_machine_are_reached_without_a_proxy(monkeypatch, given, wanted):
    environment = dict(given)
    monkeypatch.setattr(os, "environ", environment)
    sail.keep_from_proxies()
    assert environment.get("no_grpc_proxy") == wanted
