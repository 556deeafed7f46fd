"""A network as plain data in, a Relax module with its weights out.

The data is what a generator makes and a shrinker takes apart: steps in order, each a call of an operator on named
values. Sizes that are no numbers are names of dynamic ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tvm
from tvm import relax, tirx
from tvm.ir import IRModule

Shape = tuple[int | str, ...]

# What dynamic sizes are when a network is run.
DYNAMIC = {"n": 2}


@dataclass(frozen=True)
class Tensor:
    """An argument of the network, or one of its weights; `constant` ones stand in the module itself."""

    shape: Shape
    dtype: str = "float32"
    constant: bool = False
    role: str = "weight"


@dataclass(frozen=True)
class Step:
    """`name = op(operands, **attributes)`; an operand is a value's name, a tuple of them, or a number (a scalar)."""

    name: str
    op: str
    operands: tuple[Any, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Network:
    """`returns` is a nest of value names; `is_dataflow` whether the body stands in a dataflow block."""

    arguments: Mapping[str, Tensor]
    weights: Mapping[str, Tensor]
    steps: tuple[Step, ...]
    returns: Any
    is_dataflow: bool = True


def build(network: Network) -> IRModule:
    """The module, its weights attached as TVM's frontends attach them (`params`), or in it as constants."""
    sizes = {name: tirx.Var(name, "int64") for name in DYNAMIC}
    values: dict[str, Any] = {name: _argument(name, tensor, sizes) for name, tensor in network.arguments.items()}
    inputs = list(values.values())
    parameters: list[Any] = []
    attached: list[Any] = []
    for name, tensor in network.weights.items():
        array = weight(name, tensor)
        if tensor.constant:
            values[name] = relax.const(array, tensor.dtype)
        else:
            values[name] = _argument(name, tensor, sizes)
            parameters.append(values[name])
            attached.append(tvm.runtime.tensor(array))
    normalizer = relax.BlockBuilder()
    returned = set(leaves(network.returns))
    bindings = []
    for step in network.steps:
        value = normalizer.normalize(expression(step, values, sizes))
        kind = relax.DataflowVar if network.is_dataflow and step.name not in returned else relax.Var
        values[step.name] = kind(_shown(step.name), value.ty)
        bindings.append(relax.VarBinding(values[step.name], value))
    block = (relax.DataflowBlock if network.is_dataflow else relax.BindingBlock)(bindings)
    result = normalizer.normalize(_nest(network.returns, values))
    body = normalizer.normalize(relax.SeqExpr([block] if bindings else [], result))
    function = relax.Function([*inputs, *parameters], body, result.ty)
    function = function.with_attr({"num_input": len(inputs), "params": attached, "global_symbol": "main"})
    return IRModule({"main": function})


def _shown(name: str) -> str:
    """A binding's name: values are told apart by what follows a `~`, and bindings may share a name."""
    return name.partition("~")[0]


def _argument(name: str, tensor: Tensor, sizes: Mapping[str, Any]) -> relax.Var:
    return relax.Var(name, relax.TensorType([sizes.get(size, size) for size in tensor.shape], tensor.dtype))


def leaves(nest: Any) -> list[str]:
    """The names in a nest of tuples."""
    return [nest] if isinstance(nest, str) else [name for part in nest for name in leaves(part)]


def _nest(nest: Any, values: Mapping[str, Any]) -> Any:
    return values[nest] if isinstance(nest, str) else relax.Tuple([_nest(part, values) for part in nest])


def expression(step: Step, values: Mapping[str, Any], sizes: Mapping[str, Any]) -> Any:
    """The Relax expression of a step."""
    operands = [_operand(operand, values) for operand in step.operands]
    if step.op in _FORMS:
        return _FORMS[step.op](operands, step.attributes)
    function: Any = relax.op
    for part in step.op.split("."):
        function = getattr(function, part)
    attributes = {key: _sized(value, sizes) for key, value in step.attributes.items()}
    return function(*operands, **attributes)


def _operand(operand: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(operand, str):
        return values[operand]
    if isinstance(operand, tuple):
        return relax.Tuple([_operand(part, values) for part in operand])
    return relax.const(operand, "float32")


def _sized(value: Any, sizes: Mapping[str, Any]) -> Any:
    """Shapes may hold dynamic sizes by name."""
    return [sizes.get(item, item) for item in value] if isinstance(value, tuple | list) else value


_FORMS: dict[str, Any] = {
    "alias": lambda operands, _: operands[0],
    "tuple": lambda operands, _: relax.Tuple(operands),
    "item": lambda operands, attributes: relax.TupleGetItem(operands[0], attributes["index"]),
    "quantize": lambda operands, attributes: _quantized(relax.op.quantize, operands, attributes),
    "dequantize": lambda operands, attributes: _quantized(relax.op.dequantize, operands, attributes),
}


def _quantized(function: Any, operands: list[Any], attributes: Mapping[str, Any]) -> Any:
    scale = relax.const(attributes["scale"], "float32")
    zero = relax.const(attributes["zero"], "int8")
    kept = {key: value for key, value in attributes.items() if key not in ("scale", "zero")}
    return function(operands[0], scale, zero, **kept)


# ── values ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def weight(name: str, tensor: Tensor, seed: int = 0) -> np.ndarray:
    """The values of a weight, a function of its name alone: about one over the square root of what is summed."""
    random = np.random.default_rng([seed, *name.encode()])
    shape = tuple(DYNAMIC.get(size, size) for size in tensor.shape)
    if tensor.role == "index":
        return random.integers(0, 2, shape).astype(tensor.dtype)
    if tensor.role == "positive":
        return random.uniform(0.5, 2.0, shape).astype(tensor.dtype)
    scale = 1.5 / np.sqrt(max(1, np.prod(shape[1:]))) if len(shape) > 2 else 1.0
    return (random.standard_normal(shape) * scale).clip(-3, 3).astype(tensor.dtype)


def arguments(network: Network, seed: int, scale: float = 1.0) -> list[np.ndarray]:
    """Inputs of the network in order."""
    result = []
    for name, tensor in network.arguments.items():
        random = np.random.default_rng([seed, *name.encode()])
        shape = tuple(DYNAMIC.get(size, size) for size in tensor.shape)
        if tensor.role == "index":
            result.append(random.integers(0, 2, shape).astype(tensor.dtype))
            continue
        result.append((random.standard_normal(shape) * 1.5 * scale).clip(-7, 7).astype(tensor.dtype))
    return result
