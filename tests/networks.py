"""Networks for tests: a layer table's text in, a Relax model with seeded weights out; and running models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import tvm
from tvm import relax
from tvm.ir import IRModule

from corecast.adapters.relax import Model
from corecast.model import LayerTable, Operand, TensorType, parse_table
from corecast.verify import seeded_inputs


def model_of(text: str, seed: int = 0) -> Model:
    """Build the network that `corecast.model.parse_table` reads; weights are normal and scaled by their fan-in."""
    return build(parse_table(text), seed)


def build(table: LayerTable, seed: int = 0) -> Model:
    inputs = {name: relax.Var(name, _type(tensor)) for name, tensor in table.arguments.items()}
    types = {
        operand.parameter: operand.type for layer in table.layers for operand in layer.operands if operand.parameter
    }
    weights = {name: relax.Var(name, _type(tensor)) for name, tensor in types.items()}
    builder = relax.BlockBuilder()
    results: dict[int, relax.Var] = {}

    def var(operand: Operand) -> relax.Var:
        if operand.layer is not None:
            return results[operand.layer]
        return weights[operand.parameter] if operand.parameter else inputs[operand.argument]

    with builder.function("main", [*inputs.values(), *weights.values()]):
        with builder.dataflow():
            for layer in table.layers:
                call = _call(layer.op, [var(operand) for operand in layer.operands], layer.attributes)
                results[layer.index] = builder.emit(call, layer.source or layer.id.replace(".", "_").replace("#", "_"))
            returned = [var(operand) for operand in table.returns]
            output = builder.emit_output(returned[0] if len(returned) == 1 else relax.Tuple(returned))
        builder.emit_func_output(output)
    module = builder.get()
    module["main"] = module["main"].with_attr("num_input", len(inputs))
    return Model(module, {name: _values(name, tensor, seed) for name, tensor in types.items()}, "network")


def _type(tensor: TensorType) -> relax.TensorType:
    return relax.TensorType(tensor.shape, tensor.dtype)


def _call(op: str, operands: Sequence[relax.Var], attributes: Mapping[str, object]) -> relax.Expr:
    if op == "nn.dense":
        return relax.op.matmul(*operands)
    function = relax.op
    for part in op.split("."):
        function = getattr(function, part)
    if op == "concat":
        return function(operands, **attributes)
    if op == "reshape":
        return function(*operands, list(attributes["shape"]))
    return function(*operands, **attributes)


def _values(name: str, tensor: TensorType, seed: int) -> np.ndarray:
    array = seeded_inputs({name: tensor}, seed)[name]
    fan_in = np.prod(tensor.shape[1:]) if len(tensor.shape) > 1 else 1
    return (array / np.sqrt(max(1, fan_in))).astype(array.dtype)


def outputs(model: Model, seed: int = 0, parameters: Mapping[str, np.ndarray] | None = None) -> list[np.ndarray]:
    """Compile for this CPU and run on seeded inputs."""
    types = {var.name: TensorType(dtype=str(var.ty.dtype), shape=_sizes(var)) for var in model.inputs}
    arrays = [*seeded_inputs(types, seed).values(), *(parameters or model.parameters).values()]
    machine = relax.VirtualMachine(tvm.compile(model.module, "llvm"), tvm.cpu())
    result = machine["main"](*(tvm.runtime.tensor(np.asarray(array, order="C")) for array in arrays))
    return [result.numpy()] if isinstance(result, tvm.runtime.Tensor) else [item.numpy() for item in result]


def _sizes(var: relax.Var) -> tuple[int, ...]:
    return tuple(int(size) for size in var.ty.shape.values)


def script(module: IRModule) -> str:
    """The body of `main` as TVMScript, one line a binding, without what every line repeats."""
    text = module["main"].script(show_meta=False)
    lines = [line.strip() for line in text.splitlines()]
    start = next(number for number, line in enumerate(lines) if line.startswith("with R.dataflow"))
    return "\n".join(line for line in lines[start + 1 :] if line and not line.startswith("#")) + "\n"
