"""A model in, the same model cut before its trailing softmaxes out.

A comparison behind a softmax is blind: with random weights it saturates, and another network gives the same answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from onnx import ModelProto, NodeProto, helper

from corecast.adapters.onnx.model import Model, domain_of, without
from corecast.adapters.onnx.tensors import ANY, elem_type_of

_SOFTMAX = frozenset({"LogSoftmax", "Softmax"})
_RESHAPING = frozenset({"Cast", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"})


def before_softmax(model: Model) -> Model | None:
    """The model that returns what its trailing softmaxes (and what only reshapes behind them) read; None if none is."""
    made_by = {name: node for node in model.proto.graph.node for name in node.output}
    outputs = [_before(name, made_by) for name in model.outputs]
    if outputs == model.outputs or any(name not in model.types for name in outputs):
        return None
    proto: ModelProto = without(model.proto, "graph")
    proto.graph.CopyFrom(without(model.proto.graph, "output"))
    for name in dict.fromkeys(outputs):
        kind = model.types[name]
        shape = kind.shape and [None if size == ANY else size for size in kind.shape]
        proto.graph.output.append(helper.make_tensor_value_info(name, elem_type_of(kind.dtype), shape))
    return replace(model, proto=proto)


def _before(output: str, made_by: Mapping[str, NodeProto]) -> str:
    """What a softmax at the end of the way to an output reads, or the output itself where there is none."""
    name = output
    while (node := made_by.get(name)) is not None and not domain_of(node.domain):
        if node.op_type in _SOFTMAX:
            return str(node.input[0])
        if node.op_type not in _RESHAPING:
            break
        name = node.input[0]
    return output
