"""A model in, its layer table out: every node of the main graph that computes on data, as plain data.

What only prepares a weight (`Transpose`, `Reshape`, `Cast` and the like of an initializer, a `Constant`) is no layer:
it can be computed ahead, and its result counts as that weight. What hands a tensor on as it is (`Identity`, a `Dropout`
at inference) is none either. An operator with graphs of its own is one layer, and what is in them is none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from onnx import NodeProto

from corecast.adapters.onnx.ahead import VIEWS, Weight
from corecast.adapters.onnx.load import reads
from corecast.adapters.onnx.model import Model, domain_of, is_constant, settings_of
from corecast.adapters.onnx.operators import DATA_INPUTS, attributes_of, is_nested, operator_name
from corecast.adapters.onnx.signatures import Definition, Formal, definition, signature
from corecast.adapters.onnx.tensors import UNKNOWN, dtype_name
from corecast.adapters.weight_values import values_of
from corecast.model import Call, LayerTable, Operand, TensorType

# A constant input of more elements says nothing that a rule could ask for.
_FEW = 16

_UNKNOWN = TensorType(dtype=UNKNOWN, shape=None)


def survey(model: Model) -> LayerTable:
    """Every node that is a layer, in the graph's order; attributes, operands and types are plain data."""
    values = Values(model)
    calls = [values.call(node, op) for node, op in values.layers]
    return LayerTable.of(
        calls,
        model=model.name,
        ir="onnx",
        arguments=model.inputs,
        returns=[operand for name in model.outputs if (operand := values.operand(name))],
    ).looking(values_of(model.parameters))


def enumerate_nodes(model: Model) -> Iterator[tuple[str, NodeProto]]:
    """The nodes of the layer table with their ids: `("nn.conv2d#7", node)`, in the table's order."""
    seen: Counter[str] = Counter()
    for node, op in Values(model).layers:
        yield f"{op}#{seen[op]}", node
        seen[op] += 1


class Values:
    """Where each value of the main graph comes from: a layer, a weight, an argument.

    `layers` are the nodes that are layers with the names of their operators, `weights` the values that can be computed
    ahead, `aliases` those that are another value as it is, `read` those that somebody reads.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self.layers: list[tuple[NodeProto, str]] = []
        self.weights: dict[str, Weight] = {name: Weight(name) for name in model.initializers}
        self.aliases: dict[str, str] = {}
        self._made: dict[str, tuple[int, int]] = {}
        self.read = {name for node in model.proto.graph.node for name in reads(node)} | set(model.outputs)
        for node in model.proto.graph.node:
            self._place(node)

    def _place(self, node: NodeProto) -> None:
        if weight := self._weight(node):
            self.weights[node.output[0]] = weight
        elif self._hands_on(node):
            self.aliases[node.output[0]] = node.input[0]
        else:
            results = [name for name in node.output if name]
            self._made.update((name, (len(self.layers), place)) for place, name in enumerate(results))
            self.layers.append((node, self._operator(node)))

    def _weight(self, node: NodeProto) -> Weight | None:
        """The weight that a node makes, if it makes one: a constant, or another form of a weight."""
        if domain_of(node.domain):
            return None
        if node.op_type == "Constant":
            return Weight(node.output[0], (node,)) if is_constant(node) else None
        if not node.input or any(name and name not in self.weights for name in node.input):
            return None
        known = self.type_of(node.output[0])
        if known is None or known.elements is None:
            return None
        if node.op_type == "ConstantOfShape":
            return Weight(node.output[0], (node,))
        if node.op_type not in VIEWS:
            return None
        origin = self.weights[node.input[0]]
        return Weight(origin.name, (*origin.made_by, node))

    def _hands_on(self, node: NodeProto) -> bool:
        """Whether what others read of a node is its first input as it is."""
        if domain_of(node.domain) or any(name in self.read for name in node.output[1:]):
            return False
        if node.op_type == "Identity":
            return True
        if node.op_type != "Dropout":
            return False
        # Since opset 12 an input says whether it is for training; before 7 an attribute said that it is not.
        return len(node.input) < 3 if self.model.opset >= 7 else bool(settings_of(node).get("is_test"))

    def _operator(self, node: NodeProto) -> str:
        first = self.type_of(node.input[0]) if node.input else None
        rank = len(first.shape) if first and first.shape is not None else None
        has_weight = len(node.input) > 1 and node.input[1] in self.weights
        return operator_name(domain_of(node.domain), node.op_type, settings_of(node), rank, has_weight)

    def call(self, node: NodeProto, op: str) -> Call:
        """The row of a layer."""
        operands = [self.operand(name) for name in self._data_inputs(node)]
        if node.op_type == "Gemm":
            operands = _as_a_product(node, operands)
        data, kernel = ([operand.type.shape for operand in operands] + [None, None])[:2]
        formals = (formal for _, formal in self.floats(node))
        return Call(
            op=op,
            operands=tuple(operands),
            results=tuple(self.type_of(name) for name in node.output if name),
            attributes=attributes_of(node.op_type, self._settings(node), data, kernel),
            source=node.name,
            behaviour="original",
            signature=signature(op, self.definition(node), formals, quantizes=self._quantizes(node)),
        )

    def _quantizes(self, node: NodeProto) -> bool:
        """Whether what reads integers may be written in this opset: since 13 a scale may be one of a channel."""
        return self.model.opset >= 13 and self.model.proto.ir_version >= 4 and not domain_of(node.domain)

    def operand(self, name: str) -> Operand:
        """A value as something that a layer reads."""
        origin = self.origin(name)
        if origin in self.weights:
            return Operand(type=self.type_of(name), parameter=self.weights[origin].name)
        if origin in self._made:
            layer, result = self._made[origin]
            return Operand(type=self.type_of(name), layer=layer, result=result)
        return Operand(type=self.type_of(name), argument=origin)

    def origin(self, name: str) -> str:
        """The value itself that a name stands for."""
        while name in self.aliases:
            name = self.aliases[name]
        return name

    def floats(self, node: NodeProto) -> Iterator[tuple[str, Formal | None]]:
        """The inputs of a node that hold floats of a dtype that the operator leaves open."""
        known = self.definition(node)
        for place, name in enumerate(node.input):
            formal = known.input(place) if known else None
            if name and "float" in self.type_of(name).dtype and (formal is None or formal.is_open):
                yield name, formal

    def type_of(self, name: str) -> TensorType:
        """The type of a value; one of an unknown dtype where ONNX cannot tell it."""
        return self.model.type_of(name) or _UNKNOWN

    def definition(self, node: NodeProto) -> Definition | None:
        """How ONNX defines the operator of a node."""
        domain = domain_of(node.domain)
        return definition(node.op_type, domain, self.model.opsets.get(domain, 1))

    def _data_inputs(self, node: NodeProto) -> list[str]:
        """What a layer computes on: not the constants that say what to do; what graphs inside it read, too."""
        if is_nested(node.op_type):
            return list(reads(node))
        return [node.input[place] for place in self.data_places(node)]

    def data_places(self, node: NodeProto) -> list[int]:
        """The places among its inputs of what a layer without graphs inside it computes on: of its operands."""
        count = DATA_INPUTS.get(node.op_type, len(node.input))
        return [at for at, name in enumerate(node.input) if name and (at < count or name not in self.weights)]

    def _settings(self, node: NodeProto) -> dict[str, Any]:
        """The attributes of a node, and the constants among its inputs that say what to do."""
        settings = settings_of(node)
        if node.op_type == "Cast":
            return {"dtype": dtype_name(settings["to"])}
        known = self.definition(node)
        for place, name in enumerate(node.input):
            formal = known.input(place) if known and place >= DATA_INPUTS.get(node.op_type, len(node.input)) else None
            if formal and name in self.weights and (self.type_of(name).elements or 0) in range(1, _FEW + 1):
                settings[formal.name] = self.weights[name].values(self.model).tolist()
        return settings


def _as_a_product(node: NodeProto, operands: list[Operand]) -> list[Operand]:
    """The operands of a `Gemm` as those of a matmul: the data as (rows, in), the weight as (in, out)."""
    settings = settings_of(node)
    turned = [settings.get("transA", 0), settings.get("transB", 0), 0]
    return [_turned(operand) if turn else operand for operand, turn in zip(operands, turned, strict=False)]


def _turned(operand: Operand) -> Operand:
    shape = operand.type.shape
    kind = TensorType(dtype=operand.type.dtype, shape=shape and shape[::-1])
    return replace(operand, type=kind)
