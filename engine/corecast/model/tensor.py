"""Tensor types as plain data: shapes whose unknown sizes are names, dtypes as TVM and numpy spell them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

from pydantic import ConfigDict

_BITS = re.compile(r"^(?:bool|(?:int|uint|float|bfloat)(\d+))")


@cache
def dtype_bits(dtype: str) -> int:
    """How many bits one element takes: 4 for `int4`, 8 for `float8_e4m3fn` and `bool`. Raises `ValueError`."""
    match = _BITS.match(dtype)
    if not match:
        raise ValueError(f"unknown dtype {dtype!r}")
    return int(match[1]) if match[1] else 8


# Binary digits of the significand, and the exponents of the smallest step and of the largest value.
_FLOATS = {
    "float8_e4m3fn": (4, -9, 8),
    "float8_e5m2": (3, -16, 15),
    "float16": (11, -24, 15),
    "bfloat16": (8, -133, 127),
    "float32": (24, -149, 127),
    "float64": (53, -1074, 1023),
}
_INTEGER = re.compile(r"^(?P<unsigned>u?)int(?P<bits>\d+)$")


def is_lossless(dtype: str, wider: str) -> bool:
    """Whether every value of `dtype` is one of `wider`, so that the way through it changes nothing."""
    if dtype == wider:
        return True
    wide = _FLOATS.get(wider)
    if narrow := _FLOATS.get(dtype):
        return wide is not None and narrow[0] <= wide[0] and narrow[1] >= wide[1] and narrow[2] <= wide[2]
    integer, target = _digits(dtype), _digits(wider)
    if integer is None:
        return False
    digits, is_signed = integer
    if wide is not None:
        return digits <= wide[0] and digits <= wide[2]
    return target is not None and digits <= target[0] and is_signed <= target[1]


def _digits(dtype: str) -> tuple[int, bool] | None:
    """How many binary digits the values of an integer dtype have besides the sign, and whether they have one."""
    if dtype == "bool":
        return 1, False
    match = _INTEGER.match(dtype)
    return (int(match["bits"]) - (not match["unsigned"]), not match["unsigned"]) if match else None


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorType:
    """A shape and a dtype. A dynamic size is the name of its variable; an unknown rank is `shape=None`."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    dtype: str
    shape: tuple[int | str, ...] | None = None

    @property
    def elements(self) -> int | None:
        """The number of elements, or None where a size is dynamic."""
        if self.shape is None:
            return None
        elements = 1
        for size in self.shape:
            if isinstance(size, str):
                return None
            elements *= size
        return elements

    @property
    def bytes(self) -> int | None:
        """The size in memory, sub-byte elements packed, or None where a size is dynamic."""
        elements = self.elements
        return None if elements is None else (elements * dtype_bits(self.dtype) + 7) // 8

    def cast(self, dtype: str) -> TensorType:
        """The same shape in another dtype."""
        return TensorType(dtype=dtype, shape=self.shape)

    def __str__(self) -> str:
        return f"{self.dtype} {'?' if self.shape is None else 'x'.join(map(str, self.shape)) or 'scalar'}"

    @classmethod
    def parse(cls, text: str) -> TensorType:
        """Read back what `str` printed: `float32 1x3x224x224`."""
        dtype, _, sizes = text.strip().partition(" ")
        if sizes == "?":
            return cls(dtype=dtype)
        parts = [] if sizes == "scalar" else sizes.split("x")
        return cls(dtype=dtype, shape=tuple(int(part) if part.isdigit() else part for part in parts))
