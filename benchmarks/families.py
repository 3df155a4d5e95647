"""Sets of other kinds, from data that packages ship: nothing of the way without labels was chosen on them.

- ``patches``: patches of the two photographs of scikit-learn, each seen several times: moved, turned, scaled, brighter,
  blurred, noisy. Models: gradients, colours, coarse grey values, random filters.
- ``sentences``: sentences of Python's language reference (``pydoc_data``), each with typing errors and words left out.
  Models: hashed trigrams of letters, words, pairs of letters, beginnings and ends of words.
- ``digits``: scikit-learn's 1,797 handwritten digits, 10 identities of a tenth of all each. Models: pixels, gradients,
  random filters.

Sizes of identities follow n^-1.3. Everything is seeded.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
from scipy import ndimage
from sklearn.datasets import load_digits, load_sample_images
from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
from sklearn.random_projection import GaussianRandomProjection

Models = tuple[list[np.ndarray], np.ndarray]

PATCH, SEEN = 48, 24
"""Side of a patch, and of what the models see of it, in pixels."""
APART = 20


def patches(seed: int = 0) -> Models:
    """Views of places in two photographs."""
    rng = np.random.default_rng(seed)
    pictures = [picture.astype(np.float32) / 255 for picture in load_sample_images().images]
    half = PATCH // 2 + 8
    places = [
        (number, y, x)
        for number, picture in enumerate(pictures)
        for y in range(half, picture.shape[0] - half, APART)
        for x in range(half, picture.shape[1] - half, APART)
    ]
    sizes = sizes_of(rng, len(places), 30)
    identity = np.repeat(np.arange(len(places)), sizes)
    views = np.stack([view(rng, pictures[places[k][0]], *places[k][1:]) for k in identity])
    grey = views.mean(axis=3)
    models = [gradients(grey), colours(views), coarse(grey), filtered(grey, rng)]
    return [unit(rows) for rows in models], identity


def view(rng: np.random.Generator, picture: np.ndarray, y: int, x: int) -> np.ndarray:
    """Take a picture of a place."""
    angle, scale = rng.normal(0, 0.15), np.exp(rng.normal(0, 0.1)) * PATCH / SEEN
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * scale
    middle = np.array([y, x]) + rng.normal(0, 2.5, 2)
    offset = middle - turn @ np.full(2, (SEEN - 1) / 2)
    seen = np.stack(
        [
            ndimage.affine_transform(picture[:, :, c], turn, offset, (SEEN, SEEN), order=1, mode="nearest")
            for c in range(3)
        ],
        axis=2,
    )
    seen = ndimage.gaussian_filter(seen, (*[rng.uniform(0, 0.8)] * 2, 0))
    return np.clip(seen * np.exp(rng.normal(0, 0.2)) + rng.normal(0, 0.05) + rng.normal(0, 0.04, seen.shape), 0, 1)


def digits(seed: int = 0) -> Models:
    """Handwritten digits."""
    data = load_digits()
    images = ndimage.zoom(data.images / 16, (1, 3, 3), order=1)
    rows = [data.images.reshape(len(images), -1) / 16, gradients(images), filtered(images, np.random.default_rng(seed))]
    return [unit(each) for each in rows], data.target.astype(np.int64)


def sentences(seed: int = 0) -> Models:
    """Sentences with errors."""
    from pydoc_data import topics

    rng = np.random.default_rng(seed)
    text = re.sub(r"[^A-Za-z .]", " ", " ".join(topics.topics[name] for name in sorted(topics.topics)))
    known = dict.fromkeys(" ".join(each.split()).lower() for each in text.split("."))
    known = [each for each in known if 6 <= len(each.split()) <= 25]
    chosen = [known[k] for k in np.sort(rng.permutation(len(known))[:1500])]
    identity = np.repeat(np.arange(len(chosen)), sizes_of(rng, len(chosen), 20))
    rows = [mistyped(rng, chosen[k]) for k in identity]
    ways = (
        {"analyzer": "char", "ngram_range": (3, 3)}, {"analyzer": "word"}, {"analyzer": "char", "ngram_range": (2, 2)},
        {"analyzer": lambda line: [part for word in line.split() for part in (f"{word[:3]}-", f"-{word[-3:]}")]},
    )  # fmt: skip
    models = []
    for number, way in enumerate(ways):
        counts = HashingVectorizer(n_features=1 << 14, alternate_sign=False, **way).transform(rows)
        weighed = TfidfTransformer().fit_transform(counts)
        models.append(unit(GaussianRandomProjection(128, random_state=number).fit_transform(weighed)))
    return models, identity


def mistyped(rng: np.random.Generator, line: str) -> str:
    """Leave out words, and change, double or leave out letters."""
    words = [word for word in line.split() if rng.random() > 0.2] or line.split()[:1]
    letters = []
    for letter in " ".join(words):
        chance = rng.random()
        letters.append("" if chance < 0.02 else chr(rng.integers(97, 123)) if chance < 0.05 else letter)
    return "".join(letters)


def sizes_of(rng: np.random.Generator, identities: int, largest: int) -> np.ndarray:
    weight = np.arange(1, largest + 1) ** -1.3
    return rng.choice(np.arange(1, largest + 1), identities, p=weight / weight.sum())


def gradients(grey: np.ndarray) -> np.ndarray:
    """Histograms of the directions of gradients in 4 x 4 cells."""
    dy, dx = np.gradient(ndimage.gaussian_filter(grey, (0, 1, 1)), axis=(1, 2))
    strength, direction = np.hypot(dy, dx), (np.arctan2(dy, dx) % np.pi) / np.pi * 8
    low = np.floor(direction).astype(np.int64) % 8
    share = direction - np.floor(direction)
    maps = np.stack([strength * ((low == d) * (1 - share) + ((low + 1) % 8 == d) * share) for d in range(8)], axis=3)
    return np.sqrt(pooled(maps, 4))


def colours(views: np.ndarray) -> np.ndarray:
    """Means and deviations of colours in 3 x 3 cells, less the whole's means."""
    means = pooled(views, 3, flat=False)
    squares = pooled(views**2, 3, flat=False)
    spread = np.sqrt(np.maximum(squares - means**2, 0))
    means = means - means.mean(axis=(1, 2), keepdims=True)
    return np.concatenate([means, spread], axis=3).reshape(len(views), -1)


def coarse(grey: np.ndarray) -> np.ndarray:
    """Grey values in 8 x 8 cells, less their mean."""
    cells = pooled(grey[..., None], 8)
    return cells - cells.mean(axis=1, keepdims=True)


def filtered(grey: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Answers to 24 random filters, what is positive of them, in 3 x 3 cells."""
    answers = []
    for _ in range(24):
        filter_ = rng.normal(0, 1, (1, 5, 5))
        answers.append(np.maximum(ndimage.convolve(grey, filter_ - filter_.mean(), mode="nearest"), 0))
    return np.sqrt(pooled(np.stack(answers, axis=3), 3))


def pooled(maps: np.ndarray, cells: int, *, flat: bool = True) -> np.ndarray:
    n, side, _, channels = maps.shape
    means = maps.reshape(n, cells, side // cells, cells, side // cells, channels).mean(axis=(2, 4))
    return means.reshape(n, -1) if flat else means


def unit(rows: np.ndarray) -> np.ndarray:
    """Centre the rows over the set, and make them of length 1."""
    rows = rows - rows.mean(axis=0)
    return (rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)).astype(np.float32)


FAMILIES: dict[str, Callable[[], Models]] = {"patches": patches, "sentences": sentences, "digits": digits}
