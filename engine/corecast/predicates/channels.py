"""Channels and batch of a layer with a weight, counted before any packing, whatever its layout."""

from __future__ import annotations

from corecast.model import Layer
from corecast.recipe import Value, predicate


@predicate
def batch(layer: Layer) -> Value:
    """The size of the batch axis of its data: `batch % 8 == 0`."""
    return layer.size("N")


@predicate
def in_channels(layer: Layer) -> Value:
    """Input channels, those of all groups together: `in_channels >= 16`."""
    return layer.size("C")


@predicate
def out_channels(layer: Layer) -> Value:
    """Output channels, those of all groups together: `out_channels % 32 == 0`."""
    size = layer.size("O")
    return size * layer.groups if layer.op.endswith("_transpose") and isinstance(size, int) else size


@predicate
def groups(layer: Layer) -> Value:
    """The number of groups of a convolution: `groups == 1`."""
    return layer.groups if layer.operator and layer.operator.has_layout else None


@predicate
def depthwise(layer: Layer) -> Value:
    """True for a convolution with a group for every input channel: `where depthwise`."""
    return layer.groups > 1 and layer.groups == layer.size("C") if layer.operator else None
