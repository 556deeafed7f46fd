"""`keep`, `keep layout`, `keep dtype`, `keep channels` and the like: pin a layer to what the model had.

A request like any other: it overrides the rules before it and is overridden by those after it.
"""

from __future__ import annotations

from typing import ClassVar

from corecast.model import Layer
from corecast.model.target import Target
from corecast.recipe import PROPERTIES, Action, Keep, Property


class KeepAsIs(Action):
    """`keep [layout | dtype | schedule | channels | batch]`."""

    verb: ClassVar[str] = "keep"
    positional = ("what",)

    what: Property | None = None

    @property
    def properties(self) -> tuple[Property, ...]:
        return (self.what,) if self.what else PROPERTIES

    def propose(self, layer: Layer, target: Target | None) -> tuple[Keep, ...]:  # noqa: ARG002
        return tuple(Keep(property=name) for name in self.properties)
