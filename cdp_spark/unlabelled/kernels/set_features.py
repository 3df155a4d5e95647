"""Set features: an item compared with all items of its set, by counts in fixed bins.

Counts are whole numbers, which add up in any order and division. Approximate quantiles would depend on how the rows lie
in partitions; a rank would need a sort of all items.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cdp_spark.pairs.kernels.neighborhoods import Neighborhoods

Longs = NDArray[np.int64]
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Bins:
    """Bins of one width; values beyond the ends are in the outermost."""

    low: float
    width: float
    count: int

    def of(self, values: Floats) -> Longs:
        """Return the bin of each value."""
        bins = np.floor((values.astype(np.float64) - self.low) / self.width)
        return np.clip(bins, 0, self.count - 1).astype(np.int64)

    def counts(self, values: Floats) -> Longs:
        """Count the values of each bin."""
        counts: Longs = np.bincount(self.of(values), minlength=self.count).astype(np.int64)
        return counts

    def share_below(self, counts: Longs, values: Floats) -> Doubles:
        """Return the share of all counted values below each value, as if those of a bin were evenly spread in it.

        >>> bins = Bins(0.0, 1.0, 4)
        >>> bins.share_below(np.array([2, 0, 1, 1]), np.float32([0.5, 2.0, 9.0])).tolist()
        [0.25, 0.5, 1.0]
        """
        bins = self.of(values)
        inside = np.clip((values.astype(np.float64) - self.low) / self.width - bins, 0, 1)
        below = np.cumsum(counts) - counts
        shares: Doubles = (below[bins] + inside * counts[bins]) / max(1, int(counts.sum()))
        return shares

    def median(self, counts: Longs) -> float:
        """Return the median as if the values of a bin were evenly spread in it; 0 without values.

        >>> Bins(0.0, 1.0, 4).median(np.array([1, 2, 1, 0]))
        1.5
        """
        total = int(counts.sum())
        if not total:
            return 0.0
        upto = np.cumsum(counts)
        middle = int(np.searchsorted(upto, total / 2))
        inside = (total / 2 - (upto[middle] - counts[middle])) / counts[middle]
        return float(self.low + self.width * (middle + inside))


DENSITIES = Bins(-8.0, 2.0**-6, 4_096)
"""Bins of the joint similarity at the end of the list, in background units."""
STANDING = Bins(0.0, 2.0**-8, 4_096)
"""Bins of the number of neighbours that stand out."""


@dataclass(frozen=True)
class Standing:
    """What is counted of the items of a set, and what each is compared with.

    Attributes
    ----------
    last : ndarray of float32, shape (n,)
        Joint similarity at the end of the list.
    outstanding : ndarray of float32, shape (n,)
        Neighbours that stand out: the sum of the similarities above the last one, as multiples of the first.
    """

    last: Floats
    outstanding: Floats

    @classmethod
    def of(cls, joint: Neighborhoods) -> Standing:
        """Take it from the joint lists; of an item without neighbours both are 0."""
        lengths = np.diff(joint.offsets)
        some = lengths > 0
        last, outstanding = (np.zeros(len(lengths), np.float32) for _ in range(2))
        ends, starts = joint.offsets[1:][some] - 1, joint.offsets[:-1][some]
        last[some] = joint.similarities[ends]
        row = np.repeat(np.arange(len(lengths)), lengths)
        above = joint.similarities.astype(np.float64) - last[row]
        most = np.ones(len(lengths))
        most[some] = np.maximum(above[starts], 1e-6)
        outstanding[:] = np.bincount(row, weights=above / most[row], minlength=len(lengths))
        return cls(last, outstanding)

    def counts(self) -> tuple[Longs, Longs]:
        """Count them in the bins of ``DENSITIES`` and ``STANDING``."""
        return DENSITIES.counts(self.last), STANDING.counts(self.outstanding)

    def features(self, counts: tuple[Longs, Longs]) -> Floats:
        """Compare with the counts of the whole set.

        Returns
        -------
        ndarray of float32, shape (n, 3)
            Share of the items that end lower; log of 1 + the number that stand out; the same over the set's median.
        """
        lower = DENSITIES.share_below(counts[0], self.last)
        number = np.log1p(self.outstanding.astype(np.float64))
        relative = number - np.log1p(STANDING.median(counts[1]))
        return np.stack([lower, number, relative], axis=1).astype(np.float32)
