"""What processors do and numba has no word for: compare many numbers at once, ask for memory before it is read.

Both are written for LLVM, which turns them into whatever the machine has, of AVX-512 as of none of it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import extending, types

from cdp_spark.base.compiled import compiled

intrinsic: Any = extending.intrinsic
"""Of a function that writes LLVM's code: its own signature has one argument more than what it makes."""

LANES = 32
"""Numbers that are compared at once, a bit for each."""

LINE = 64
"""Bytes that come from memory together, on nearly all machines."""

INT32 = ir.IntType(32)
"""A number of 32 bits, as LLVM knows it."""


@compiled(inline="always")
def bits_above(values, row, start, bound):  # type: ignore[no-untyped-def]
    """Return, as bits, which of ``values[row, start : start + LANES]`` are above the bound; C order, float32."""
    if start + LANES <= values.shape[1]:
        return _above(values, row * values.shape[1] + start, bound)
    bits = np.uint32(0)
    for column in range(start, values.shape[1]):
        bits |= np.uint32(values[row, column] > bound) << np.uint32(column - start)
    return bits


@compiled(inline="always")
def bits_above_scaled(values, row, start, factors, bound):  # type: ignore[no-untyped-def]
    """Return the same of ``values[row, column] * factors[column]``."""
    if start + LANES <= values.shape[1]:
        return _scaled_above(values, row * values.shape[1] + start, factors, start, bound)
    bits = np.uint32(0)
    for column in range(start, values.shape[1]):
        bits |= np.uint32(values[row, column] * factors[column] > bound) << np.uint32(column - start)
    return bits


@intrinsic
def _above(typing_context, values, at, bound):  # type: ignore[no-untyped-def]
    def code(context, builder, signature, given):  # type: ignore[no-untyped-def]
        some = _loaded(context, builder, signature.args[0], given[0], given[1])
        return _bits_above(builder, some, given[2])

    return types.uint32(values, types.intp, types.float32), code


@intrinsic
def _scaled_above(typing_context, values, at, factors, first, bound):  # type: ignore[no-untyped-def]
    def code(context, builder, signature, given):  # type: ignore[no-untyped-def]
        some = _loaded(context, builder, signature.args[0], given[0], given[1])
        others = _loaded(context, builder, signature.args[2], given[2], given[3])
        return _bits_above(builder, builder.fmul(some, others), given[4])

    return types.uint32(values, types.intp, factors, types.intp, types.float32), code


@intrinsic
def lowest(typing_context, bits):  # type: ignore[no-untyped-def]
    """Return the place of the lowest bit that is set."""

    def code(context, builder, signature, given):  # type: ignore[no-untyped-def]
        place = builder.cttz(given[0], ir.Constant(ir.IntType(1), 1))
        return builder.zext(place, context.get_value_type(types.intp))

    return types.intp(types.uint32), code


@intrinsic
def prefetch_one(typing_context, values, place):  # type: ignore[no-untyped-def]
    """Ask for a number of a contiguous array, counted over all axes; nothing is waited for."""

    def code(context, builder, signature, given):  # type: ignore[no-untyped-def]
        array = context.make_array(signature.args[0])(context, builder, given[0])
        byte = ir.IntType(8).as_pointer()
        place = builder.bitcast(builder.gep(array.data, [given[1]]), byte)
        hint = builder.module.declare_intrinsic(
            "llvm.prefetch", [byte], ir.FunctionType(ir.VoidType(), [byte, INT32, INT32, INT32])
        )
        to_read, keep, data = (ir.Constant(INT32, number) for number in (0, 3, 1))
        builder.call(hint, [place, to_read, keep, data])
        return context.get_dummy_value()

    return types.none(values, types.intp), code


@compiled(inline="always")
def prefetch(values, row):  # type: ignore[no-untyped-def]
    """Ask for a row of a contiguous two-dimensional array, which is read soon."""
    for place in range(row * values.shape[1], (row + 1) * values.shape[1], LINE // values.itemsize):
        prefetch_one(values, place)


def _loaded(context: Any, builder: ir.IRBuilder, kind: types.Array, array: ir.Value, at: ir.Value) -> ir.Value:
    first = builder.gep(context.make_array(kind)(context, builder, array).data, [at])
    some = builder.load(builder.bitcast(first, ir.VectorType(ir.FloatType(), LANES).as_pointer()))
    some.align = 4  # that of one number
    return some


def _bits_above(builder: ir.IRBuilder, some: ir.Value, bound: ir.Value) -> ir.Value:
    passed = builder.fcmp_ordered(">", some, everywhere(builder, bound, LANES))
    return builder.bitcast(passed, ir.IntType(LANES))


def everywhere(builder: ir.IRBuilder, one: ir.Value, count: int) -> ir.Value:
    """Return a vector of so many equal numbers."""
    alone = ir.Constant(ir.VectorType(one.type, 1), ir.Undefined)
    filled = builder.insert_element(alone, one, ir.Constant(INT32, 0))
    return builder.shuffle_vector(filled, alone, ir.Constant(ir.VectorType(INT32, count), [0] * count))
