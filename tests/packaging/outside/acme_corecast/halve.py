"""`halve`: compute in floats of half the bits, and sum in those that the layer had."""

from __future__ import annotations

from typing import ClassVar

from corecast.model import Layer, Target
from corecast.recipe import Action, ChangeDType, Declined, Property

HALF = {"float64": "float32", "float32": "float16"}


class Halve(Action):
    verb: ClassVar[str] = "halve"

    @property
    def properties(self) -> tuple[Property, ...]:
        return ("dtype",)

    def propose(self, layer: Layer, target: Target | None) -> tuple[ChangeDType, ...] | Declined:  # noqa: ARG002
        dtype = layer.operands[0].type.dtype
        if dtype not in HALF:
            return Declined("nothing is half of {}", dtype)
        return (ChangeDType(dtype=HALF[dtype], accumulator=dtype),)
