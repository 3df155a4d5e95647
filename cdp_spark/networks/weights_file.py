"""Networks as safetensors: bytes of named arrays, which no one ever unpickles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cdp_spark.networks.kernels.mlp import Mlp

Tensors = dict[str, NDArray[Any]]

_LONGEST_HEADER = 100_000_000
"""Bytes; the format allows no more."""


def tensors_of(name: str, net: Mlp) -> Tensors:
    """Name the arrays of a network: ``name.mean``, ``name.weights.0``, ..."""
    arrays: Tensors = {"mean": net.mean, "scale": net.scale, "temperature": np.array([net.temperature])}
    for number, (weights, bias) in enumerate(net.layers):
        arrays[f"weights.{number}"], arrays[f"bias.{number}"] = weights, bias
    return {f"{name}.{suffix}": array for suffix, array in arrays.items()}


def net_of(name: str, tensors: Mapping[str, NDArray[Any]]) -> Mlp:
    """Put a network together again.

    Raises
    ------
    KeyError, ValueError
        If arrays are missing or do not fit each other.
    """
    layers: list[tuple[NDArray[Any], NDArray[Any]]] = []
    while f"{name}.weights.{len(layers)}" in tensors:
        layers.append((tensors[f"{name}.weights.{len(layers)}"], tensors[f"{name}.bias.{len(layers)}"]))
    net = Mlp(
        tensors[f"{name}.mean"], tensors[f"{name}.scale"], tuple(layers), float(tensors[f"{name}.temperature"][0])
    )
    width = len(net.mean)
    for weights, bias in layers:
        if weights.shape != (width, len(bias)):
            raise ValueError(f"{name}: layers do not fit")
        width = len(bias)
    if not layers or len(net.scale) != len(net.mean) or not net.temperature > 0:
        raise ValueError(f"{name}: no network")
    return net


def as_bytes(tensors: Tensors) -> bytes:
    """Return the file's bytes."""
    from safetensors.numpy import save

    data: bytes = save({name: np.ascontiguousarray(value) for name, value in tensors.items()})
    return data


def from_bytes(data: bytes) -> Tensors:
    """Read them.

    Raises
    ------
    ValueError
        If they are damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        tensors: Tensors = load(data)
    except SafetensorError as error:
        raise ValueError(str(error)) from None
    return tensors


def is_pickle(data: bytes) -> bool:
    """Return whether bytes are a pickle, or a torch archive of one, from how they start.

    Safetensors begin with the length of their header, whose first byte may also be a pickle's.

    >>> is_pickle(b"\\x80\\x04K\\x01."), is_pickle(b"\\x80" + bytes(7) + b'{"__metadata__"')
    (True, False)
    """
    if data[8:9] == b"{" and int.from_bytes(data[:8], "little") <= _LONGEST_HEADER:
        return False
    return data[:1] == b"\x80" or data[:2] == b"PK"
