"""A model and dtype decisions in, the model with its planned layers in their dtypes out.

A value is cast where it is read in another dtype than it is made in: once for all who read it in that one, and not at
all between two layers of one dtype. Weights are cast ahead. A name stays with the dtype that the model gave its value;
where the value is there in other dtypes only, with one of these. The inputs and outputs of the model keep both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial

from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from corecast.adapters.onnx.ahead import Weight
from corecast.adapters.onnx.flow import Flow, Reading
from corecast.adapters.onnx.load import infer_types, names_in, unused
from corecast.adapters.onnx.model import Array, Model, is_external, without
from corecast.adapters.onnx.survey import enumerate_nodes, survey
from corecast.adapters.onnx.tensors import elem_type_of
from corecast.adapters.rounding import rounded
from corecast.plan.follow import following
from corecast.plan.ids import compress
from corecast.recipe import ChangeDType, Edit


class Recast:
    """Compute each planned layer in its dtype, what only moves data between two of them too, and hand on what their
    readers saw before.
    """

    name = "corecast.Recast"

    def __init__(self, edits: Mapping[str, Edit]):
        self.edits = edits

    def __call__(self, model: Model) -> Model:
        decided = {layer: edit for layer, edit in self.edits.items() if isinstance(edit, ChangeDType)}
        follow = following(survey(model), self.edits)
        nodes = {layer: node.name for layer, node in enumerate_nodes(model) if layer in decided or layer in follow}
        planned = {name: (decided.get(layer) or follow[layer]).dtype for layer, name in nodes.items()}
        return _Rewrite(model, planned).model()

    def __str__(self) -> str:
        groups: dict[str, list[str]] = {}
        for layer, edit in self.edits.items():
            if isinstance(edit, ChangeDType):
                groups.setdefault(edit.dtype, []).append(layer)
        lines = (f"  {compress(layers)}: {dtype}" for dtype, layers in groups.items())
        return "\n".join([f"{self.name}:", *lines, "  what only moves data between them follows"])


class _Rewrite:
    """A graph written anew, with each planned node (by its name) in its dtype."""

    def __init__(self, old: Model, planned: Mapping[str, str]) -> None:
        self.old = old
        self.flow = Flow(old, planned)
        self.nodes: list[NodeProto] = []
        self.late: dict[str, Callable[[], Array]] = {}
        self.taken = set(names_in(old.proto.graph))
        self.spelled: dict[tuple[str, str], str] = {}
        self.there: set[str] = set()  # the values that have been made, by their new names

    def model(self) -> Model:
        """The graph anew: weights, nodes, and what is said of its values."""
        graph = self.old.proto.graph
        initializers = list(self._initializers())
        for node in graph.node:
            if self.flow.stays(node):
                self._rewrite(node)
        for name in self.old.outputs:
            self._ensure(name, self.flow.given(name))
        proto: ModelProto = without(self.old.proto, "graph")
        proto.graph.CopyFrom(without(graph, "node", "initializer", "input", "value_info"))
        proto.graph.node.extend(self.nodes)
        proto.graph.initializer.extend(initializers)
        proto.graph.input.extend(self._inputs(initializers))
        proto.graph.value_info.extend(self._value_infos())
        return replace(self.old, proto=proto, types=infer_types(proto, self.old.name), late=self.late)

    def _name(self, value: str, dtype: str) -> str:
        """What a value is called in a dtype."""
        if (value, dtype) not in self.spelled:
            known, given = self.flow.dtypes(value), self.flow.given(value)
            own = given if given in known or value in self.old.inputs or value in self.old.outputs else known[0]
            for other in known:
                name = value if other == own else unused(f"{value}_{other}", self.taken)
                self.taken.add(name)
                self.spelled[value, other] = name
        return self.spelled[value, dtype]

    # ── nodes ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _rewrite(self, node: NodeProto) -> None:
        """Put a node that stays; what hands a tensor on, once for each dtype that it is read in."""
        result, inputs = node.output[0], self.flow.inputs(node)
        if result not in self.flow.values.aliases:
            made = [self._name(name, self.flow.made(name)) if name else "" for name in node.output]
            self._emit(node, node.name, {name: readings[0] for name, readings in inputs.items()}, made)
            return
        for number, dtype in enumerate(self.flow.dtypes(result)):
            one = {name: found[number if name == node.input[0] else 0] for name, found in inputs.items()}
            label = self._fresh(f"{node.name}_{dtype}") if number else node.name
            self._emit(node, label, one, [self._name(result, dtype)])

    def _emit(self, node: NodeProto, label: str, inputs: Mapping[str, Reading], outputs: list[str]) -> None:
        """Put a copy of a node that reads its values in these dtypes, behind the casts that it needs."""
        for reading in inputs.values():
            self._ensure(*reading)
        copy = NodeProto()
        copy.CopyFrom(node)
        copy.name = label
        copy.input[:] = [self._name(*inputs[name]) if name else "" for name in node.input]
        copy.output[:] = outputs
        self.there.update(outputs)
        self.nodes.append(copy)

    def _ensure(self, value: str, dtype: str) -> None:
        """Put the cast that makes a value in a dtype, where it is needed and not there yet."""
        made, name = self.flow.made(value), self._name(value, dtype)
        others = self.flow.values.weights, self.flow.values.aliases
        if dtype == made or name in self.there or any(value in other for other in others):
            return
        label = self._fresh(f"{value}_to_{dtype}")
        cast = helper.make_node("Cast", [self._name(value, made)], [name], name=label, to=elem_type_of(dtype))
        self.there.add(name)
        self.nodes.append(cast)

    def _fresh(self, name: str) -> str:
        name = unused(name, self.taken)
        self.taken.add(name)
        return name

    # ── weights ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _initializers(self) -> Iterator[TensorProto]:
        """Every weight in the dtypes that it is read in; values from another file are computed when asked for."""
        for name, tensor in self.old.initializers.items():
            if not self.flow.unread(name) and self.flow.given(name) in self.flow.dtypes(name):
                if name in self.old.late:
                    self.late[name] = self.old.late[name]
                yield tensor
        for name, weight in self.flow.values.weights.items():
            for dtype in self.flow.read(name):
                if dtype != self.flow.given(name):
                    yield self._cast_ahead(name, weight, dtype)

    def _cast_ahead(self, name: str, weight: Weight, dtype: str) -> TensorProto:
        values = partial(_values, weight, self.old, dtype)
        spelled = self._name(name, dtype)
        source = self.old.initializers.get(weight.name)
        if source is None or not is_external(source):
            return numpy_helper.from_array(values(), spelled)
        self.late[spelled] = values
        shape = self.flow.values.type_of(name).shape
        external = TensorProto.EXTERNAL
        return TensorProto(name=spelled, dims=shape, data_type=elem_type_of(dtype), data_location=external)

    # ── what is said of the values ───────────────────────────────────────────────────────────────────────────────────

    def _inputs(self, initializers: list[TensorProto]) -> Iterator[ValueInfoProto]:
        """The inputs of the graph; before IR version 4 every initializer is one too, and later ones may be."""
        new = {tensor.name: tensor for tensor in initializers}
        listed = {value.name for value in self.old.proto.graph.input}
        yield from (value for value in self.old.proto.graph.input if value.name not in self.old.initializers)
        for name, tensor in new.items():
            if name in listed or self.old.proto.ir_version < 4:
                yield helper.make_tensor_value_info(name, tensor.data_type, tensor.dims)

    def _value_infos(self) -> Iterator[ValueInfoProto]:
        for value in self.old.proto.graph.value_info:
            for dtype in self.flow.dtypes(value.name):
                name = self._name(value.name, dtype)
                if name in self.there:
                    copy = ValueInfoProto()
                    copy.CopyFrom(value)
                    copy.name = name
                    if dtype != self.flow.given(value.name):
                        copy.type.tensor_type.elem_type = elem_type_of(dtype)
                    yield copy


def _values(weight: Weight, model: Model, dtype: str) -> Array:
    """A weight in another dtype, each value rounded to the nearest one."""
    return rounded(weight.values(model), dtype)
