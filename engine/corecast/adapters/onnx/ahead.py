"""Weights in the form that a graph computes from them ahead of any inference: what made them, done by numpy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from onnx import NodeProto, helper

from corecast.adapters.onnx.model import Array, Model, settings_of
from corecast.model import TensorType

# Nodes that only change the form of a weight.
VIEWS = frozenset({"Cast", "Expand", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"})


@dataclass(frozen=True)
class Weight:
    """A tensor that depends on one initializer or constant alone, and the nodes that make it of that, in their order.

    `name` is the initializer's, or that of the constant's output.
    """

    name: str
    made_by: tuple[NodeProto, ...] = ()

    def values(self, model: Model) -> Array:
        """Compute it."""
        array = model.array(self.name) if self.name in model.initializers else None
        for node in self.made_by:
            array = _made(node, array, model)
        assert array is not None, f"{self.name} is neither an initializer nor made by a node"
        return array


def _made(node: NodeProto, array: Array | None, model: Model) -> Array:
    known = model.types.get(node.output[0], TensorType(dtype="unknown"))
    shape = tuple(int(size) for size in known.shape or ())
    if array is None or node.op_type == "ConstantOfShape":
        return _constant(node, shape, model)
    settings = settings_of(node)
    made: Array
    if node.op_type == "Cast":
        made = array.astype(helper.tensor_dtype_to_np_dtype(settings["to"]))
    elif node.op_type == "Transpose":
        made = array.transpose(settings.get("perm"))
    elif node.op_type == "Expand":
        made = np.broadcast_to(array, shape)
    else:
        made = array.reshape(shape)
    return made


def _constant(node: NodeProto, shape: tuple[int, ...], model: Model) -> Array:
    """The value of a `Constant`, or of a `ConstantOfShape`, whose default is 0."""
    if node.op_type == "Constant":
        return model.constant(node)
    tensor = next((attribute.t for attribute in node.attribute if attribute.name == "value"), None)
    return np.full(shape, np.float32(0) if tensor is None else model.array_of(tensor).reshape(-1)[0])
