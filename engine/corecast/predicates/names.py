"""Names: of a layer's weight, of its node in the source model, of its operator."""

from __future__ import annotations

from corecast.model import Layer
from corecast.recipe import Value, placed_predicate, predicate


@placed_predicate
def name(layer: Layer) -> Value:
    """The name of its first parameter: `name like "layer3.*"`, `name ~ /.*conv[12].*/`; always the whole name."""
    return layer.name


@placed_predicate
def source(layer: Layer) -> Value:
    """The name of its node in the source model: `source == "/layer3/layer3.0/conv2/Conv"`."""
    return layer.source


@predicate
def op(layer: Layer) -> Value:
    """The operator's name: `op in {"nn.conv2d", "nn.dense"}`."""
    return layer.op


@predicate
def layout(layer: Layer) -> Value:
    """The data layout of a convolution: `layout == "NCHW"`."""
    return layer.data_layout
