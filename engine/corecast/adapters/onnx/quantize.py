"""A model and scales in, the model with `QuantizeLinear` and `DequantizeLinear` around what computes on integers out.

What computes on integers keeps its operator and reads values that were integers: a runtime that knows the pattern (ONNX
Runtime does) computes the two as one on integers. Weights are int8 in the file and biases int32, each behind a
`DequantizeLinear` of its own. A value that is made on integers keeps its name, for what it is as a float.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from corecast.adapters.onnx.load import infer_types, names_in, reads, unused
from corecast.adapters.onnx.model import Array, Model, is_external, settings_of, without
from corecast.adapters.onnx.survey import Values
from corecast.adapters.onnx.tensors import elem_type_of
from corecast.adapters.values import numbers_that_are_none
from corecast.lang.problems import Problem
from corecast.model import Layer
from corecast.plan.integers import Slot
from corecast.quantization import (
    CalibrationError,
    Quantization,
    bias_steps,
    not_calibrated,
    quantized,
    summary,
    weight_scales,
)
from corecast.recipe import Quantize as QuantizeEdit


class Quantize:
    """Compute each planned layer, and what stands between such layers, on integers."""

    name = "corecast.Quantize"

    def __init__(self, edits: Mapping[str, QuantizeEdit], quantization: Quantization | None):
        self.edits = edits
        self.quantization = quantization

    def __call__(self, model: Model) -> Model:
        if self.quantization is None:
            raise not_calibrated(len(self.edits))
        return _Rewrite(model, self.quantization).model()

    def __str__(self) -> str:
        return "\n".join([f"{self.name}:", *summary(self.edits, self.quantization)])


@dataclass
class _Rewrite:
    """A graph written anew, with a pair of nodes for each value that is an integer in between."""

    old: Model
    quantization: Quantization
    nodes: list[NodeProto] = field(default_factory=list)
    added: dict[str, TensorProto] = field(default_factory=dict)
    late: dict[str, Callable[[], Array]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.values = Values(self.old)
        self.integers = self.quantization.integers
        self.layers = {str(layer.source): layer for layer in self.integers.table.layers}
        self.taken = set(names_in(self.old.proto.graph))
        self.pairs: dict[tuple[str, Slot], str] = {}
        self.scales: dict[int, tuple[str, str]] = {}
        self.weights: dict[tuple[str, int | None, bytes], str] = {}

    def model(self) -> Model:
        graph = self.old.proto.graph
        for node in graph.node:
            layer = self.layers.get(node.name)
            role = self.integers.roles.get(layer.index) if layer else None
            if layer is None or role is None:
                self.nodes.append(node)
            else:
                self._on_integers(layer, node)
        nodes, initializers = self._read_by_somebody()
        proto: ModelProto = without(self.old.proto, "graph")
        proto.graph.CopyFrom(without(graph, "node", "initializer", "input"))
        proto.graph.node.extend(nodes)
        proto.graph.initializer.extend(initializers)
        kept = {tensor.name for tensor in initializers}
        given = (value for value in graph.input if value.name not in self.old.initializers or value.name in kept)
        proto.graph.input.extend(given)
        late = {name: values for name, values in {**self.old.late, **self.late}.items() if name in kept}
        return replace(self.old, proto=proto, types=infer_types(proto, self.old.name), late=late)

    def _read_by_somebody(self) -> tuple[list[NodeProto], list[TensorProto]]:
        """What is left once nobody reads the floats of what is stored as integers."""
        wanted = set(self.old.outputs)
        nodes: list[NodeProto] = []
        for node in reversed(self.nodes):
            result = node.output[0]
            if result in wanted or not (result in self.values.weights or result in self.values.aliases):
                wanted.update(reads(node))
                nodes.append(node)
        had = self.values.read
        kept = [tensor for name, tensor in self.old.initializers.items() if name in wanted or name not in had]
        return nodes[::-1], [*kept, *self.added.values()]

    # ── nodes ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _on_integers(self, layer: Layer, node: NodeProto) -> None:
        copy = NodeProto()
        copy.CopyFrom(node)
        places = self.values.data_places(node)
        for place, slot in zip(places, self.integers.reads[layer.index], strict=True):
            if slot is not None:
                copy.input[place] = self._as_integers(copy.input[place], slot)
        if layer.index in self.integers.edits and layer.op != "matmul":
            self._store_as_integers(layer, copy, places)
        slot = self.integers.made.get((layer.index, 0))
        self.nodes.append(copy)
        if slot is not None:
            result = copy.output[0]
            copy.output[0] = self._fresh(f"{result}_float")
            self._pair(copy.output[0], result, slot, result)

    def _as_integers(self, name: str, slot: Slot) -> str:
        """What a value is called that was integers in this form."""
        name = self.values.origin(name)
        if self.integers.made.get(slot.value) == slot:
            return name
        key = name, slot
        if key not in self.pairs:
            self.pairs[key] = self._fresh(f"{name}_dequantized")
            self._pair(name, self.pairs[key], slot, name)
        return self.pairs[key]

    def _pair(self, source: str, target: str, slot: Slot, name: str) -> None:
        between, scale = self._fresh(f"{name}_quantized"), self._scale(slot, name)
        self._emit("QuantizeLinear", [source, *scale], between)
        self._emit("DequantizeLinear", [between, *scale], target)

    def _scale(self, slot: Slot, name: str) -> tuple[str, str]:
        """The names of the scale and the zero point that values share."""
        number = self.integers.group[slot]
        if number not in self.scales:
            found = self.quantization.scales[number]
            scale = self._store(f"{name}_scale", np.asarray(found.scale, np.float32))
            self.scales[number] = scale, self._store(f"{name}_zero_point", np.asarray(found.zero_point, found.dtype))
        return self.scales[number]

    def _emit(self, op: str, inputs: list[str], output: str, axis: int | None = None) -> None:
        settings = {} if axis is None else {"axis": axis}
        self.nodes.append(helper.make_node(op, inputs, [output], name=self._fresh(f"{output}_{op}"), **settings))

    def _fresh(self, name: str) -> str:
        name = unused(name, self.taken)
        self.taken.add(name)
        return name

    # ── weights and biases ───────────────────────────────────────────────────────────────────────────────────────────

    def _store_as_integers(self, layer: Layer, node: NodeProto, places: list[int]) -> None:
        """Put the weight of a layer, and what is added to its sums, into the file as integers."""
        data, weight = self.integers.reads[layer.index][0], node.input[places[1]]
        assert data is not None, "a quantized layer reads its data"
        array = self.values.weights[self.values.origin(weight)].values(self.old)
        output = _output_axis(node, array)
        axis = output if self.integers.edits[layer.index].weights == "per_channel" else None
        bias = self._bias(node, array.shape[output])
        input_scale = self.quantization.scale(data).scale
        scales = weight_scales(array, axis, input_scale, bias)
        _check(layer, array, bias, scales)
        node.input[places[1]] = self._weight(weight, array, scales, axis)
        if bias is not None and len(places) > 2:
            node.input[places[2]] = self._as_steps(node.input[places[2]], bias, scales, input_scale, axis)

    def _weight(self, name: str, array: Array, scales: NDArray[np.float32], axis: int | None) -> str:
        key = (name, axis, scales.tobytes())
        if key not in self.weights:
            stored, weight = self._fresh(f"{name}_quantized"), self.values.weights[self.values.origin(name)]
            source = self.old.initializers.get(weight.name)
            if source is not None and is_external(source):
                self.late[stored] = partial(_quantized, self.old, weight.values, scales, axis)
                external, dtype = TensorProto.EXTERNAL, elem_type_of("int8")
                self.added[stored] = TensorProto(name=stored, dims=array.shape, data_type=dtype, data_location=external)
            else:
                self.added[stored] = numpy_helper.from_array(quantized(array, scales, axis, "int8"), stored)
            self.weights[key] = self._dequantized(name, stored, scales, axis)
        return self.weights[key]

    def _as_steps(
        self, name: str, bias: Array, scales: NDArray[np.float32], input_scale: float, axis: int | None
    ) -> str:
        """A bias in the steps of the sums that it is added to."""
        of_sums = (scales * np.float32(input_scale)).astype(np.float32)
        steps = bias_steps(bias, of_sums.astype(np.float64), np.asarray(0, np.int64), 0)
        stored = self._store(f"{name}_quantized", np.broadcast_to(steps, bias.shape))
        return self._dequantized(name, stored, of_sums, None if axis is None else 0)

    def _dequantized(self, name: str, stored: str, scales: NDArray[np.float32], axis: int | None) -> str:
        scale = self._store(f"{name}_scale", scales if axis is not None else scales.reshape(()))
        made = self._fresh(f"{name}_dequantized")
        self._emit("DequantizeLinear", [stored, scale], made, axis)
        return made

    def _bias(self, node: NodeProto, count: int) -> Array | None:
        """A number for each output channel that the layer itself adds to its sums."""
        names = [node.input[place] for place in self.values.data_places(node)[2:]]
        if not names or settings_of(node).get("beta", 1.0) != 1.0 or settings_of(node).get("alpha", 1.0) != 1.0:
            return None
        known = self.values.weights.get(self.values.origin(names[0]))
        array = known.values(self.old) if known else None
        if array is None or array.size != count or array.shape[-1] != count:
            return None
        return np.ravel(array)

    def _store(self, name: str, array: Array) -> str:
        name = self._fresh(name)
        self.added[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
        return name


def _quantized(model: Model, values: Callable[[Model], Array], scales: NDArray[np.float32], axis: int | None) -> Array:
    return quantized(values(model), scales, axis, "int8")


def _output_axis(node: NodeProto, weight: Array) -> int:
    """The axis of a weight along which its output channels lie."""
    if node.op_type == "Conv" or (node.op_type == "Gemm" and settings_of(node).get("transB")):
        return 0
    return int(weight.ndim) - 1


def _check(layer: Layer, weight: Array, bias: Array | None, scales: Array) -> None:
    """Raise where a weight or a bias cannot be quantized."""
    if np.isfinite(scales).all():
        return
    none = [text for array in (weight, bias) if array is not None and (text := numbers_that_are_none(array))]
    message = f"{none[0]} of its values" if none else "its bias is too large for the scale of what it is added to"
    help = "leave it as it is: `keep dtype`"
    raise CalibrationError(Problem("not-quantizable", message, help=help, place=f"{layer.id}, {layer.name}"))
