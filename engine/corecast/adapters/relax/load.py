"""A file or a module in, a `Model` out: exactly what TVM imports, with weights beside it and names on its bindings.

Nothing is simplified here: the loaded model is what every conversion is checked against.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import tvm
from tvm import relax
from tvm.ir import Call, GenericConst, IRModule, Tuple, Var

from corecast.adapters.faults import of_its_file
from corecast.adapters.onnx.file import external_files, parse
from corecast.adapters.onnx.file import origin as onnx_origin
from corecast.adapters.onnx.weights import fill
from corecast.adapters.relax.exported import import_exported, is_exported, read_exported
from corecast.adapters.relax.functions import separate
from corecast.adapters.relax.importer import import_onnx
from corecast.adapters.relax.model import FEW, MAIN, Array, Model, ModelError, Origin
from corecast.adapters.relax.rebuild import Names, bindings_of, renamed
from corecast.adapters.relax.survey import input_count
from corecast.adapters.relax.tensors import array_of, type_of
from corecast.adapters.source import last_line, read_content
from corecast.adapters.toolchain import ir_of, refuse_other_ir


@of_its_file
def load(
    source: str | Path | IRModule | onnx.ModelProto | Any,
    *,
    weights: str | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    function: str | None = None,
) -> Model:
    """Read an ONNX file, a program that `torch.export.save` wrote (`.pt2`), or a Relax module that TVM saved as JSON.

    What these hold is taken in memory too: a `ModelProto` with its weights, an `ExportedProgram`, an `IRModule`.
    `weights="random:SEED"` fills the weights of an ONNX model, `shapes` gives its inputs other shapes than the file's.
    `function` names the function of a module to take: without it `main`, or the only public one. Its others stay.
    Raises `ModelError`.
    """
    if isinstance(source, IRModule):
        return _from_module(source, "module", None, weights, shapes, function)
    if isinstance(source, onnx.ModelProto):
        return _from_proto(source, weights, shapes, function)
    if is_exported(source):
        module, names = import_exported(source)
        return _from_module(module, "program", None, weights, shapes, function, names)
    path = Path(source)
    content = read_content(path)
    if content[:64].lstrip().startswith(b"{"):
        origin = Origin.of(path, content, function=function)
        return _from_module(_parse_json(content), path.name, origin, weights, shapes, function)
    if content.startswith(b"PK") and path.suffix == ".pt2":
        origin = Origin.of(path, content, function=function)
        module, names = import_exported(read_exported(path))
        return _from_module(module, path.name, origin, weights, shapes, function, names)
    model = parse(content)
    _refuse_functions(function)
    origin = onnx_origin(path, hashlib.sha256(content), external_files(model, path), weights, shapes)
    _read_external(model, path)
    model = fill(model, weights) if weights is not None else model
    return _from_onnx(model, path.name, origin, shapes or {})


def _from_proto(
    proto: onnx.ModelProto, weights: str | None, shapes: Mapping[str, Sequence[int]] | None, function: str | None
) -> Model:
    _refuse_functions(function)
    model = onnx.ModelProto()
    model.CopyFrom(proto)
    if any(onnx.external_data_helper.uses_external_data(tensor) for tensor in model.graph.initializer):
        help = "load it from its file, or read them into it: onnx.load_external_data_for_model"
        raise ModelError.of("no-weights", "it keeps weights in other files", help)
    model = fill(model, weights) if weights is not None else model
    return _from_onnx(model, model.graph.name or "model", None, shapes or {})


def _refuse_functions(function: str | None) -> None:
    if function not in (None, MAIN):
        help = "an ONNX model is one function, `main`"
        raise ModelError.of("no-function", f"it has no function `{function}`", help)


def _read_external(model: onnx.ModelProto, path: Path) -> None:
    try:
        onnx.load_external_data_for_model(model, str(path.parent))
    except (OSError, ValueError, onnx.checker.ValidationError) as error:
        raise ModelError.of(
            "no-weights", f"the weights that it keeps in another file cannot be read: {error}"
        ) from None


def _from_onnx(proto: onnx.ModelProto, name: str, origin: Origin | None, shapes: Mapping[str, Sequence[int]]) -> Model:
    module, names, labels = import_onnx(_without_weights_as_inputs(proto), shapes)
    return _assemble(module, name, origin, names, labels)


def _without_weights_as_inputs(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Old ONNX files list every initializer as an input too, and the frontend then makes an ill-formed function."""
    weights = {tensor.name for tensor in proto.graph.initializer}
    inputs = [value for value in proto.graph.input if value.name not in weights]
    if len(inputs) < len(proto.graph.input):
        del proto.graph.input[:]
        proto.graph.input.extend(inputs)
    return proto


def _parse_json(content: bytes) -> IRModule:
    text = content.decode(errors="replace")
    if ir := ir_of(text):
        refuse_other_ir(ir, f"this is a {ir.capitalize()} module")
    try:
        module = tvm.ir.load_json(text)
    except Exception as error:
        raise ModelError.of(
            "not-a-model",
            f"this is no module of this TVM: {last_line(error)}",
            "save it again with tvm.ir.save_json",
        ) from error
    if not isinstance(module, IRModule):
        raise ModelError.of("not-a-model", f"this holds a {type(module).__name__}, not a module")
    return module


def _from_module(
    module: IRModule,
    name: str,
    origin: Origin | None,
    weights: str | None,
    shapes: Mapping[str, Sequence[int]] | None,
    function: str | None,
    names: Mapping[Var, str] | None = None,
) -> Model:
    if weights is not None or shapes:
        raise ModelError.of(
            "not-onnx",
            "weights are filled and shapes are given for ONNX models only",
            "a Relax module has both already",
        )
    taken, module, others = separate(module, function)
    shown = name if taken == MAIN else f"{name}:{taken}"
    return replace(_assemble(module, shown, origin, names or {}, {}), function=taken, others=others)


def _assemble(
    module: IRModule, name: str, origin: Origin | None, names: Mapping[Var, str], labels: Mapping[Any, str]
) -> Model:
    """Take the weights out of `main` and put the names on its bindings."""
    main = module[MAIN]
    attached = list(main.attrs["params"]) if main.attrs and "params" in main.attrs else []
    count = len(main.params) - len(attached)
    if (missing := count - input_count(main)) > 0:
        message = f"the values of {missing} of the {missing + len(attached)} parameters of {name} are not in it"
        raise ModelError.of("no-weights", message, "a bundle's weights are beside its module: name the bundle")
    parameters = {var.name: value.numpy() for var, value in zip(main.params[count:], attached, strict=True)}
    lifted = _lifted(main, labels)
    parameters.update((var.name, array) for var, array in lifted.values())
    replaced: dict[Any, Any] = {constant: var for constant, (var, _) in lifted.items()}
    replaced |= _with_names(main, names)
    new = [var for var, _ in lifted.values()]
    main = renamed(main.without_attr("params"), replaced, new).with_attr("num_input", count)
    return Model(module, {}, name, origin).with_main(main, parameters)


def _with_names(main: relax.Function, names: Mapping[Var, str]) -> dict[Var, Var]:
    """A variable of the wanted name for each binding that has another one; no two of them have the same."""
    fresh = Names(var.name for var in main.params)
    replaced = {}
    for binding in bindings_of(main):
        var = binding.var
        name = fresh.fresh(names.get(var, var.name))
        if name != var.name:
            replaced[var] = type(var)(name, var.ty)
    return replaced


def _lifted(main: relax.Function, labels: Mapping[Any, str]) -> dict[GenericConst, tuple[Var, Array]]:
    """A parameter for each constant of more than a few elements, named after its source or after its first reader."""
    fresh = Names(var.name for var in main.params)
    lifted: dict[GenericConst, tuple[Var, Array]] = {}
    for binding in bindings_of(main):
        for constant, role in _constants(binding.value):
            if constant not in lifted:
                array = array_of(constant)
                if array.size > FEW:
                    base = labels.get(constant, f"{binding.var.name}.{role}")
                    lifted[constant] = (Var(fresh.fresh(base), type_of(array)), array)
    return lifted


def _constants(value: Any) -> list[tuple[GenericConst, str]]:
    """The constants that an expression reads, with the names of the operands where they stand."""
    if isinstance(value, GenericConst):
        return [(value, "value")]
    if isinstance(value, Tuple):
        return [found for field in value.fields for found in _constants(field)]
    if not isinstance(value, Call):
        return []
    roles = [info.name for info in getattr(value.op, "arguments", None) or []]
    found = []
    for place, argument in enumerate(value.args):
        role = roles[place] if place < len(roles) else str(place)
        found += [(constant, role) for constant, _ in _constants(argument)]
    return found
