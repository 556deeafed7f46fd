"""An ONNX file in, a `Model` out: the graph as it is, every node with a name, every value with its type.

Two things are done to what was read. A model's own functions are written out where they are called, so that what is in
them are layers; and a node without a name, or with another node's, gets one: its first output's, made unique.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import onnx
from onnx import GraphProto, ModelProto, inliner, shape_inference

from corecast.adapters.faults import of_its_file
from corecast.adapters.onnx.file import external_files, origin, parse, refuse_old
from corecast.adapters.onnx.model import Model, domain_of, is_external, without
from corecast.adapters.onnx.tensors import ANY, array_type, value_type
from corecast.adapters.onnx.weights import fill
from corecast.adapters.source import ModelError, Origin, last_line, read_content
from corecast.lang.problems import nearest
from corecast.model import TensorType

# A tensor of more bytes is no shape or axis that shape inference could ask for.
_MOST_BYTES_OF_A_SHAPE = 4096

Shapes = Mapping[str, Sequence[int]]


@of_its_file
def load(source: str | Path | ModelProto, *, weights: str | None = None, shapes: Shapes | None = None) -> Model:
    """Read an ONNX file, or take a `ModelProto`; weights in files beside it are not read.

    `weights="random:SEED"` fills the weights, `shapes` gives inputs other shapes than the file's. Raises `ModelError`.
    """
    if isinstance(source, ModelProto):
        proto = ModelProto()
        proto.CopyFrom(source)
        return _model(proto, "model", None, weights, shapes, None)
    path = Path(source)
    content = read_content(path)
    proto = parse(content)
    known = partial(origin, path, hashlib.sha256(content), external_files(proto, path), weights, shapes)
    return _model(proto, path.name, path.parent, weights, shapes, known)


def origin_of(path: str | Path, *, weights: str | None = None, shapes: Shapes | None = None) -> Origin:
    """Where a model comes from, with a digest of its file and of those beside it. Raises `ModelError`."""
    content, place = read_content(Path(path)), Path(path)
    return origin(place, hashlib.sha256(content), external_files(parse(content), place), weights, shapes)


def _model(
    proto: ModelProto, name: str, folder: Path | None, weights: str | None, shapes: Shapes | None, origin: Any
) -> Model:
    _check_versions(proto, name)
    proto = _written_out(proto, name)
    proto = fill(proto, weights) if weights is not None else proto
    _check_order(proto.graph, name)
    _name_nodes(proto.graph)
    if shapes:
        _set_shapes(proto.graph, shapes)
    types = infer_types(proto, name, strict=bool(shapes))
    if shapes:
        _state_outputs(proto.graph, types)
    return Model(proto, name, types, folder, origin=origin)


def _check_versions(proto: ModelProto, name: str) -> None:
    refuse_old(proto)
    opset = next((item.version for item in proto.opset_import if domain_of(item.domain) == ""), 1)
    newest = onnx.defs.onnx_opset_version()
    if opset > newest:
        message = f"{name} is written in opset {opset}, and the onnx that is installed knows opsets up to {newest}"
        raise ModelError.of("new-model", message, "install a newer onnx")


def _written_out(proto: ModelProto, name: str) -> ModelProto:
    if not proto.functions:
        return proto
    try:
        return inliner.inline_local_functions(proto)
    except Exception as error:  # whatever ONNX's C++ code met
        raise ModelError.of("damaged-model", f"the functions of {name} cannot be written out: {error}") from error


def _check_order(graph: GraphProto, name: str) -> None:
    """Refuse a graph with a value that is read and not there, or not there yet, and one that is made twice."""
    known = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
    known |= {tensor.values.name for tensor in graph.sparse_initializer}
    for node in graph.node:
        where = f"node `{node.name or node.output[0]}` ({node.op_type}) of {name}"
        missing = next((value for value in reads(node) if value not in known), None)
        if missing is not None:
            help = "check the model with onnx.checker; nodes must stand in an order in which they can run"
            raise ModelError.of("damaged-model", f"{where} reads `{missing}`, which nothing before it makes", help)
        made = [value for value in node.output if value]
        if twice := next((value for value in made if value in known), None):
            raise ModelError.of("damaged-model", f"{where} makes `{twice}`, which is there already")
        known.update(made)
    absent = next((value.name for value in graph.output if value.name not in known), None)
    if absent is not None:
        raise ModelError.of("damaged-model", f"{name} should return `{absent}`, which nothing makes")


def reads(node: Any) -> Iterator[str]:
    """The values that a node reads, those that the graphs inside it take from around it too; each once."""
    yield from dict.fromkeys(name for name in _all_reads(node) if name)


def _all_reads(node: Any) -> Iterator[str]:
    yield from node.input
    for graph in graphs_in(node):
        own = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
        for inner in graph.node:
            yield from (name for name in _all_reads(inner) if name not in own)
            own.update(inner.output)
        yield from (value.name for value in graph.output if value.name not in own)


def graphs_in(node: Any) -> Iterator[GraphProto]:
    """The graphs that a node holds: branches and bodies."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def names_in(graph: GraphProto) -> Iterator[str]:
    """Every name in a graph and in those inside it."""
    yield from (value.name for value in (*graph.input, *graph.output, *graph.value_info))
    yield from (tensor.name for tensor in graph.initializer)
    for node in graph.node:
        yield from (node.name, *node.input, *node.output)
        for inner in graphs_in(node):
            yield from names_in(inner)


def _name_nodes(graph: GraphProto) -> None:
    """Give every node a name that no other one has; one that is alone in having its name keeps it."""
    counted: dict[str, int] = {}
    for node in graph.node:
        counted[node.name] = counted.get(node.name, 0) + 1
    taken = {name for name, count in counted.items() if name and count == 1}
    for node in graph.node:
        if node.name and counted[node.name] == 1:
            continue
        node.name = unused(node.name or next(filter(None, node.output), node.op_type), taken)
        taken.add(node.name)


def unused(name: str, taken: Any) -> str:
    """`name`, or `name_1` and so on where it is taken."""
    if name not in taken:
        return name
    number = 1
    while f"{name}_{number}" in taken:
        number += 1
    return f"{name}_{number}"


def _set_shapes(graph: GraphProto, shapes: Shapes) -> None:
    weights = {tensor.name for tensor in graph.initializer}
    inputs = {value.name: value for value in graph.input if value.name not in weights}
    for name, sizes in shapes.items():
        if name not in inputs:
            help = nearest(name, list(inputs)) or f"its inputs are {', '.join(f'`{known}`' for known in inputs)}"
            raise ModelError.of("unknown-input", f"the model has no input `{name}`", help)
        shape = inputs[name].type.tensor_type.shape
        if len(shape.dim) not in (0, len(sizes)):
            message = f"the input `{name}` has {len(shape.dim)} axes, and {len(sizes)} sizes were given for it"
            raise ModelError.of("wrong-shape", message)
        del shape.dim[:]
        for size in sizes:
            shape.dim.add().dim_value = int(size)
    # What the file says of the values after them held for the old shapes.
    del graph.value_info[:]
    for value in graph.output:
        value.type.tensor_type.ClearField("shape")


def _state_outputs(graph: GraphProto, types: Mapping[str, TensorType]) -> None:
    """Say of each output which shape it has now."""
    for value in graph.output:
        for size in types[value.name].shape or ():
            dimension = value.type.tensor_type.shape.dim.add()
            if isinstance(size, int):
                dimension.dim_value = size
            elif size != ANY:
                dimension.dim_param = size


def infer_types(proto: ModelProto, name: str, *, strict: bool = False) -> dict[str, TensorType]:
    """The types of the values of a model's main graph, as far as ONNX can tell them without the weights.

    Raises `ModelError` where they contradict each other, if it is asked to be strict about that.
    """
    try:
        inferred = shape_inference.infer_shapes(_without_weights(proto), strict_mode=strict, data_prop=True).graph
    except Exception as error:  # whatever ONNX's C++ code met
        message = f"ONNX cannot infer the shapes of {name}: {last_line(error)}"
        raise ModelError.of("damaged-model", message, "check the model with onnx.checker") from error
    types = {tensor.name: array_type(tensor) for tensor in proto.graph.initializer}
    for value in (*inferred.value_info, *inferred.input, *inferred.output):
        if (found := value_type(value)) is not None:
            types[value.name] = found
    return types


def _without_weights(proto: ModelProto) -> ModelProto:
    """A copy in which large initializers have a type and no values: as small as a copy can be."""
    bare, graph = without(proto, "graph"), proto.graph
    bare.graph.CopyFrom(without(graph, "initializer"))
    bare.ir_version = max(proto.ir_version, 4)  # before it, an initializer is known by the input of its name alone
    for tensor in graph.initializer:
        if is_external(tensor) or tensor.ByteSize() > _MOST_BYTES_OF_A_SHAPE:
            bare.graph.initializer.add(name=tensor.name, dims=tensor.dims, data_type=tensor.data_type)
        else:
            bare.graph.initializer.append(tensor)
    return bare
