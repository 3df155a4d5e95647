"""float16 vectors for compiled code, as their bits in half the memory of float32: numba knows no float16.

The 16 bits of a value become float32 exactly, one vector register at a time: by the processor's own instruction, or by
two shifts and one multiplication. Values are never infinite or NaN: embeddings are finite.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numpy.typing import NDArray

from cdp_spark.base.compiled import compiled, read_only
from cdp_spark.base.numeric.simd import INT32, Written, intrinsic

Bits = NDArray[np.uint16]
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

_SIGN, _REST = ir.Constant(INT32, 0x8000), ir.Constant(INT32, 0x7FFF)
_SCALE = ir.Constant(ir.FloatType(), 2.0**112)
"""Exponents are biased by 127 in float32 and by 15 in float16: 2**(127 - 15). Subnormal values come out right."""


def bits_of(vectors: NDArray[Any]) -> Bits:
    """Return the bits of float16 values; copies those that have a wider type.

    The result is read-only, so that kernels see one type wherever the memory comes from.

    >>> bits_of(np.float32([1.0, -2.0])).tolist() == [0x3C00, 0xC000]
    True
    """
    return read_only(np.ascontiguousarray(vectors, np.float16).view(np.uint16))


def values_of(bits: Bits) -> Floats:
    """Return an empty buffer for the values of one row of bits, shape (d,)."""
    return np.empty(bits.shape[1], np.float32)


def floats_of(bits: Bits, out: Floats) -> Floats:
    """Write the values of bits, shape (n, d), into ``out`` and return it.

    >>> values = np.float16([[1.5, -2.0, 6e-8, 0.0, 65504.0]])
    >>> bool((floats_of(bits_of(values), np.empty((1, 5), np.float32)) == values).all())
    True
    """
    _convert(read_only(bits), out)
    return out


@intrinsic
def _value(typing_context: Any, bits: Any) -> Written:
    """Return the float32 of a float16's bits."""

    def code(context: Any, builder: ir.IRBuilder, signature: Any, given: Any) -> ir.Value:
        convert = _by_instruction if _has_instruction(*context.codegen().magic_tuple()) else _by_shifts
        return convert(builder, given[0])

    return types.float32(types.uint16), code


def _has_instruction(triple: str, _: str, features: str) -> bool:
    """Return whether the processor converts float16.

    If it does not, LLVM would call a function that is missing.

    >>> _has_instruction("x86_64-unknown-linux-gnu", "znver4", "+avx2,+f16c")
    True
    >>> _has_instruction("x86_64-unknown-linux-gnu", "nehalem", "+sse4.2,-f16c")
    False
    """
    return "+f16c" in features.split(",") or triple.startswith(("aarch64", "arm64"))


def _by_instruction(builder: ir.IRBuilder, bits: ir.Value) -> ir.Value:
    return builder.fpext(builder.bitcast(bits, ir.HalfType()), ir.FloatType())


def _by_shifts(builder: ir.IRBuilder, bits: ir.Value) -> ir.Value:
    wide = builder.zext(bits, INT32)
    rest = builder.shl(builder.and_(wide, _REST), ir.Constant(INT32, 13))
    sign = builder.shl(builder.and_(wide, _SIGN), ir.Constant(INT32, 16))
    return builder.fmul(builder.bitcast(builder.or_(rest, sign), ir.FloatType()), _SCALE)


@compiled
def _convert(bits: Bits, out: Floats) -> None:
    for row in range(len(bits)):
        for i in range(bits.shape[1]):
            out[row, i] = _value(bits[row, i])


@compiled(fastmath=True)
def dot_with(values: Floats, bits: Bits) -> float:
    """Return the inner product of float16 values (as float32) and bits, in float64.

    A product of two float16 values is exact in float32. The sum of those of two vectors of about unit norm is exact, in
    any order.
    """
    total = 0.0
    for i in range(len(values)):
        total += np.float64(values[i] * _value(bits[i]))
    return total


@compiled(fastmath=True)
def rough_dot_with(values: Floats, bits: Bits) -> np.float32:
    """Return the same product summed in float32: it differs by at most ``slack_of``."""
    total = np.float32(0)
    for i in range(len(values)):
        total += values[i] * _value(bits[i])
    return total


def slack_of(dimension: int) -> float:
    """Return twice the error bound of a float32 dot product of unit vectors.

    2 * (dimension + 8) * 2**-24: one rounding for each dimension, and eight for later operations.
    """
    return float(dimension + 8) * 2.0**-23


@compiled
def similarity_with(values: Floats, bits: Bits, norms: float) -> np.float32:
    """Return float32(clip(dot / norms, -1, 1)); see :func:`dot_with`."""
    return np.float32(min(1.0, max(-1.0, dot_with(values, bits) / norms)))


@compiled
def spread(bits: Bits, values: Floats) -> None:
    """Write the values of one vector of bits as float32."""
    for i in range(len(bits)):
        values[i] = _value(bits[i])


def row_norms(vectors: NDArray[Any]) -> Doubles:
    """Return the Euclidean norm of each row of float16 values, in float64."""
    norms = np.empty(len(vectors), np.float64)
    bits = bits_of(vectors)
    _norms(bits, norms, values_of(bits))
    return norms


@compiled
def _norms(bits: Bits, norms: Doubles, values: Floats) -> None:
    for row in range(len(bits)):
        spread(bits[row], values)
        norms[row] = np.sqrt(dot_with(values, bits[row]))
