"""Products of whole numbers, one tile after the other, and which rows may be among the nearest of a query by them.

A vector of at most unit norm is rounded to ``code / SCALE``, codes of 16 bits. Their products are exact, cost half of
those of float32 where the processor has an instruction for them, and are off by little (``slack_of_codes``). In:
float16 rows in the order of their cells, and the queries that probe each. Out: pools (see ``pools``) of the rows whose
score is greatest. A tile is twelve queries and a group of rows; its products never leave the processor's registers
but for those of rows that pass.
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
from cdp_spark.base.numeric.best_of_many import thin
from cdp_spark.base.numeric.float16 import Bits, spread, values_of
from cdp_spark.base.numeric.simd import INT32, everywhere, intrinsic, lowest, prefetch

SCALE = 32_000
"""Codes of 1."""

LARGEST_NORM = 1.02
"""Of a vector: no sum of products of its codes with those of another leaves 32 bits."""

_GROUP = 32
"""Rows whose codes lie together: two numbers of one, two of the next, and so on, then the next two of each."""

_WORD = 2
"""Numbers of a row that lie together: what the instruction multiplies and adds at once."""

_QUERIES = 12
"""Of a tile: with two vectors of sums each they leave a few registers for what is multiplied."""

_TILE_GROUPS = 16
"""Groups whose codes are made at once, and stay near the processor while all queries of their cell pass by."""

_LANES = 16
_HALVES = _GROUP // _LANES
_INTS, _FLOATS = ir.VectorType(INT32, _LANES), ir.VectorType(ir.FloatType(), _LANES)


@intrinsic
def _has_instruction(typing_context):  # type: ignore[no-untyped-def]
    def code(context, builder, signature, given):  # type: ignore[no-untyped-def]
        return ir.Constant(ir.IntType(1), int(_multiplies_words(*context.codegen().magic_tuple())))

    return types.boolean(), code


@compiled
def pays() -> bool:
    """Tell whether the processor multiplies and adds words by one instruction: else float32 is as fast."""
    return bool(_has_instruction())


def _multiplies_words(_: str, __: str, features: str) -> bool:
    """Tell it of a machine as numba describes it.

    >>> _multiplies_words("x86_64-unknown-linux-gnu", "znver4", "+avx512f,+avx512vnni")
    True
    >>> _multiplies_words("x86_64-unknown-linux-gnu", "skylake-avx512", "+avx512f,-avx512vnni")
    False
    """
    return "+avx512vnni" in features.split(",")


def slack_of_codes(dimension: int) -> float:
    """Return by how much a product of codes is off at most, where both vectors are of the largest norm.

    By Cauchy and Schwarz: rounding takes a vector of norm ``sqrt(dimension) / 2`` codes at most from each of the two.
    """
    return (LARGEST_NORM + 0.01) * math.sqrt(dimension) / SCALE


class Asking(NamedTuple):
    """Queries: float16 values as their bits, of norms up to ``LARGEST_NORM``."""

    items: NDArray[np.int64]
    vectors: Bits


class Scored(NamedTuple):
    """Rows, of norms up to ``LARGEST_NORM``, whose score is ``factors * (query . row) + offsets``."""

    items: NDArray[np.int64]
    vectors: Bits
    factors: NDArray[np.float32]
    offsets: NDArray[np.float32]


def nominate(
    queries: Asking,
    rows: Scored,
    cells: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]],
    pools: tuple[NDArray[Any], ...],
    room: int,
) -> None:
    """Put the rows that are nearest to each query, among the cells that it probes, into its pool.

    Parameters
    ----------
    queries : Asking
    rows : Scored
    cells : (offsets, asking, starts)
        Where the rows of each cell begin; the queries that probe each cell, one cell after the other, and where those
        of each begin.
    pools : (nominees, scores, used, bounds)
        Row numbers and scores.
    room : int
    """
    _nominate(queries, rows, cells, pools, room, _buffers(rows.vectors))


def _buffers(bits: Bits) -> tuple[Any, ...]:
    """Return room for the codes of a tile's rows and of one row, and for what ``_compare`` needs."""
    words = (bits.shape[1] + _WORD - 1) // _WORD
    packed, row = np.zeros((_TILE_GROUPS, words * _GROUP * _WORD), np.int16), np.zeros(words * _WORD, np.int16)
    weights = np.zeros(_TILE_GROUPS * _GROUP, np.float32), np.zeros(_TILE_GROUPS * _GROUP, np.float32)
    tile, passing = np.zeros((_QUERIES, words * _WORD), np.int16), np.empty(_QUERIES, np.float32)
    products, masks = np.empty((_QUERIES, _GROUP), np.float32), np.empty(_QUERIES, np.uint32)
    packing = packed.view(np.int32), row, row.view(np.int32), values_of(bits)
    return packed, weights, packing, (tile, passing, products, masks)


@compiled
def _nominate(queries, rows, cells, pools, room, buffers):  # type: ignore[no-untyped-def]
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
                _compare(queries, rows, (some, low, high), buffers, pools, room)


@compiled(inline="always")
def _pack(rows, low, high, buffers):  # type: ignore[no-untyped-def]
    """Write the codes of some rows as a tile takes them, and what makes a score of a sum of products."""
    _, (factors, terms), (of_groups, codes, words, values), _ = buffers
    for row in range(low, high):
        spread(rows.vectors[row], values)
        _write_codes(values, codes)
        factors[row - low] = rows.factors[row] / np.float32(SCALE * SCALE)
        terms[row - low] = rows.offsets[row]
        group, lane = (row - low) // _GROUP, (row - low) % _GROUP
        for word in range(len(words)):
            of_groups[group, word * _GROUP + lane] = words[word]


@compiled(inline="always")
def _write_codes(values, codes):  # type: ignore[no-untyped-def]
    for i in range(len(values)):
        codes[i] = np.int16(np.rint(values[i] * np.float32(SCALE)))


@compiled(inline="always")
def _compare(queries, rows, part, buffers, pools, room):  # type: ignore[no-untyped-def]
    """Compare up to ``_QUERIES`` queries with the rows of a tile that are packed."""
    some, low, high = part
    packed, (factors, terms), (_, _, _, values), (tile, passing, products, masks) = buffers
    nominees, scores, used, bounds = pools
    for i in range(_QUERIES):
        query = some[min(i, len(some) - 1)]  # where there are fewer, the last stands for the others
        spread(queries.vectors[query], values)
        _write_codes(values, tile[i])
        passing[i] = bounds[query]
    for first in range(low, high, _GROUP):
        _multiply(packed, (first - low) // _GROUP, factors, terms, tile, passing, products, masks)
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
def _multiply(typing_context, packed, group, factors, terms, tile, passing, products, masks):  # type: ignore[no-untyped-def]
    """Write the scores of the queries of a tile and the rows of a group, and as bits which pass the query's bound."""

    def code(context, builder, signature, given):  # type: ignore[no-untyped-def]
        kinds = signature.args
        rows, factor, term, asking, bounds, out, bits = (
            context.make_array(kinds[number])(context, builder, given[number]).data for number in (0, 2, 3, 4, 5, 6, 7)
        )
        shape = context.make_array(kinds[4])(context, builder, given[4]).shape
        words = builder.udiv(builder.extract_value(shape, 1), ir.Constant(given[1].type, _WORD))
        width = builder.mul(words, ir.Constant(words.type, _GROUP * _WORD))
        sums = _sums(context, builder, builder.gep(rows, [builder.mul(given[1], width)]), asking, words)
        first = builder.mul(given[1], ir.Constant(given[1].type, _GROUP))
        weights, constants = (_loaded(builder, builder.gep(of_rows, [first]), _FLOATS) for of_rows in (factor, term))
        for query in range(_QUERIES):
            bound = everywhere(builder, builder.load(builder.gep(bounds, [ir.Constant(INT32, query)])), _LANES)
            passed = []
            for half in range(_HALVES):
                product = builder.fmul(builder.sitofp(sums[query][half], _FLOATS), weights[half])
                score = builder.fadd(product, constants[half])
                place = builder.gep(out, [ir.Constant(INT32, query * _GROUP + half * _LANES)])
                builder.store(score, builder.bitcast(place, _FLOATS.as_pointer()), align=4)
                passed.append(builder.bitcast(builder.fcmp_ordered(">", score, bound), ir.IntType(_LANES)))
            low, high = (builder.zext(some, INT32) for some in passed)
            mask = builder.or_(low, builder.shl(high, ir.Constant(INT32, _LANES)))
            builder.store(mask, builder.gep(bits, [ir.Constant(INT32, query)]))
        return context.get_dummy_value()

    return types.none(packed, types.intp, factors, terms, tile, passing, products, masks), code


def _sums(context, builder: ir.IRBuilder, rows: ir.Value, asking: ir.Value, words: ir.Value):  # type: ignore[no-untyped-def]
    """Multiply a word of each query with those of all rows, one word after the other, and add up."""
    by_instruction = _multiplies_words(*context.codegen().magic_tuple())
    add = _add_by_instruction if by_instruction else _add_by_parts
    room: Any = cgutils.alloca_once
    places = [[room(builder, _INTS) for _ in range(_HALVES)] for _ in range(_QUERIES)]
    for own in places:
        for place in own:
            builder.store(_constant(0), place)
    size = ir.Constant(words.type, _WORD)
    with cgutils.for_range(builder, words, intp=words.type) as loop:
        word = builder.mul(loop.index, size)
        some = _loaded(builder, builder.gep(rows, [builder.mul(word, ir.Constant(words.type, _GROUP))]), _INTS)
        for query, own in enumerate(places):
            row = builder.mul(builder.mul(words, size), ir.Constant(words.type, query))
            at = builder.bitcast(builder.gep(asking, [builder.add(row, word)]), INT32.as_pointer())
            asked = everywhere(builder, builder.load(at, align=2), _LANES)
            for place, part in zip(own, some, strict=True):
                builder.store(add(builder, builder.load(place), part, asked), place)
    return [[builder.load(place) for place in own] for own in places]


def _add_by_instruction(builder: ir.IRBuilder, sums: ir.Value, rows: ir.Value, asked: ir.Value) -> ir.Value:
    kind = ir.FunctionType(_INTS, [_INTS, _INTS, _INTS])
    return builder.call(builder.module.declare_intrinsic("llvm.x86.avx512.vpdpwssd.512", (), kind), [sums, rows, asked])


def _add_by_parts(builder: ir.IRBuilder, sums: ir.Value, rows: ir.Value, asked: ir.Value) -> ir.Value:
    """Do the same by what all processors have."""
    for shift in (16, 0):
        row, query = (builder.ashr(builder.shl(some, _constant(shift)), _constant(16)) for some in (rows, asked))
        sums = builder.add(sums, builder.mul(row, query))
    return sums


def _constant(number: int) -> ir.Constant:
    return ir.Constant(_INTS, [number] * _LANES)


def _loaded(builder: ir.IRBuilder, at: ir.Value, kind: ir.VectorType) -> Sequence[ir.Value]:
    """Load the two vectors of a group, wherever they begin."""
    first = builder.bitcast(at, kind.as_pointer())
    return [builder.load(builder.gep(first, [ir.Constant(INT32, half)]), align=2) for half in range(_HALVES)]
