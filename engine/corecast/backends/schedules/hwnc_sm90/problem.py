"""What a kernel of this family computes, as plain data: a convolution in HWNC, and what follows it on each value."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Activation = Literal["none", "relu", "clip", "gelu"]

# TMA moves rows of whole 16-byte units.
UNIT = 16


@dataclass(frozen=True)
class Format:
    """How the tensor cores name a dtype of the operands, and what they add up in.

    Attributes:
        size: bytes of an element.
        ptx: in the name of the wgmma instruction.
        sum: the dtype of the sums, as the instruction's registers have it; int32 sums are passed as uint32.
        widest: the most output channels of one instruction that we use.
    """

    size: int
    ptx: str
    sum: str
    widest: int


OPERANDS = {
    "float16": Format(2, "f16", "float32", 256),
    "bfloat16": Format(2, "bf16", "float32", 256),
    "float8_e4m3fn": Format(1, "e4m3", "float32", 256),
    "int8": Format(1, "s8", "uint32", 128),  # wgmma has no n256 for integers
}
RESULTS = {"float16": 2, "bfloat16": 2, "float8_e4m3fn": 1, "int8": 1, "float32": 4, "int32": 4}


@dataclass(frozen=True)
class Epilogue:
    """What becomes of a sum before it is written, in this order.

    `activation((sum + shift[o]) * gain * scale[o] + bias[o] + residual * residual_scale) * rescale`, in float32, then
    rounded to the dtype of the result: to the nearest, ties to even; int8 and float8 end at their largest values. An
    int32 result takes none of it.

    Attributes:
        shift: whether an int32 of each output channel is added to a sum of integers.
        scale, bias: whether there is a float of each output channel to multiply by, to add.
        residual: whether a tensor of the result's shape and dtype is added.
        clip: the bounds of the activation `clip`.
    """

    shift: bool = False
    gain: float = 1.0
    scale: bool = False
    bias: bool = False
    residual: bool = False
    residual_scale: float = 1.0
    activation: Activation = "none"
    clip: tuple[float, float] = (0.0, 6.0)
    rescale: float = 1.0

    @property
    def plain(self) -> bool:
        return self == Epilogue()


@dataclass(frozen=True)
class Conv:
    """A convolution: data (height, width, batch, channels), weights (rows, columns, out_channels, channels).

    The result is (out_height, out_width, batch, out_channels). A product of matrices is the one of height, width and
    kernel 1. Sizes are in elements; `padding` is top, left, bottom, right.
    """

    batch: int
    height: int
    width: int
    channels: int
    out_channels: int
    kernel: tuple[int, int] = (1, 1)
    strides: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    dtype: str = "float16"
    out_dtype: str = "float16"
    epilogue: Epilogue = Epilogue()

    @property
    def out_height(self) -> int:
        top, _, bottom, _ = self.padding
        return (self.height + top + bottom - self.dilation[0] * (self.kernel[0] - 1) - 1) // self.strides[0] + 1

    @property
    def out_width(self) -> int:
        _, left, _, right = self.padding
        return (self.width + left + right - self.dilation[1] * (self.kernel[1] - 1) - 1) // self.strides[1] + 1

    @property
    def operations(self) -> int:
        """Multiplications and additions."""
        pixels = self.batch * self.out_height * self.out_width
        return 2 * pixels * self.out_channels * self.channels * self.kernel[0] * self.kernel[1]

    @property
    def largest_sum(self) -> int:
        """How far from zero a sum of int8 products may be."""
        return 128 * 128 * self.channels * self.kernel[0] * self.kernel[1]

    @property
    def traffic(self) -> int:
        """The bytes that have to move at least: each operand read once, the result written once."""
        data = self.batch * self.height * self.width * self.channels
        weights = self.kernel[0] * self.kernel[1] * self.out_channels * self.channels
        result = self.batch * self.out_height * self.out_width * self.out_channels * RESULTS[self.out_dtype]
        return (data + weights) * OPERANDS[self.dtype].size + result * (2 if self.epilogue.residual else 1)

    def flattened(self) -> Conv:
        """The same numbers as one product of matrices, where it is one: every pixel of every image is a row."""
        if self.kernel != (1, 1) or self.strides != (1, 1) or any(self.padding):
            return self
        return replace(self, batch=self.height * self.width * self.batch, height=1, width=1)

    def objection(self) -> str | None:
        """Why no kernel of the family computes it, as a clause, or None."""
        sizes = (self.batch, self.height, self.width, self.channels, self.out_channels, *self.kernel)
        if self.dtype not in OPERANDS:
            return f"its operands are {self.dtype}; the family takes {', '.join(OPERANDS)}"
        if self.out_dtype not in RESULTS:
            return f"its result is {self.out_dtype}; the family writes {', '.join(RESULTS)}"
        if min(sizes) < 1 or min(self.out_height, self.out_width) < 1:
            return "one of its sizes is less than 1"
        if max(self.kernel) > 7:
            return f"its kernel is {self.kernel[0]}x{self.kernel[1]}; the family goes to 7x7"
        if max(self.strides) > 2 or min(*self.strides, *self.dilation) < 1:
            return f"its strides are {self.strides}; the family has 1 and 2"
        if min(self.padding) < 0:
            return "its padding is negative"
        if self.out_dtype == "int32" and (self.dtype != "int8" or not self.epilogue.plain):
            return "an int32 result is the plain sum of int8 products"
        if self.epilogue.shift and self.dtype != "int8":
            return f"integers are added to sums of {self.dtype}"
        for name, count, size in (
            ("input", self.channels, OPERANDS[self.dtype].size),
            ("output", self.out_channels, RESULTS[self.out_dtype]),
        ):
            if count * size % UNIT:
                return f"its {count} {name} channels are {count * size} bytes, not a multiple of {UNIT}: pad them"
        if max(self.batch * self.height * self.width, self.channels, self.out_channels) >= 2**31:
            return "one of its sizes does not fit 32 bits"
        return None
