"""How well two clusterings of the same items agree, by pairs and by items, from sums of whole numbers.

In: cluster of each item, twice. By pairs it is the adjusted Rand index. An identity with a tenth of all items has most
of the pairs, and the index then reflects little else. By items each item counts once, whatever its cluster's size. All
sums are of whole numbers, so that results depend on no order and no machine.
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
    joined : int
        Items that are not alone in both.
    shared : int
        Sum over these of the share of companions that both clusterings have, beyond chance; in units of 2 to the -32.
    """

    items: int
    one: int
    other: int
    both: int
    joined: int = 0
    shared: int = 0

    @classmethod
    def of(cls, one: Longs, other: Longs) -> Contingency:
        """Count them; clusters are numbers from 0 to n - 1."""
        count = len(one)
        of_one, of_other = np.bincount(one, minlength=count), np.bincount(other, minlength=count)
        cells, both = np.unique(one * np.int64(count) + other, return_counts=True)
        joined, shared = _by_items(of_one[cells // max(1, count)], of_other[cells % max(1, count)], both, count)
        return cls(count, _pairs(of_one), _pairs(of_other), _pairs(both), joined, shared)

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

    @property
    def by_items(self) -> float:
        """Mean over items that are not alone in both of the share of companions that are common, beyond chance.

        >>> Contingency.of(np.array([0, 0, 2, 2]), np.array([0, 0, 2, 3])).by_items
        0.5
        """
        return self.shared / _WHOLE / self.joined if self.joined else 0.0


_WHOLE = 2**32


def _by_items(one: Longs, other: Longs, both: Longs, count: int) -> tuple[int, int]:
    """Sum up over cells; given are the sizes of a cell's two clusters and its own."""
    some = (one > 1) | (other > 1)
    one, other, both = one[some] - 1, other[some] - 1, both[some]
    companions = (one + other).astype(np.float64)
    common, chance = 2 * (both - 1) / companions, 2.0 * one * other / (companions * max(1, count - 1))
    same = common == 1
    beyond = np.where(same, 1.0, (common - chance) / np.where(same, 1.0, 1 - chance))
    return int(both.sum()), int((both * np.rint(beyond * _WHOLE).astype(np.int64)).sum())


def _pairs(sizes: Longs) -> int:
    sizes = sizes.astype(np.int64)
    return int((sizes * (sizes - 1)).sum()) // 2
