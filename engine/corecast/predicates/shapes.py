"""Shapes of a layer's data and kernel."""

from __future__ import annotations

from corecast.model import CONVOLUTIONS, WEIGHTED, Layer, TensorType
from corecast.recipe import Natural, Size, predicate, predicate_of


@predicate_of(WEIGHTED)
def height(layer: Layer) -> Size:
    """The height of a convolution's input: `height >= 14`."""
    return layer.size("H")


@predicate_of(WEIGHTED)
def width(layer: Layer) -> Size:
    """The width of a convolution's input: `width == height`."""
    return layer.size("W")


@predicate_of(WEIGHTED)
def kernel_height(layer: Layer) -> Size:
    """The height of a convolution's kernel: `kernel_height == 3`."""
    return layer.size("KH")


@predicate_of(WEIGHTED)
def kernel_width(layer: Layer) -> Size:
    """The width of a convolution's kernel: `kernel_width == 1`."""
    return layer.size("KW")


@predicate_of(CONVOLUTIONS)
def pointwise(layer: Layer) -> bool | None:
    """True for a convolution with a kernel of one element: `where pointwise`."""
    sizes = [layer.size(axis) for axis in ("KD", "KH", "KW")]
    return all(size in (None, 1) for size in sizes) if layer.operator and layer.operator.has_layout else None


@predicate
def rank(layer: Layer) -> Natural | None:
    """The number of axes of its first operand: `rank == 4`."""
    shape = layer.operands[0].type.shape if layer.operands else None
    return len(shape) if shape is not None else None


@predicate
def input_shape(layer: Layer) -> str | None:
    """The shape of its first operand as text: `input_shape == "1x3x224x224"`."""
    return _text(layer.operands[0].type) if layer.operands else None


@predicate
def weight_shape(layer: Layer) -> str | None:
    """The shape of its first parameter as text: `weight_shape like "64x*x3x3"`."""
    return next((_text(operand.type) for operand in layer.operands if operand.parameter), None)


@predicate
def shape(layer: Layer) -> str | None:
    """The shape of its first result as text: `shape == "1x64x56x56"`."""
    return _text(layer.results[0]) if layer.results else None


def _text(tensor: TensorType) -> str:
    return str(tensor).partition(" ")[2]
