"""Vector comparisons and prefetches, which numba lacks.

Both are written as LLVM code, which LLVM compiles for any machine, with or without AVX-512.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import extending, types
from numpy.typing import NDArray

from cdp_spark.base.compiled import compiled

Floats = NDArray[np.float32]

Written = tuple[Any, Callable[..., ir.Value]]
"""The signature of an intrinsic, and the function that writes its code."""

LANES = 32
"""Numbers that are compared at once, one bit for each."""

LINE = 64
"""Bytes of a cache line, on nearly all machines."""

INT32 = ir.IntType(32)
"""LLVM's type of a 32-bit integer."""


def intrinsic(function: Callable[..., Written]) -> Any:
    """Make a function of compiled code from one that writes it for LLVM.

    The first argument of ``function``, the typing context, is not an argument of the result.
    """
    return extending.intrinsic(function)


@compiled(inline="always")
def bits_above(values: Floats, row: int, start: int, bound: np.float32) -> np.uint32:
    """Return as bits which of ``values[row, start : start + LANES]`` exceed a bound.

    ``values`` is in C order.
    """
    if start + LANES <= values.shape[1]:
        return np.uint32(_above(values, row * values.shape[1] + start, bound))
    bits = np.uint32(0)
    for column in range(start, values.shape[1]):
        bits |= np.uint32(values[row, column] > bound) << np.uint32(column - start)
    return bits


@compiled(inline="always")
def bits_above_scaled(values: Floats, row: int, start: int, factors: Floats, bound: np.float32) -> np.uint32:
    """Return the same for ``values[row, column] * factors[column]``."""
    if start + LANES <= values.shape[1]:
        return np.uint32(_scaled_above(values, row * values.shape[1] + start, factors, start, bound))
    bits = np.uint32(0)
    for column in range(start, values.shape[1]):
        bits |= np.uint32(values[row, column] * factors[column] > bound) << np.uint32(column - start)
    return bits


@intrinsic
def _above(typing_context: Any, values: Any, at: Any, bound: Any) -> Written:
    def code(context: Any, builder: ir.IRBuilder, signature: Any, given: Any) -> ir.Value:
        vector = _loaded(context, builder, signature.args[0], given[0], given[1])
        return _bits_above(builder, vector, given[2])

    return types.uint32(values, types.intp, types.float32), code


@intrinsic
def _scaled_above(typing_context: Any, values: Any, at: Any, factors: Any, first: Any, bound: Any) -> Written:
    def code(context: Any, builder: ir.IRBuilder, signature: Any, given: Any) -> ir.Value:
        vector = _loaded(context, builder, signature.args[0], given[0], given[1])
        scale = _loaded(context, builder, signature.args[2], given[2], given[3])
        return _bits_above(builder, builder.fmul(vector, scale), given[4])

    return types.uint32(values, types.intp, factors, types.intp, types.float32), code


@intrinsic
def lowest(typing_context: Any, bits: Any) -> Written:
    """Return the position of the lowest bit that is set."""

    def code(context: Any, builder: ir.IRBuilder, signature: Any, given: Any) -> ir.Value:
        position = builder.cttz(given[0], ir.Constant(ir.IntType(1), 1))
        return builder.zext(position, context.get_value_type(types.intp))

    return types.intp(types.uint32), code


@intrinsic
def prefetch_one(typing_context: Any, values: Any, at: Any) -> Written:
    """Prefetch one number of a contiguous array, by its flat index; does not wait."""

    def code(context: Any, builder: ir.IRBuilder, signature: Any, given: Any) -> ir.Value:
        array = context.make_array(signature.args[0])(context, builder, given[0])
        byte = ir.IntType(8).as_pointer()
        address = builder.bitcast(builder.gep(array.data, [given[1]]), byte)
        hint = builder.module.declare_intrinsic(
            "llvm.prefetch", [byte], ir.FunctionType(ir.VoidType(), [byte, INT32, INT32, INT32])
        )
        to_read, keep, data = (ir.Constant(INT32, number) for number in (0, 3, 1))
        builder.call(hint, [address, to_read, keep, data])
        return context.get_dummy_value()

    return types.none(values, types.intp), code


@compiled(inline="always")
def prefetch(values: NDArray[Any], row: int) -> None:
    """Prefetch a row of a contiguous two-dimensional array."""
    for at in range(row * values.shape[1], (row + 1) * values.shape[1], LINE // values.itemsize):
        prefetch_one(values, at)


def _loaded(context: Any, builder: ir.IRBuilder, kind: types.Array, array: ir.Value, at: ir.Value) -> ir.Value:
    first = builder.gep(context.make_array(kind)(context, builder, array).data, [at])
    vector = builder.load(builder.bitcast(first, ir.VectorType(ir.FloatType(), LANES).as_pointer()))
    vector.align = 4  # that of one number
    return vector


def _bits_above(builder: ir.IRBuilder, vector: ir.Value, bound: ir.Value) -> ir.Value:
    passed = builder.fcmp_ordered(">", vector, everywhere(builder, bound, LANES))
    return builder.bitcast(passed, ir.IntType(LANES))


def everywhere(builder: ir.IRBuilder, one: ir.Value, count: int) -> ir.Value:
    """Return a vector of ``count`` equal numbers."""
    alone = ir.Constant(ir.VectorType(one.type, 1), ir.Undefined)
    filled = builder.insert_element(alone, one, ir.Constant(INT32, 0))
    return builder.shuffle_vector(filled, alone, ir.Constant(ir.VectorType(INT32, count), [0] * count))
