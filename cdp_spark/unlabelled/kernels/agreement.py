"""How well two clusterings of the same items agree: the adjusted Rand index from counts of whole numbers.

In: cluster of each item, twice. Only sums of squares are needed, of the sizes in either clustering and of the items
that are in the same two clusters; such sums of any parts of the table of counts add up to those of the whole.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Longs = NDArray[np.int64]


@dataclass(frozen=True)
class Contingency:
    """Pairs of items that are together: in one clustering, in the other, in both.

    Attributes
    ----------
    items : int
    one, other, both : int
    """

    items: int
    one: int
    other: int
    both: int

    @classmethod
    def of(cls, one: Longs, other: Longs) -> Contingency:
        """Count them; clusters are numbers from 0 to n - 1."""
        count = len(one)
        cells = np.unique(one * np.int64(count) + other, return_counts=True)[1]
        return cls(count, _pairs(np.bincount(one)), _pairs(np.bincount(other)), _pairs(cells))

    @property
    def adjusted_rand(self) -> float:
        """The index of Hubert and Arabie (1985); 0 where one of the two joins nothing: there is nothing to agree on.

        >>> Contingency.of(np.array([0, 0, 2]), np.array([0, 0, 2])).adjusted_rand
        1.0
        >>> Contingency.of(np.array([0, 1, 2]), np.array([0, 1, 2])).adjusted_rand
        0.0
        """
        if not self.one or not self.other:
            return 0.0
        expected = self.one * self.other / (self.items * (self.items - 1) / 2)
        most = (self.one + self.other) / 2
        return 1.0 if most == expected else (self.both - expected) / (most - expected)


def _pairs(sizes: Longs) -> int:
    sizes = sizes.astype(np.int64)
    return int((sizes * (sizes - 1)).sum()) // 2
