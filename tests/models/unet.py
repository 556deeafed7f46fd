"""A U-Net (Ronneberger et al., 2015) with batch norm: four levels down, four up by transposed convolutions, skips."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def _double(inputs: int, outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (inputs, outputs):
        layers += [nn.Conv2d(channels, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU()]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    """From an image to one logit a pixel and class; `width` channels at the first level, twice as many at each next."""

    def __init__(self, classes: int = 2, width: int = 16, levels: int = 4) -> None:
        super().__init__()
        widths = [width << level for level in range(levels + 1)]
        inputs = [3, *widths[:-2]]
        self.down = nn.ModuleList(map(_double, inputs, widths[:-1]))
        self.pool = nn.MaxPool2d(2)
        self.bottom = _double(widths[-2], widths[-1])
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * n, n, 2, stride=2) for n in reversed(widths[:-1]))
        self.join = nn.ModuleList(_double(2 * n, n) for n in reversed(widths[:-1]))
        self.head = nn.Conv2d(width, classes, 1)

    def forward(self, image: Tensor) -> Tensor:
        skips = []
        for block in self.down:
            image = block(image)
            skips.append(image)
            image = self.pool(image)
        image = self.bottom(image)
        for up, join, skip in zip(self.up, self.join, reversed(skips), strict=True):
            image = join(torch.cat([skip, up(image)], 1))
        return self.head(image)
