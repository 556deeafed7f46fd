"""What of a model computes on integers: the layers, the values, and which of these share a scale."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, NamedTuple, TypeAlias

from corecast.model import LayerTable
from corecast.plan.carry import Value
from corecast.recipe import Quantize

# What a layer does on integers: multiply and add; add a bias to such sums; or what it does, carried along.
Role: TypeAlias = Literal["sums", "bias", "carried"]


class Form(NamedTuple):
    """How values are written as integers: signed or not, with a zero point unless zero is zero."""

    dtype: Literal["int8", "uint8"]
    symmetric: bool

    def __str__(self) -> str:
        return self.dtype if self.symmetric or self.dtype == "uint8" else f"{self.dtype} asymmetric"


class Slot(NamedTuple):
    """A value in one form; it has a scale there, which other slots may share."""

    value: Value
    form: Form


@dataclass(frozen=True)
class Integers:
    """What of a model computes on integers, by the layers' indices.

    Attributes:
        table: the layers.
        edits: what was asked of the quantized ones.
        roles: of every layer that computes on integers.
        biases: for a quantized layer the `add` of a weight behind it, which is made a part of it.
        reads: for each layer with a role, what each of its operands is read as; None for a weight, and for the sums
            that a bias is added to.
        made: the values that such layers make as integers. What they make for others only, they hand on as floats.
        group: a number for each slot; slots of one number share a scale.
        observed: for each number the values whose ranges its scale is made from.
        dequantized: the values that are made on integers and read as floats; each is converted once.
        cut: the values of which the integers hold only what a relu or a clip behind them lets through.
    """

    table: LayerTable
    edits: Mapping[int, Quantize]
    roles: Mapping[int, Role] = field(default_factory=dict)
    biases: Mapping[int, int] = field(default_factory=dict)
    reads: Mapping[int, tuple[Slot | None, ...]] = field(default_factory=dict)
    made: Mapping[Value, Slot] = field(default_factory=dict)
    group: Mapping[Slot, int] = field(default_factory=dict)
    observed: Mapping[int, tuple[Value, ...]] = field(default_factory=dict)
    dequantized: tuple[Value, ...] = ()
    cut: frozenset[Value] = frozenset()

    @cached_property
    def quantized(self) -> tuple[Slot, ...]:
        """The values that are made as floats and read as integers, in each form once."""
        read = dict.fromkeys(slot for slots in self.reads.values() for slot in slots if slot)
        return tuple(slot for slot in read if slot.value not in self.made)

    @property
    def carried(self) -> tuple[str, ...]:
        """The ids of the layers that compute on integers without being asked."""
        return tuple(self.table.layers[index].id for index, role in sorted(self.roles.items()) if role != "sums")

    @property
    def to_observe(self) -> dict[str, bool]:
        """The values whose ranges are needed, as a calibration names them, and whether zero is in their middle."""
        found: dict[str, bool] = {}
        for slot, number in self.group.items():
            if slot.value in self.observed[number]:
                name = self.name(slot.value)
                found[name] = found.get(name, True) and slot.form.symmetric
        return found

    def name(self, value: Value) -> str:
        """How a calibration names a value: an input by its name, what a layer makes by the layer's id."""
        layer, result = value
        name = layer if isinstance(layer, str) else self.table.layers[layer].id
        return f"{name}:{result}" if result else name
