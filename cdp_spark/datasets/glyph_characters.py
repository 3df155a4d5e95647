"""Choose the characters that are identities: in several faces, all unlike.

Two characters are look-alikes if they look the same in any pair of faces: the italic esh is the integral sign, and the
italic R of one face is the mathematical R of another. As two identities they would be wrong labels, not hard cases.
"""

from __future__ import annotations

import unicodedata
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cdp_spark.datasets.glyph_images import FACES, charmap, printed

MIN_FACES = 6
_ALIKE = 0.1
"""Two shapes are look-alikes if their squared distance over their mean squared length is smaller."""

_SLICE = 1024


def characters() -> tuple[list[int], list[int]]:
    """Return the code points of identities, and further ones; no two are look-alikes.

    Identities have at least ``MIN_FACES`` distinct bitmaps over the faces, the others fewer.
    """
    points = [point for point in _drawable() if _is_plain(point) and faces_of(point)]
    common = [point for point in points if len(faces_of(point)) >= MIN_FACES]
    rest = [point for point in points if len(faces_of(point)) < MIN_FACES]
    kept = _without_look_alikes([*common, *rest])
    return [point for point in common if point in kept], [point for point in rest if point in kept]


def accented() -> list[int]:
    """Return accented letters with ``MIN_FACES`` or more distinct bitmaps."""
    letters = [point for point in _drawable() if _is_letter(point) and _has_accent(point)]
    return [point for point in letters if len(faces_of(point)) >= MIN_FACES]


@cache
def faces_of(point: int) -> list[int]:
    """Return the indices in ``FACES`` that give distinct bitmaps of a character."""
    seen: dict[bytes, int] = {}
    for index, face in enumerate(FACES):
        bitmap = printed(point, index) > 0.5 if point in charmap(face) else np.zeros(0)
        if bitmap.any():
            seen.setdefault(bitmap.tobytes(), index)
    return sorted(seen.values())


def _drawable() -> list[int]:
    return sorted(set().union(*(charmap(face) for face in FACES)))


def _is_plain(point: int) -> bool:
    """Whether a character is a plain letter, number or symbol.

    Accented characters, punctuation and modifiers are not.
    """
    symbol = unicodedata.category(chr(point)) in ("Nd", "Nl", "No", "Sm", "Sc", "So")
    return (_is_letter(point) or symbol) and not _has_accent(point)


def _is_letter(point: int) -> bool:
    return unicodedata.category(chr(point)) in ("Lu", "Ll", "Lo")


def _has_accent(point: int) -> bool:
    decomposition = unicodedata.decomposition(chr(point))
    return bool(decomposition) and not decomposition.startswith("<")


def _without_look_alikes(points: list[int]) -> set[int]:
    """Keep only the first of several look-alikes."""
    near = _look_alikes(points)
    kept: set[int] = set()
    for index in range(len(points)):
        if not near.get(index, set()) & kept:
            kept.add(index)
    return {points[index] for index in kept}


def _look_alikes(points: list[int]) -> dict[int, set[int]]:
    """Map indices of ``points`` to those of earlier look-alikes."""
    owner = np.repeat(np.arange(len(points)), [len(faces_of(point)) for point in points])
    shapes = np.stack([_shape(point, face) for point in points for face in faces_of(point)])
    # |a - b|^2 < alike * (|a|^2 + |b|^2) / 2, solved for the product of a and b.
    half = (1 - _ALIKE / 2) / 2 * (shapes**2).sum(axis=1)
    near: dict[int, set[int]] = {}
    for start in range(0, len(shapes), _SLICE):
        rows = slice(start, start + _SLICE)
        product = shapes[rows] @ shapes[: start + _SLICE].T
        later, earlier = np.nonzero(product > half[rows, None] + half[None, : start + _SLICE])
        for index, other in zip(owner[rows][later].tolist(), owner[earlier].tolist(), strict=True):
            if other < index:
                near.setdefault(index, set()).add(other)
    return near


def _shape(point: int, face: int) -> NDArray[np.float32]:
    """Describe a drawing regardless of size: crop, scale to 24 x 24, blur, halve."""
    ink = printed(point, face)
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    cut = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    size = max(cut.shape)
    square = np.zeros((size, size))
    top, left = (size - cut.shape[0]) // 2, (size - cut.shape[1]) // 2
    square[top : top + cut.shape[0], left : left + cut.shape[1]] = cut
    blurred = ndimage.gaussian_filter(ndimage.zoom(square, 24 / size, order=1), 1.0)
    shape: NDArray[np.float32] = blurred.reshape(12, 2, 12, 2).mean(axis=(1, 3)).ravel().astype(np.float32)
    return shape
