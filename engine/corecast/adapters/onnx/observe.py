"""A model in, the same model with what its layers give as further outputs out, and the layers by their outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

from onnx import ModelProto, helper

from corecast.adapters.onnx.emulate import emulate
from corecast.adapters.onnx.model import Array, Model, without
from corecast.adapters.onnx.runtime import runner
from corecast.adapters.onnx.survey import enumerate_nodes, survey
from corecast.adapters.onnx.tensors import ANY, elem_type_of
from corecast.plan import Plan
from corecast.verify import LayerError, compare_layers, layer_errors
from corecast.verify.evidence import Batch


def errors_of_layers(plan: Plan, original: Model, converted: Model, batches: Iterable[Batch]) -> tuple[LayerError, ...]:
    """The error of each layer, the worst first; nodes keep their names, and short floats are rounded after each node.

    Raises `CannotRunError`.
    """
    pairs = dict(_pairs(original, converted))
    names = {value: name for value, (name, _) in pairs.items()}
    others = {value: name for value, (_, name) in pairs.items()}
    found = compare_layers(_values(original, names), _values(converted, others), batches)
    return layer_errors(plan, survey(original), found)


def _pairs(original: Model, converted: Model) -> Iterator[tuple[str, tuple[str, str]]]:
    """The values that both models have and that are numbers: what they are called in the one and in the other."""
    now = {node.name: node for _, node in enumerate_nodes(converted)}
    for layer, node in enumerate_nodes(original):
        other = now.get(node.name)
        for place, name in enumerate(node.output):
            kind = original.types.get(name)
            if other is None or not name or kind is None or "float" not in kind.dtype:
                continue
            if other.output[place] in converted.types:
                yield f"{layer}:{place}" if place else layer, (name, other.output[place])


def observed(model: Model, values: Iterable[str]) -> Callable[[Mapping[str, Array]], Mapping[str, Array]]:
    """A function from inputs to named values: inputs by their names, what layers give by their ids (`split#0:1`).

    Raises `CannotRunError`, when it is called too.
    """
    wanted = set(values)
    names = {
        value: name
        for layer, node in enumerate_nodes(model)
        for place, name in enumerate(filter(None, node.output))
        if (value := f"{layer}:{place}" if place else layer) in wanted
    }
    run = _values(model, names)
    return lambda inputs: {**{name: inputs[name] for name in wanted - names.keys()}, **run(inputs)}


def _values(model: Model, names: Mapping[str, str]) -> Callable[[Mapping[str, Array]], Mapping[str, Array]]:
    """A function from inputs to values, whose names in the model are given by what they shall be called."""
    run = runner(emulate(_with_outputs(model, names.values())))
    own = len(model.outputs)

    def values(inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        outputs = run(inputs)
        found = dict(zip(model.outputs, outputs[:own], strict=True))
        found |= dict(zip(_further(model, names.values()), outputs[own:], strict=True))
        return {value: found[name] for value, name in names.items()}

    return values


def _further(model: Model, names: Iterable[str]) -> list[str]:
    return [name for name in dict.fromkeys(names) if name not in model.outputs]


def _with_outputs(model: Model, names: Iterable[str]) -> Model:
    proto: ModelProto = without(model.proto, "graph")
    proto.graph.CopyFrom(without(model.proto.graph, "output"))
    proto.graph.output.extend(model.proto.graph.output)
    for name in _further(model, names):
        kind = model.types[name]
        shape = kind.shape and [None if size == ANY else size for size in kind.shape]
        proto.graph.output.append(helper.make_tensor_value_info(name, elem_type_of(kind.dtype), shape))
    return replace(model, proto=proto)
