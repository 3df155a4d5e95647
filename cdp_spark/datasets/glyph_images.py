"""Draw pictures without a download: characters in sixteen faces, as if scanned.

An identity is a character. An image is one drawing of it in one face, 28 x 28 grey values, with its own distortion. The
fonts (DejaVu, STIX General) come inside the matplotlib wheel. Everything is seeded.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

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
_ELASTIC = 1 / 3
"""Standard deviation of the elastic grid: one pixel of the large drawing."""


def scanned(point: int, face: int, seed: int) -> Bytes:
    """Draw a character as if it had been printed and scanned.

    Parameters
    ----------
    point : int
        Code point.
    face : int
        Index in ``FACES``.
    seed : int
        Seed of the distortion: rotation, shear, scale, shift, elastic grid, blur, ink, paper and noise.

    Returns
    -------
    ndarray of uint8, shape (28, 28)
        Dark ink on light paper.
    """
    random = np.random.default_rng(seed)
    ink = _warped(printed(point, face), random)
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
    grid_points = np.mgrid[0:SIDE, 0:SIDE].reshape(2, -1) - centre
    source = matrix @ grid_points + elastic.reshape(2, -1) * _ELASTIC + random.uniform(-1.2, 1.2, (2, 1)) + centre
    ratio = _DRAWN / SIDE
    smooth = ndimage.gaussian_filter(bitmap, ratio / 2)
    warped: Floats = ndimage.map_coordinates(smooth, (source + 0.5) * ratio - 0.5, order=1).reshape(SIDE, SIDE)
    return np.clip(warped, 0, 1)


@cache
def _font(face: str) -> FreeTypeFont:
    from matplotlib import get_data_path
    from PIL import ImageFont

    return ImageFont.truetype(str(Path(get_data_path(), "fonts", "ttf", f"{face}.ttf")), 70)


@cache
def charmap(face: str) -> frozenset[int]:
    """Return the code points that a face contains."""
    from matplotlib import get_data_path
    from matplotlib.ft2font import FT2Font

    return frozenset(FT2Font(str(Path(get_data_path(), "fonts", "ttf", f"{face}.ttf"))).get_charmap())


@cache
def printed(point: int, face: int) -> Floats:
    """Return the ink, 0 to 1, of a character centred in 84 x 84."""
    from PIL import Image, ImageDraw

    image = Image.new("L", (3 * _DRAWN, 3 * _DRAWN))
    ImageDraw.Draw(image).text((_DRAWN, _DRAWN), chr(point), fill=255, font=_font(FACES[face]))
    inked = image.getbbox()
    if inked is None:
        return np.zeros((_DRAWN, _DRAWN))
    cut = np.asarray(image.crop(inked), np.float64) / 255
    # Characters larger than the page are scaled down. None is scaled up: a dot stays a dot.
    size = max(cut.shape)
    if size > _DRAWN - 12:
        cut = np.clip(ndimage.zoom(cut, (_DRAWN - 12) / size, order=1), 0, 1)
    page = np.zeros((_DRAWN, _DRAWN))
    top, left = (_DRAWN - cut.shape[0]) // 2, (_DRAWN - cut.shape[1]) // 2
    page[top : top + cut.shape[0], left : left + cut.shape[1]] = cut
    return page
