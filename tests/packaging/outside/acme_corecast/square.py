"""`where square`: as many output channels as input channels."""

from __future__ import annotations

from corecast.model import Layer
from corecast.recipe import predicate


@predicate
def square(layer: Layer) -> bool:
    """Whether a layer has as many output channels as input channels."""
    return layer.operator is not None and layer.size("O") == layer.size("I")
