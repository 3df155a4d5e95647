"""Nominate the nearest rows of queries by integer products, tile by tile.

A vector of at most unit norm is rounded to ``code / SCALE``, with codes of 16 bits. Products of codes are exact, cost
half as much as those of float32 where the processor has an instruction for them, and have a small error
(``slack_of_codes``). In: float16 rows in the order of their cells, and the queries that probe each cell. Out: pools
(``best_of_many``) of the rows with the greatest scores. A tile is twelve queries and a group of rows; only products of
rows that pass leave the processor's registers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numpy.typing import NDArray

from cdp_spark.base.compiled import compiled
from cdp_spark.base.numeric.best_of_many import Pools, thin
from cdp_spark.base.numeric.float16 import Bits, spread, values_of
from cdp_spark.base.numeric.simd import INT32, Written, everywhere, intrinsic, lowest, prefetch

Codes = NDArray[np.int16]
Floats = NDArray[np.float32]
Ints = NDArray[np.int32]
Longs = NDArray[np.int64]
Cells = tuple[Longs, Longs, Longs]

SCALE = 32_000
"""Code of the value 1."""

LARGEST_NORM = 1.02
"""Largest norm of a vector: the product of two vectors of codes fits 32 bits."""

_GROUP = 32
"""Rows with interleaved codes: two numbers of each row in turn, then the next two of each."""

_WORD = 2
"""Adjacent numbers of a row: the instruction multiplies and adds them at once."""

_QUERIES = 12
"""Queries per tile. Two accumulators each; the remaining vector registers hold the operands."""

_TILE_GROUPS = 16
"""Groups that are coded at once; their codes stay in the cache while all queries of the cell pass."""

_LANES = 16
_VECTORS = _GROUP // _LANES
_INTS, _FLOATS = ir.VectorType(INT32, _LANES), ir.VectorType(ir.FloatType(), _LANES)


@intrinsic
def _has_instruction(typing_context: Any) -> Written:
    def code(context: Any, builder: ir.IRBuilder, signature: Any, given: Any) -> ir.Value:
        return ir.Constant(ir.IntType(1), int(_multiplies_words(*context.codegen().magic_tuple())))

    return types.boolean(), code


@compiled
def pays() -> bool:
    """Tell whether one instruction multiplies and adds; if not, float32 is as fast."""
    return bool(_has_instruction())


def _multiplies_words(_: str, __: str, features: str) -> bool:
    """Tell the same of a machine as numba describes it.

    >>> _multiplies_words("x86_64-unknown-linux-gnu", "znver4", "+avx512f,+avx512vnni")
    True
    >>> _multiplies_words("x86_64-unknown-linux-gnu", "skylake-avx512", "+avx512f,-avx512vnni")
    False
    """
    return "+avx512vnni" in features.split(",")


def slack_of_codes(dimension: int) -> float:
    """Return the error bound of a product of codes, for vectors of the largest norm.

    Cauchy-Schwarz: rounding changes each of the two by a vector of norm at most ``sqrt(dimension) / 2`` codes.
    """
    return (LARGEST_NORM + 0.01) * math.sqrt(dimension) / SCALE


class Asking(NamedTuple):
    """Queries of norms up to ``LARGEST_NORM``: float16 values as their bits."""

    items: Longs
    vectors: Bits


class Scored(NamedTuple):
    """Rows of norms up to ``LARGEST_NORM``.

    The score is ``factors * (query . row) + offsets``.
    """

    items: Longs
    vectors: Bits
    factors: Floats
    offsets: Floats


class _Span(NamedTuple):
    """Some queries, and the first and last row (exclusive) of a tile."""

    queries: Longs
    low: int
    high: int


class _Packing(NamedTuple):
    """Codes of the rows by group; codes, words and float32 values of one row."""

    groups: Ints
    codes: Codes
    words: Ints
    values: Floats


class _Tile(NamedTuple):
    """Codes and bounds of a tile's queries; scores of a group, and bits of the best."""

    codes: Codes
    bounds: Floats
    scores: Floats
    masks: NDArray[np.uint32]


class _Buffers(NamedTuple):
    """Memory of :func:`_nominate`: codes, factors and offsets of the rows, and more."""

    packed: Codes
    factors: Floats
    offsets: Floats
    packing: _Packing
    tile: _Tile


def nominate(queries: Asking, rows: Scored, cells: Cells, pools: Pools, room: int) -> None:
    """Put the nearest rows of each query, in the cells that it probes, into its pool.

    Parameters
    ----------
    queries : Asking
    rows : Scored
    cells : (offsets, asking, starts)
        Start of each cell's rows; the queries that probe each cell, cell by cell; start of each cell's queries.
    pools : Pools
        Entries are row numbers.
    room : int
    """
    _nominate(queries, rows, cells, pools, room, _buffers(rows.vectors))


def _buffers(bits: Bits) -> _Buffers:
    words = (bits.shape[1] + _WORD - 1) // _WORD
    packed, row = np.zeros((_TILE_GROUPS, words * _GROUP * _WORD), np.int16), np.zeros(words * _WORD, np.int16)
    factors, offsets = np.zeros(_TILE_GROUPS * _GROUP, np.float32), np.zeros(_TILE_GROUPS * _GROUP, np.float32)
    codes, bounds = np.zeros((_QUERIES, words * _WORD), np.int16), np.empty(_QUERIES, np.float32)
    scores, masks = np.empty((_QUERIES, _GROUP), np.float32), np.empty(_QUERIES, np.uint32)
    packing = _Packing(packed.view(np.int32), row, row.view(np.int32), values_of(bits))
    return _Buffers(packed, factors, offsets, packing, _Tile(codes, bounds, scores, masks))


@compiled
def _nominate(queries: Asking, rows: Scored, cells: Cells, pools: Pools, room: int, buffers: _Buffers) -> None:
    offsets, asking, starts = cells
    for cell in range(len(starts) - 1):
        first, last = starts[cell], starts[cell + 1]
        if first == last:
            continue
        for low in range(offsets[cell], offsets[cell + 1], _TILE_GROUPS * _GROUP):
            high = min(low + _TILE_GROUPS * _GROUP, offsets[cell + 1])
            _pack(rows, low, high, buffers)
            for start in range(first, last, _QUERIES):
                some = asking[start : min(start + _QUERIES, last)]
                for following in asking[start + _QUERIES : min(start + 2 * _QUERIES, last)]:
                    prefetch(queries.vectors, following)
                _compare(queries, rows, _Span(some, low, high), buffers, pools, room)


@compiled(inline="always")
def _pack(rows: Scored, low: int, high: int, buffers: _Buffers) -> None:
    """Interleave the codes of some rows, and write what turns a product into a score."""
    _, factors, offsets, (of_groups, codes, words, values), _ = buffers
    for row in range(low, high):
        spread(rows.vectors[row], values)
        _write_codes(values, codes)
        factors[row - low] = rows.factors[row] / np.float32(SCALE * SCALE)
        offsets[row - low] = rows.offsets[row]
        group, lane = (row - low) // _GROUP, (row - low) % _GROUP
        for word in range(len(words)):
            of_groups[group, word * _GROUP + lane] = words[word]


@compiled(inline="always")
def _write_codes(values: Floats, codes: Codes) -> None:
    for i in range(len(values)):
        codes[i] = np.int16(np.rint(values[i] * np.float32(SCALE)))


@compiled(inline="always")
def _compare(queries: Asking, rows: Scored, span: _Span, buffers: _Buffers, pools: Pools, room: int) -> None:
    """Compare up to ``_QUERIES`` queries with the packed rows."""
    some, low, high = span
    packed, factors, offsets, (_, _, _, values), (codes, passing, products, masks) = buffers
    nominees, scores, used, bounds = pools
    for i in range(_QUERIES):
        query = some[min(i, len(some) - 1)]  # the last query fills up an incomplete tile
        spread(queries.vectors[query], values)
        _write_codes(values, codes[i])
        passing[i] = bounds[query]
    for first in range(low, high, _GROUP):
        _multiply(packed, (first - low) // _GROUP, factors, offsets, codes, passing, products, masks)
        inside = np.uint32((np.uint64(1) << np.uint64(min(high - first, _GROUP))) - np.uint64(1))
        for i in range(len(some)):
            bits, query = masks[i] & inside, some[i]
            if not bits:
                continue
            n = used[query]
            while bits:
                lane = lowest(bits)
                bits &= bits - np.uint32(1)
                if rows.items[first + lane] != queries.items[query]:
                    scores[query, n], nominees[query, n] = products[i, lane], first + lane
                    n += 1
            if n >= 2 * room:
                bounds[query], n = thin(scores[query], nominees[query], n, room), room
                passing[i] = bounds[query]
            used[query] = n


@intrinsic
def _multiply(
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
        words = builder.udiv(builder.extract_value(shape, 1), ir.Constant(given[1].type, _WORD))
        width = builder.mul(words, ir.Constant(words.type, _GROUP * _WORD))
        sums = _sums(context, builder, builder.gep(rows, [builder.mul(given[1], width)]), asking, words)
        first = builder.mul(given[1], ir.Constant(given[1].type, _GROUP))
        weights, constants = (_loaded(builder, builder.gep(of_rows, [first]), _FLOATS) for of_rows in (factor, offset))
        for query in range(_QUERIES):
            bound = everywhere(builder, builder.load(builder.gep(bounds, [ir.Constant(INT32, query)])), _LANES)
            passed = []
            for vector in range(_VECTORS):
                product = builder.fmul(builder.sitofp(sums[query][vector], _FLOATS), weights[vector])
                score = builder.fadd(product, constants[vector])
                address = builder.gep(out, [ir.Constant(INT32, query * _GROUP + vector * _LANES)])
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
    accumulators = [[allocate(builder, _INTS) for _ in range(_VECTORS)] for _ in range(_QUERIES)]
    for own in accumulators:
        for accumulator in own:
            builder.store(_constant(0), accumulator)
    size = ir.Constant(words.type, _WORD)
    with cgutils.for_range(builder, words, intp=words.type) as loop:
        word = builder.mul(loop.index, size)
        some = _loaded(builder, builder.gep(rows, [builder.mul(word, ir.Constant(words.type, _GROUP))]), _INTS)
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
