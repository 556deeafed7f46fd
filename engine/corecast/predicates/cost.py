"""What a layer costs: operations, bytes, and the ratio of the two."""

from __future__ import annotations

from corecast.model import Layer
from corecast.recipe import Natural, Positive, predicate


@predicate
def flops(layer: Layer) -> Natural | None:
    """Operations, two for each multiply-add: `flops > 1e8`."""
    return layer.flops


@predicate
def bytes(layer: Layer) -> Natural | None:
    """Bytes of operands and results, each counted once: `bytes < 1e6`."""
    return layer.bytes


@predicate
def intensity(layer: Layer) -> Positive | None:
    """Operations for each byte: `intensity > 50` is what a matrix unit can speed up."""
    return layer.flops / layer.bytes if layer.flops is not None and layer.bytes else None
