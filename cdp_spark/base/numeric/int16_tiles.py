"""Multiply a tile of queries by a group of rows, as LLVM code: integers whose products stay in registers.

In: codes of 16 bits. Out: the scores of the products, and as bits those that exceed the bound of their query.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from cdp_spark.base.numeric.simd import INT32, Written, everywhere, intrinsic

GROUP = 32
"""Rows with interleaved codes: two numbers of each row in turn, then the next two of each."""

WORD = 2
"""Adjacent numbers of a row: the instruction multiplies and adds them at once."""

QUERIES = 12
"""Queries per tile. Two accumulators each; the remaining vector registers hold the operands."""

_LANES = 16
_VECTORS = GROUP // _LANES
_INTS, _FLOATS = ir.VectorType(INT32, _LANES), ir.VectorType(ir.FloatType(), _LANES)


@intrinsic
def has_instruction(typing_context: Any) -> Written:
    """Return whether the processor multiplies and adds words by one instruction."""

    def code(context: Any, builder: ir.IRBuilder, signature: Any, given: Any) -> ir.Value:
        return ir.Constant(ir.IntType(1), int(_multiplies_words(*context.codegen().magic_tuple())))

    return types.boolean(), code


def _multiplies_words(_: str, __: str, features: str) -> bool:
    """Return the same for a machine as numba describes it.

    >>> _multiplies_words("x86_64-unknown-linux-gnu", "znver4", "+avx512f,+avx512vnni")
    True
    >>> _multiplies_words("x86_64-unknown-linux-gnu", "skylake-avx512", "+avx512f,-avx512vnni")
    False
    """
    return "+avx512vnni" in features.split(",")


@intrinsic
def multiply(
    typing_context: Any,
    packed: Any,
    group: Any,
    factors: Any,
    offsets: Any,
    codes: Any,
    passing: Any,
    products: Any,
    masks: Any,
) -> Written:
    """Write the scores of a tile and a group, and bits of those above the bound."""

    def code(context: Any, builder: ir.IRBuilder, signature: Any, given: Any) -> ir.Value:
        kinds = signature.args
        rows, factor, offset, asking, bounds, out, bits = (
            context.make_array(kinds[number])(context, builder, given[number]).data for number in (0, 2, 3, 4, 5, 6, 7)
        )
        shape = context.make_array(kinds[4])(context, builder, given[4]).shape
        words = builder.udiv(builder.extract_value(shape, 1), ir.Constant(given[1].type, WORD))
        width = builder.mul(words, ir.Constant(words.type, GROUP * WORD))
        sums = _sums(context, builder, builder.gep(rows, [builder.mul(given[1], width)]), asking, words)
        first = builder.mul(given[1], ir.Constant(given[1].type, GROUP))
        weights, constants = (_loaded(builder, builder.gep(of_rows, [first]), _FLOATS) for of_rows in (factor, offset))
        for query in range(QUERIES):
            bound = everywhere(builder, builder.load(builder.gep(bounds, [ir.Constant(INT32, query)])), _LANES)
            passed = []
            for vector in range(_VECTORS):
                product = builder.fmul(builder.sitofp(sums[query][vector], _FLOATS), weights[vector])
                score = builder.fadd(product, constants[vector])
                address = builder.gep(out, [ir.Constant(INT32, query * GROUP + vector * _LANES)])
                builder.store(score, builder.bitcast(address, _FLOATS.as_pointer()), align=4)
                passed.append(builder.bitcast(builder.fcmp_ordered(">", score, bound), ir.IntType(_LANES)))
            low, high = (builder.zext(some, INT32) for some in passed)
            mask = builder.or_(low, builder.shl(high, ir.Constant(INT32, _LANES)))
            builder.store(mask, builder.gep(bits, [ir.Constant(INT32, query)]))
        return context.get_dummy_value()

    return types.none(packed, types.intp, factors, offsets, codes, passing, products, masks), code


def _sums(
    context: Any, builder: ir.IRBuilder, rows: ir.Value, asking: ir.Value, words: ir.Value
) -> list[list[ir.Value]]:
    """Sum up the products of each query's words with those of all rows, word by word."""
    by_instruction = _multiplies_words(*context.codegen().magic_tuple())
    add = _add_by_instruction if by_instruction else _add_by_shifts
    allocate: Any = cgutils.alloca_once
    accumulators = [[allocate(builder, _INTS) for _ in range(_VECTORS)] for _ in range(QUERIES)]
    for own in accumulators:
        for accumulator in own:
            builder.store(_constant(0), accumulator)
    size = ir.Constant(words.type, WORD)
    with cgutils.for_range(builder, words, intp=words.type) as loop:
        word = builder.mul(loop.index, size)
        some = _loaded(builder, builder.gep(rows, [builder.mul(word, ir.Constant(words.type, GROUP))]), _INTS)
        for query, own in enumerate(accumulators):
            row = builder.mul(builder.mul(words, size), ir.Constant(words.type, query))
            at = builder.bitcast(builder.gep(asking, [builder.add(row, word)]), INT32.as_pointer())
            asked = everywhere(builder, builder.load(at, align=2), _LANES)
            for accumulator, vector in zip(own, some, strict=True):
                builder.store(add(builder, builder.load(accumulator), vector, asked), accumulator)
    return [[builder.load(accumulator) for accumulator in own] for own in accumulators]


def _add_by_instruction(builder: ir.IRBuilder, sums: ir.Value, rows: ir.Value, asked: ir.Value) -> ir.Value:
    kind = ir.FunctionType(_INTS, [_INTS, _INTS, _INTS])
    return builder.call(builder.module.declare_intrinsic("llvm.x86.avx512.vpdpwssd.512", (), kind), [sums, rows, asked])


def _add_by_shifts(builder: ir.IRBuilder, sums: ir.Value, rows: ir.Value, asked: ir.Value) -> ir.Value:
    """Do the same with instructions that all processors have."""
    for shift in (16, 0):
        row, query = (builder.ashr(builder.shl(some, _constant(shift)), _constant(16)) for some in (rows, asked))
        sums = builder.add(sums, builder.mul(row, query))
    return sums


def _constant(number: int) -> ir.Constant:
    return ir.Constant(_INTS, [number] * _LANES)


def _loaded(builder: ir.IRBuilder, at: ir.Value, kind: ir.VectorType) -> Sequence[ir.Value]:
    """Load the two vectors of a group; they need not be aligned."""
    first = builder.bitcast(at, kind.as_pointer())
    return [builder.load(builder.gep(first, [ir.Constant(INT32, vector)]), align=2) for vector in range(_VECTORS)]
