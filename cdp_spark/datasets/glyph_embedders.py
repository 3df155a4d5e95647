"""Train four small networks that embed glyphs; only making the data needs torch.

Each network is trained to classify the characters of a separate subset with a cosine softmax. The embedding is the
layer before.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

DIMENSIONS = {"residual": 96, "plain": 64, "wide": 80, "half": 64}
"""Models, base first, with the length of their embeddings."""

_SCALE, _MARGIN = 24.0, 0.15


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels),
        )  # fmt: skip

    def forward(self, images: Tensor) -> Tensor:
        return functional.relu(images + self.inner(images))


def network(kind: str) -> nn.Sequential:
    """Make a network from images (n, 1, 28, 28) to (n, ``DIMENSIONS[kind]``)."""
    width, side = (5, 28) if kind == "wide" else (3, 14 if kind == "half" else 28)
    layers: list[nn.Module] = [nn.AvgPool2d(2)] if kind == "half" else []
    channels = 1
    for out in (24, 48, 96):
        layers += [nn.Conv2d(channels, out, width, padding=width // 2, bias=False), nn.BatchNorm2d(out), nn.ReLU()]
        if kind == "residual" and channels > 1:  # at full resolution it would take half of all time
            layers.append(_Residual(out))
        if side > 4:
            layers.append(nn.MaxPool2d(2))
            side //= 2
        channels = out
    return nn.Sequential(*layers, nn.Flatten(), nn.LazyLinear(DIMENSIONS[kind]))


def trained(kind: str, images: NDArray[np.uint8], labels: NDArray[np.int64], *, epochs: int = 10) -> nn.Module:
    """Train one network.

    Parameters
    ----------
    kind : str
        Key of ``DIMENSIONS``.
    images : ndarray of uint8, shape (n, 28, 28)
    labels : ndarray of int64, shape (n,), 0 to classes - 1
    epochs : int
    """
    torch.manual_seed(sorted(DIMENSIONS).index(kind))
    torch.set_num_threads(1)
    model = network(kind)
    points, wanted = tensor_of(images), torch.from_numpy(labels)
    model(points[:2])  # sets the size of the lazy last layer
    model = model.to(memory_format=torch.channels_last)
    classes = nn.Parameter(torch.randn(int(labels.max()) + 1, DIMENSIONS[kind]))
    optimiser = torch.optim.AdamW([*model.parameters(), classes], lr=2e-3, weight_decay=1e-4)
    batches = -(-len(points) // 128)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=epochs * batches)
    for _ in range(epochs):
        for rows in torch.split(torch.randperm(len(points)), 128):
            if len(rows) < 2:
                schedule.step()
                continue
            cosine = functional.normalize(model(points[rows])) @ functional.normalize(classes).T
            cosine = cosine - _MARGIN * functional.one_hot(wanted[rows], len(classes))
            loss = functional.cross_entropy(_SCALE * cosine, wanted[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return model.eval()


def embedded(model: nn.Module, images: NDArray[np.uint8]) -> NDArray[np.float16]:
    """Embed images as unit rows."""
    with torch.no_grad():
        batches = [functional.normalize(model(batch)) for batch in torch.split(tensor_of(images), 512)]
    rows: NDArray[np.float16] = torch.cat(batches).numpy().astype(np.float16)
    return rows


def tensor_of(images: NDArray[np.uint8]) -> Tensor:
    """Convert pictures to network input: (n, 1, 28, 28), from -1 to 1."""
    # Convolutions on a CPU are twice as fast with channels last.
    pixels = torch.from_numpy(images.astype(np.float32) / 127.5 - 1)[:, None]
    return pixels.to(memory_format=torch.channels_last)
