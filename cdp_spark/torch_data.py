"""Read exported items as map-style datasets for PyTorch's ``DataLoader``.

    from torch.utils.data import DataLoader
    from cdp_spark.torch_data import ExportedItems

    items = ExportedItems("training", "train", load=lambda id: transform(Image.open(f"images/{id}.jpg")))
    DataLoader(items, batch_size=256, shuffle=True)

This module does not need torch: a map-style dataset is any object with a length and items. For shards, use the package
``webdataset``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from cdp_spark.base.errors import InputError
from cdp_spark.files.folder import Folder
from cdp_spark.runs.manifests import is_shown

__all__ = ["ExportedItems", "SeveralExports"]

_COLUMNS = ["id", "label", "source", "weight", "split"]


class _Item(NamedTuple):
    sample: Any
    label: int
    weight: float


class _ItemOfHeads(NamedTuple):
    sample: Any
    labels: NDArray[np.int64]
    weights: NDArray[np.float32]


class ExportedItems:
    """The items of one split of ``cdp-spark export``, by id.

    Parameters
    ----------
    folder : str
        Output of an export as Parquet.
    split : str, optional
        Default: all items.
    load : callable (id) -> sample, optional
        Makes the sample of an item; default: its id.
    head : {"labelled", "cluster"}, optional
        Only items of this source, with labels numbered from 0: one head of a network with two.

    Attributes
    ----------
    ids : list
    labels : ndarray of int64
    weights : ndarray of float32
    classes : int
        Number of labels, over all splits.

    Raises
    ------
    InputError
        If the folder holds no export, or the export has no such split.
    """

    def __init__(
        self,
        folder: str,
        split: str | None = None,
        *,
        load: Callable[[Any], Any] | None = None,
        head: str | None = None,
    ) -> None:
        table = _read(folder)
        if head is not None:
            table = table.filter(pc.equal(table.column("source"), head))
        every = table.column("label").to_numpy()
        first = int(every.min()) if head is not None and len(every) else 0
        self.classes = int(every.max()) + 1 - first if len(every) else 0
        if split is not None:
            known = sorted(table.column("split").unique().to_pylist())
            if split not in known:
                raise InputError(f"{folder} has no split {split}: choose one of {', '.join(known) or 'none'}")
            table = table.filter(pc.equal(table.column("split"), split))
        table = table.sort_by("id")
        self.ids = table.column("id").to_pylist()
        self.labels = table.column("label").to_numpy() - first
        self.weights = table.column("weight").to_numpy().astype(np.float32)
        self._load = load or (lambda id: id)

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> _Item:
        """Return an item's sample, label and weight."""
        return _Item(self._load(self.ids[index]), int(self.labels[index]), float(self.weights[index]))


class SeveralExports:
    """Items of several exports of the same images, with one label per export.

    For a network with a head per clustering.

    Parameters
    ----------
    folders : sequence of str
        Outputs of exports as Parquet, one head each.
    split : str, optional
        Default: all items. Splits use a hash of the id, so with the same shares they are the same in every export.
    load : callable (id) -> sample, optional
        Makes the sample of an item; default: its id.
    head : {"labelled", "cluster"}, optional
        Only items of this source.

    Attributes
    ----------
    ids : list
        Ids of all items that are in at least one export.
    labels : ndarray of int64, shape (n, heads)
        -1 where the export of this head lacks the item.
    weights : ndarray of float32, shape (n, heads)
        0 where the label is -1: multiply a head's loss by its column.
    classes : tuple of int
        Number of labels of each head, over all splits.

    Raises
    ------
    InputError
        If a folder holds no export, an export has no such split, or two items share an id (*apart*, without ``head``).
    """

    def __init__(
        self,
        folders: Sequence[str],
        split: str | None = None,
        *,
        load: Callable[[Any], Any] | None = None,
        head: str | None = None,
    ) -> None:
        exports = [ExportedItems(folder, split, head=head) for folder in folders]
        self.ids: list[Any] = sorted(set().union(*(each.ids for each in exports)))
        row_of = {id: row for row, id in enumerate(self.ids)}
        self.labels = np.full((len(row_of), len(exports)), -1, np.int64)
        self.weights = np.zeros(self.labels.shape, np.float32)
        for column, (folder, each) in enumerate(zip(folders, exports, strict=True)):
            if len(set(each.ids)) < len(each.ids):
                raise InputError(f"{folder}: labelled and clustered items share ids: choose one kind with head")
            rows = [row_of[id] for id in each.ids]
            self.labels[rows, column], self.weights[rows, column] = each.labels, each.weights
        self.classes = tuple(each.classes for each in exports)
        self._load = load or (lambda id: id)

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> _ItemOfHeads:
        """Return an item's sample, and its labels and weights by head."""
        return _ItemOfHeads(self._load(self.ids[index]), self.labels[index], self.weights[index])


def _read(folder: str) -> pa.Table:
    export = Folder(folder)
    names = [f"items/{file.path}" for file in export.files("items") if is_shown(file.path)]
    if not names or export.read("card.json") is None:
        raise InputError(f"{folder} holds no finished export as Parquet: run cdp-spark export with --output {folder}")
    return pa.concat_tables([export.read_parquet(name).select(_COLUMNS) for name in names])
