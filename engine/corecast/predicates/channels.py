"""Channels and batch of a layer with a weight, counted before any packing, whatever its layout."""

from __future__ import annotations

from corecast.model import CONVOLUTIONS, WEIGHTED, Layer
from corecast.recipe import Size, predicate_of


@predicate_of(WEIGHTED)
def batch(layer: Layer) -> Size:
    """The size of the batch axis of its data: `batch % 8 == 0`."""
    return layer.size("N")


@predicate_of(WEIGHTED)
def in_channels(layer: Layer) -> Size:
    """Input channels, those of all groups together: `in_channels >= 16`."""
    return layer.size("C")


@predicate_of(WEIGHTED)
def out_channels(layer: Layer) -> int | str | None:
    """Output channels, those of all groups together: `out_channels % 32 == 0`."""
    size = layer.size("O")
    return size * layer.groups if layer.op.endswith("_transpose") and isinstance(size, int) else size


@predicate_of(CONVOLUTIONS)
def groups(layer: Layer) -> int | None:
    """The number of groups of a convolution: `groups == 1`."""
    return layer.groups if layer.operator and layer.operator.has_layout else None


@predicate_of(WEIGHTED)
def depthwise(layer: Layer) -> bool | None:
    """True for a convolution with a group for every input channel: `where depthwise`."""
    return layer.groups > 1 and layer.groups == layer.size("C") if layer.operator else None
