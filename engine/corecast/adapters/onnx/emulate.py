"""A model in, one that any CPU runs out: what computes in a short float does so in float32 and is rounded.

ONNX Runtime has few kernels for bfloat16 on a CPU, and where it lacks one for float16 it computes a whole chain of
nodes in float32 and rounds at its end only. Here every node's operands and result are values of the short float, and
its sums are in float32: the arithmetic of a matrix unit.
"""

from __future__ import annotations

from dataclasses import replace

from onnx import ModelProto, NodeProto, helper

from corecast.adapters.onnx.load import infer_types, names_in, unused
from corecast.adapters.onnx.model import Model, domain_of, without
from corecast.adapters.onnx.operators import is_nested
from corecast.adapters.onnx.tensors import elem_type_of

SHORT = frozenset({"float16", "bfloat16"})
_CARRIER = "float32"

# What numpy knows from ml_dtypes only.
_FOREIGN = frozenset({"bfloat16", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz"})

# What rounds by itself, or makes its values of no others.
_EXACT = frozenset({"Cast", "CastLike", "Identity"})


def emulated_dtypes(model: Model) -> tuple[str, ...]:
    """The dtypes of a model that `emulate` carries in float32."""
    found = {dtype for node in model.proto.graph.node if _computes(node, model) for dtype in _dtypes(node, model)}
    return tuple(sorted(found & SHORT))


def emulate(model: Model) -> Model:
    """The same model with a cast to float32 before, and one back behind, each node that computes in a short float."""
    taken = set(names_in(model.proto.graph))
    nodes: list[NodeProto] = []
    carried: dict[str, str] = {}

    def cast(source: str, target: str, dtype: str) -> None:
        nodes.append(helper.make_node("Cast", [source], [target], name=_fresh(target, taken), to=elem_type_of(dtype)))

    def carry(name: str) -> str:
        if not name or _dtype(name, model) not in SHORT:
            return name
        if name not in carried:
            carried[name] = _fresh(f"{name}_carried", taken)
            cast(name, carried[name], _CARRIER)
        return carried[name]

    for node in model.proto.graph.node:
        if not _computes(node, model) or not SHORT.intersection(_dtypes(node, model)):
            nodes.append(node)
            continue
        copy = NodeProto()
        copy.CopyFrom(node)
        copy.input[:] = [carry(name) for name in node.input]
        exact = {name: _fresh(f"{name}_exact", taken) for name in node.output if name and _dtype(name, model) in SHORT}
        copy.output[:] = [exact.get(name, name) for name in node.output]
        nodes.append(copy)
        for name, target in exact.items():
            cast(target, name, _dtype(name, model))
    proto: ModelProto = without(model.proto, "graph")
    proto.graph.CopyFrom(without(model.proto.graph, "node"))
    proto.graph.node.extend(nodes)
    return replace(model, proto=proto, types=infer_types(proto, model.name))


def with_plain_doors(model: Model) -> Model:
    """The same model with float32 for each input and output in a dtype that numpy has no name of its own for.

    ONNX Runtime takes no array of such a dtype, and gives none. Such an input is called otherwise, in its old place.
    """
    proto: ModelProto = without(model.proto, "graph")
    proto.graph.CopyFrom(without(model.proto.graph, "node", "input", "output"))
    taken = set(names_in(model.proto.graph))
    before: list[NodeProto] = []
    after: list[NodeProto] = []
    for values, doors, casts in (
        (model.proto.graph.input, proto.graph.input, before),
        (model.proto.graph.output, proto.graph.output, after),
    ):
        for value in values:
            door = doors.add()
            door.CopyFrom(value)
            dtype = _dtype(value.name, model)
            if value.name in model.initializers or dtype not in _FOREIGN:
                continue
            door.name = _fresh(f"{value.name}_{_CARRIER}", taken)
            door.type.tensor_type.elem_type = elem_type_of(_CARRIER)
            ends = (door.name, value.name, dtype) if casts is before else (value.name, door.name, _CARRIER)
            casts.append(helper.make_node("Cast", ends[:1], ends[1:2], to=elem_type_of(ends[2])))
    proto.graph.node.extend([*before, *model.proto.graph.node, *after])
    return replace(model, proto=proto, types=infer_types(proto, model.name))


def _computes(node: NodeProto, model: Model) -> bool:
    """Whether a node is one of ONNX's own that computes its result from floats that it reads."""
    if domain_of(node.domain) or node.op_type in _EXACT or is_nested(node.op_type):
        return False
    return any("float" in _dtype(name, model) for name in node.input if name)


def _dtypes(node: NodeProto, model: Model) -> list[str]:
    return [_dtype(name, model) for name in (*node.input, *node.output) if name]


def _dtype(name: str, model: Model) -> str:
    kind = model.type_of(name)
    return kind.dtype if kind else "unknown"


def _fresh(name: str, taken: set[str]) -> str:
    name = unused(name, taken)
    taken.add(name)
    return name
