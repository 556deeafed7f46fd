"""A tiling in, the four tensor maps of its kernel out: what TMA is told of the tensors, as plain numbers.

A map walks its tensor in boxes. Outside the tensor it reads zeros and writes nothing: that makes the padding of the
convolution, channels that fill no step, and tiles that stand over the edge.
"""

from __future__ import annotations

from typing import NamedTuple

from corecast.backends.schedules.hwnc_sm90.problem import RESULTS
from corecast.backends.schedules.hwnc_sm90.tiling import Tiling, swizzle_code

# The most along one side of a box.
WIDEST_BOX = 256


class TensorMap(NamedTuple):
    """Sizes from the innermost axis outwards; `strides` in bytes, of all but the innermost; `every` takes each nth."""

    element: int
    sizes: tuple[int, ...]
    strides: tuple[int, ...]
    box: tuple[int, ...]
    every: tuple[int, ...]
    row_bytes: int
    keep: bool

    @property
    def rank(self) -> int:
        return len(self.sizes)

    def numbers(self) -> list[int]:
        """What `runtime.cuTensorMapEncodeTiled` takes after the pointer."""
        promotion = 2 if self.keep else 0  # L2 fetches 128 bytes at a time of what is read again
        return [*self.sizes, *self.strides, *self.box, *self.every, 0, swizzle_code(self.row_bytes), promotion, 0]

    @property
    def dtype(self) -> str:
        """TMA moves bytes; it need not know more than their number."""
        return {1: "int8", 2: "float16", 4: "int32"}[self.element]

    @property
    def bytes(self) -> int:
        """What one box brings, with what lies outside."""
        count = self.element
        for side, every in zip(self.box, self.every, strict=True):
            count *= -(-side // every)
        return count


def data_map(tiling: Tiling) -> TensorMap:
    """(channels, batch, width, height)."""
    conv, size, (images, columns, lines) = tiling.conv, tiling.format.size, tiling.knobs.box
    pixel = conv.channels * size
    return TensorMap(
        size,
        (conv.channels, conv.batch, conv.width, conv.height),
        (pixel, conv.batch * pixel, conv.width * conv.batch * pixel),
        (tiling.step_channels, images, _span(columns, conv.strides[1]), _span(lines, conv.strides[0])),
        (1, 1, conv.strides[1], conv.strides[0]),
        tiling.row_bytes,
        keep=True,
    )


def weight_map(tiling: Tiling) -> TensorMap:
    """(channels, out_channels, places of the kernel)."""
    conv, size = tiling.conv, tiling.format.size
    row = conv.channels * size
    return TensorMap(
        size,
        (conv.channels, conv.out_channels, conv.kernel[0] * conv.kernel[1]),
        (row, conv.out_channels * row),
        (tiling.step_channels, tiling.knobs.columns, 1),
        (1, 1, 1),
        tiling.row_bytes,
        keep=True,
    )


def result_map(tiling: Tiling) -> TensorMap:
    """(out_channels, batch, out_width, out_height), for what is written and for a residual."""
    conv, size = tiling.conv, RESULTS[tiling.conv.out_dtype]
    pixel = conv.out_channels * size
    return TensorMap(
        size,
        (conv.out_channels, conv.batch, conv.out_width, conv.out_height),
        (pixel, conv.batch * pixel, conv.out_width * conv.batch * pixel),
        (tiling.chunk_channels, *tiling.knobs.box),
        (1, 1, 1, 1),
        tiling.chunk_bytes,
        keep=False,
    )


def _span(count: int, stride: int) -> int:
    """The side of a box of so many places, a stride apart."""
    return (count - 1) * stride + 1
