"""`pad channels to 32 at most 2x`, `pad batch to 8`: fill an axis up with zeros, so that a matrix unit takes the layer.

Input and output channels of a convolution or product become multiples, or the batch does; the result is cut back where
somebody reads it as it was. The answers stay the same. Weights are filled up ahead; the rest is work at run time,
which the plan shows, and for which `at most` sets a bound: beyond it the request does not apply.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any, ClassVar

from pydantic import Field, field_validator

from corecast.model import WEIGHTED, Layer, PaddedAxis, factor, padded, sizes_of
from corecast.model.target import Target
from corecast.recipe import Action, Declined, Pad, Property

_FACTOR = re.compile(r"(\d+(?:\.\d+)?)x")

# A model has many layers and few paddings.
_pad = cache(Pad)


class PadAxis(Action):
    """`pad channels | batch to MULTIPLE [at most FACTORx]`."""

    verb: ClassVar[str] = "pad"
    positional = ("axis",)
    keyed = ("to", "at_most")

    axis: PaddedAxis
    to: int = Field(ge=2, le=1024, title="MULTIPLE")
    at_most: float | None = Field(default=None, title="FACTORx")

    @field_validator("at_most", mode="before")
    @classmethod
    def _times(cls, text: Any) -> float:
        match = _FACTOR.fullmatch(text) if isinstance(text, str) else None
        if match is None or float(match[1]) < 1:
            raise ValueError(f"`{text}` is no bound: write how many times the work it may be, as in `at most 2x`")
        return float(match[1])

    @property
    def properties(self) -> tuple[Property, ...]:
        return (self.axis,)

    def excluded(self, op: str | None) -> Declined | None:
        if op is None or op in WEIGHTED or (op == "matmul" and self.axis == "channels"):
            return None
        if op == "matmul":
            return Declined("{} counts the batch along with both operands; it has none of its own", op)
        return Declined("{} multiplies no matrices; between padded layers it takes their size by itself", op)

    def propose(self, layer: Layer, target: Target | None) -> tuple[Pad] | Declined:  # noqa: ARG002
        if declined := self.excluded(layer.op):
            return declined
        if layer.signature:
            return Declined("{} is not padded in an ONNX file; as a Relax module it is", layer.signature.op)
        sizes = sizes_of(layer, self.axis)
        if not sizes:
            return Declined("its shapes do not say where its {} lie", self.axis)
        if any(isinstance(size, str) for size in sizes):
            return Declined("its {} is open ({}), and what is to be filled up must be known", self.axis, sizes[0])
        if self.axis == "channels" and layer.groups > 1:
            return Declined("its channels lie in {} groups, and zeros behind them would be of no group", layer.groups)
        if layer.attributes.get("out_layout") not in (None, "", layer.data_layout):
            return Declined("it gives its result in another layout than it reads")
        work = factor(layer, self.axis, self.to)
        if self.at_most is not None and work > self.at_most:
            after = sizes_of(padded(layer, self.axis, self.to), self.axis)
            grown = f"{_listed(sizes)} -> {_listed(after)}"
            return Declined(
                "its {} {} are {:.3g}x the work, and at most {:g}x is allowed", self.axis, grown, work, self.at_most
            )
        return (_pad(axis=self.axis, to=self.to),)


def _listed(sizes: tuple[int | str, ...]) -> str:
    return ", ".join(map(str, sizes))
