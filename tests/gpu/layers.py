"""The convolutions of ResNet-50 after its stem, as this family has them, and as cuDNN has them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch.nn import functional

from corecast.backends.schedules.hwnc_sm90.problem import Conv, Epilogue


class Layer(NamedTuple):
    """A convolution of square images, and how often the network has it."""

    size: int
    channels: int
    out_channels: int
    kernel: int
    stride: int
    count: int

    def __str__(self) -> str:
        stride = f"/{self.stride}" if self.stride > 1 else ""
        return f"{self.size} {self.channels}->{self.out_channels} {self.kernel}x{self.kernel}{stride}"

    def conv(self, batch: int, dtype: str) -> Conv:
        """int8 has a scale for each output channel, without which there is no int8 result; float16 has nothing."""
        edge = self.kernel // 2
        return Conv(
            batch,
            self.size,
            self.size,
            self.channels,
            self.out_channels,
            (self.kernel,) * 2,
            (self.stride,) * 2,
            (edge,) * 4,
            dtype=dtype,
            out_dtype=dtype,
            epilogue=Epilogue(scale=dtype == "int8"),
        )

    def cudnn(self, batch: int) -> Callable[[], torch.Tensor]:
        """torch's convolution in float16, channels last, with cuDNN's fastest kernel for it."""
        torch.backends.cudnn.benchmark = True
        data = torch.randn(batch, self.channels, self.size, self.size, device="cuda").half()
        weights = torch.randn(self.out_channels, self.channels, self.kernel, self.kernel, device="cuda").half()
        data, weights = (tensor.to(memory_format=torch.channels_last) for tensor in (data, weights))
        return lambda: functional.conv2d(data, weights, padding=self.kernel // 2, stride=self.stride)


LAYERS = [
    Layer(56, 64, 64, 1, 1, 1), Layer(56, 64, 64, 3, 1, 3), Layer(56, 64, 256, 1, 1, 4), Layer(56, 256, 64, 1, 1, 2),
    Layer(56, 256, 128, 1, 1, 1), Layer(56, 128, 128, 3, 2, 1), Layer(28, 128, 512, 1, 1, 4),
    Layer(56, 256, 512, 1, 2, 1), Layer(28, 512, 128, 1, 1, 3), Layer(28, 128, 128, 3, 1, 3),
    Layer(28, 512, 256, 1, 1, 1), Layer(28, 256, 256, 3, 2, 1), Layer(14, 256, 1024, 1, 1, 6),
    Layer(28, 512, 1024, 1, 2, 1), Layer(14, 1024, 256, 1, 1, 5), Layer(14, 256, 256, 3, 1, 5),
    Layer(14, 1024, 512, 1, 1, 1), Layer(14, 512, 512, 3, 2, 1), Layer(7, 512, 2048, 1, 1, 3),
    Layer(14, 1024, 2048, 1, 2, 1), Layer(7, 2048, 512, 1, 1, 2), Layer(7, 512, 512, 3, 1, 2),
]  # fmt: skip
