"""Which order each layer runs in, and so in which every tensor is given and wanted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from corecast.model.orders import Order
from corecast.plan.carry.wiring import Value, Wiring


@dataclass(frozen=True)
class Converted:
    """The orders in which a converted layer reads its operands and gives its results; None for the model's."""

    operands: tuple[Order | None, ...]
    results: tuple[Order | None, ...]


@dataclass
class Choice:
    """The converted layers, and the order of the space of each layer that follows another one than the model's."""

    wiring: Wiring
    converted: Mapping[int, Converted]
    orders: dict[int, Order] = field(default_factory=dict)

    def wants(self, layer: int, place: int) -> Order | None:
        """The order of its own axes in which a layer takes an operand; None for the model's."""
        order = self.orders.get(layer)
        if order is None:
            return self.converted[layer].operands[place] if layer in self.converted else None
        return self.wiring.wanted(layer, place, order)

    def gives(self, value: Value) -> Order | None:
        """The order in which a value is produced; None for the model's."""
        layer, place = value
        if isinstance(layer, str):
            return None
        order = self.orders.get(layer)
        if order is None:
            return self.converted[layer].results[place] if layer in self.converted else None
        return self.wiring.given(layer, place, order)
