"""Draw real pictures without a download: characters in sixteen faces, each as if scanned.

An identity is a character; an image is one drawing of it in one face, 28 x 28 grey values, under a distortion of its
own. The fonts (DejaVu, STIX General) come inside the matplotlib wheel. Everything is seeded.
"""

from __future__ import annotations

import unicodedata
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float64]

SIDE = 28
_DRAWN = 84
FACES = (
    "DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSans-BoldOblique",
    "DejaVuSansMono", "DejaVuSansMono-Bold", "DejaVuSansMono-Oblique", "DejaVuSansMono-BoldOblique",
    "DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-Italic", "DejaVuSerif-BoldItalic",
    "STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic", "STIXGeneralBolIta",
)  # fmt: skip
MIN_FACES = 8
_ALIKE = 0.155
_ELASTIC = 1 / 3
"""Standard deviation of the elastic grid: one pixel of the large drawing."""


def characters() -> tuple[list[int], list[int]]:
    """Return the code points that are identities, and those that serve as distractors.

    Identities have at least eight distinct bitmaps over the faces and no look-alike among the identities; distractors
    are further characters, each drawn once.
    """
    drawable = [_charmap(face) for face in FACES]
    points = sorted(set().union(*drawable))
    plain = [point for point in points if _is_plain(point)]
    faces_of = {point: [i for i, known in enumerate(drawable) if point in known] for point in plain}
    common = [point for point in plain if len(_distinct(point, faces_of[point])) >= MIN_FACES]
    identities = _without_look_alikes(common)
    rest = sorted(set(plain) - set(common))
    return identities, _without_look_alikes(rest, beside=identities)


def accented() -> list[int]:
    """Return the code points of letters with an accent that have at least eight distinct bitmaps."""
    points = sorted(set().union(*(_charmap(face) for face in FACES)))
    return [point for point in points if _is_letter(point) and _has_accent(point) and len(faces_of(point)) >= MIN_FACES]


@cache
def faces_of(point: int) -> list[int]:
    """Return the faces, as places in ``FACES``, that give distinct bitmaps of a character."""
    return _distinct(point, [i for i, face in enumerate(FACES) if point in _charmap(face)])


def scanned(point: int, face: int, seed: int) -> Bytes:
    """Draw a character as if it had been printed and scanned.

    Parameters
    ----------
    point : int
        Code point.
    face : int
        Place in ``FACES``.
    seed : int
        Of the distortion: rotation, shear, scale, shift, elastic grid, blur, ink, paper and noise.

    Returns
    -------
    ndarray of uint8, shape (28, 28)
        Dark ink on light paper.
    """
    random = np.random.default_rng(seed)
    ink = _warped(_drawn(point, face), random)
    ink = ndimage.gaussian_filter(ink, random.uniform(0.3, 0.8))
    strength, paper = random.uniform(0.65, 1.0), random.uniform(0.82, 1.0)
    slope = random.uniform(-0.1, 0.1, 2)
    y, x = np.mgrid[-0.5 : 0.5 : SIDE * 1j, -0.5 : 0.5 : SIDE * 1j]
    page = paper + slope[0] * y + slope[1] * x - strength * ink
    page += random.normal(0, 0.03, page.shape)
    grey: Bytes = np.clip(255 * page, 0, 255).astype(np.uint8)
    return grey


def _warped(bitmap: Floats, random: np.random.Generator) -> Floats:
    """Resample the large drawing at 28 x 28 through a small affine and elastic map."""
    turn, shear = random.uniform(-0.063, 0.063), random.uniform(-0.07, 0.07)
    scale = np.exp(random.uniform(-0.07, 0.07, 2))
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    matrix = rotation @ np.array([[scale[0], shear], [0.0, scale[1]]])
    grid = random.normal(0, 1.0, (2, 5, 5))
    elastic = np.stack([ndimage.zoom(axis, SIDE / 5, order=3) for axis in grid])
    centre = (SIDE - 1) / 2
    place = np.mgrid[0:SIDE, 0:SIDE].reshape(2, -1) - centre
    source = matrix @ place + elastic.reshape(2, -1) * _ELASTIC + random.uniform(-1.2, 1.2, (2, 1)) + centre
    ratio = _DRAWN / SIDE
    smooth = ndimage.gaussian_filter(bitmap, ratio / 2)
    warped: Floats = ndimage.map_coordinates(smooth, (source + 0.5) * ratio - 0.5, order=1).reshape(SIDE, SIDE)
    return np.clip(warped, 0, 1)


@cache
def _font(face: str) -> object:
    from matplotlib import get_data_path
    from PIL import ImageFont

    return ImageFont.truetype(str(Path(get_data_path(), "fonts", "ttf", f"{face}.ttf")), 70)


@cache
def _charmap(face: str) -> frozenset[int]:
    from matplotlib import get_data_path
    from matplotlib.ft2font import FT2Font

    return frozenset(FT2Font(str(Path(get_data_path(), "fonts", "ttf", f"{face}.ttf"))).get_charmap())


@cache
def _drawn(point: int, face: int) -> Floats:
    """Return the ink, 0 to 1, of a character in the middle of 84 x 84."""
    from PIL import Image, ImageDraw

    image = Image.new("L", (3 * _DRAWN, 3 * _DRAWN))
    ImageDraw.Draw(image).text((_DRAWN, _DRAWN), chr(point), fill=255, font=_font(FACES[face]))  # type: ignore[arg-type]
    ink = np.asarray(image, np.float64) / 255
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    if not len(rows):
        return np.zeros((_DRAWN, _DRAWN))
    cut = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    # Larger than the page is scaled down; never up: a dot stays a dot.
    size = max(cut.shape)
    if size > _DRAWN - 12:
        cut = np.clip(ndimage.zoom(cut, (_DRAWN - 12) / size, order=1), 0, 1)
    page = np.zeros((_DRAWN, _DRAWN))
    top, left = (_DRAWN - cut.shape[0]) // 2, (_DRAWN - cut.shape[1]) // 2
    page[top : top + cut.shape[0], left : left + cut.shape[1]] = cut
    return page


def _is_plain(point: int) -> bool:
    """Say whether a character is a letter, number or symbol of its own: no accent, punctuation or modifier."""
    symbol = unicodedata.category(chr(point)) in ("Nd", "Nl", "No", "Sm", "Sc", "So")
    return (_is_letter(point) or symbol) and not _has_accent(point)


def _is_letter(point: int) -> bool:
    return unicodedata.category(chr(point)) in ("Lu", "Ll", "Lo")


def _has_accent(point: int) -> bool:
    parts = unicodedata.decomposition(chr(point))
    return bool(parts) and not parts.startswith("<")


def _distinct(point: int, faces: list[int]) -> list[int]:
    seen: dict[bytes, int] = {}
    for face in faces:
        bitmap = _drawn(point, face)
        if bitmap.any():
            seen.setdefault((bitmap > 0.5).tobytes(), face)
    return sorted(seen.values())


def _shape(point: int) -> NDArray[np.float32]:
    """Describe a character, whatever its size: cropped, scaled to a square, blurred, in its first faces."""
    shapes = []
    for face in faces_of(point)[:1]:
        ink = _drawn(point, face)
        rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
        cut = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        size = max(cut.shape)
        square = np.zeros((size, size))
        top, left = (size - cut.shape[0]) // 2, (size - cut.shape[1]) // 2
        square[top : top + cut.shape[0], left : left + cut.shape[1]] = cut
        shapes.append(ndimage.gaussian_filter(ndimage.zoom(square, 24 / size, order=1), 1.0))
    return np.concatenate([shape.ravel() for shape in shapes]).astype(np.float32)


def _without_look_alikes(points: list[int], beside: list[int] | None = None) -> list[int]:
    """Keep of each set of look-alikes the first; drop what looks like one of ``beside``."""
    first = list(beside or [])
    drawn = [*first, *(point for point in points if faces_of(point))]
    shapes = np.stack([_shape(point) for point in drawn])
    length = (shapes**2).sum(axis=1)
    kept = np.zeros(len(drawn), bool)
    for row in range(len(drawn)):
        apart = 2 - 4 * (shapes[kept] @ shapes[row]) / (length[kept] + length[row])
        kept[row] = row < len(first) or not (apart < _ALIKE).any()
    return [point for point, keep in zip(drawn[len(first) :], kept[len(first) :], strict=True) if keep]
