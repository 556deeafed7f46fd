"""Slots that share a scale are united; a number for each set of them out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from corecast.plan.integers.found import Slot


class Sets:
    """Slots that are united, and a number for each set of them."""

    def __init__(self, slots: Iterable[Slot]) -> None:
        self._parent = {slot: slot for slot in slots}

    def unite(self, slots: Sequence[Slot]) -> None:
        for slot in slots[1:]:
            self._parent[self._first(slot)] = self._first(slots[0])

    def numbered(self) -> dict[Slot, int]:
        numbers: dict[Slot, int] = {}
        return {slot: numbers.setdefault(self._first(slot), len(numbers)) for slot in self._parent}

    def _first(self, slot: Slot) -> Slot:
        while self._parent[slot] != slot:
            self._parent[slot] = self._parent[self._parent[slot]]
            slot = self._parent[slot]
        return slot
