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
