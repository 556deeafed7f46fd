"""Names: of a layer, of its weights, of its node in the source model, of its operator."""

from __future__ import annotations

from corecast.model import Layer
from corecast.recipe import Value, placed_predicate, predicate


@placed_predicate
def name(layer: Layer) -> str | None:
    """The name of its first parameter: `name like "layer3.*"`, `name ~ /.*conv[12].*/`; always the whole name."""
    return layer.name


@placed_predicate
def parameters(layer: Layer) -> tuple[str, ...]:
    """The names of all its parameters, any of which may match: `parameters like "*.running_var"`."""
    return layer.parameters


@placed_predicate
def arguments(layer: Layer) -> tuple[str, ...]:
    """The names of the model's inputs that it reads, any of which may match: `arguments like "input_ids"`."""
    return tuple(operand.argument for operand in layer.operands if operand.argument)


@placed_predicate
def id(layer: Layer) -> str:
    """What plans and messages call it: `id in {"nn.conv2d#7", "nn.dense#0"}`."""
    return layer.id


@placed_predicate
def source(layer: Layer) -> str | None:
    """The name of its node in the source model: `source == "/layer3/layer3.0/conv2/Conv"`."""
    return layer.source


@predicate
def op(layer: Layer) -> str:
    """The operator's name: `op in {"nn.conv2d", "nn.dense"}`."""
    return layer.op


@predicate
def layout(layer: Layer) -> Value:
    """The data layout of a convolution, or what a pooling says of its own: `layout == "NCHW"`."""
    return layer.data_layout or layer.attributes.get("layout")
