"""A layer table in, a Relax model with seeded weights out: a network that was written down becomes one that runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from inspect import signature
from math import prod, sqrt
from typing import Any

import numpy as np
from tvm import relax
from tvm.ir import Var

from corecast.adapters.relax.model import Array, Model, ModelError
from corecast.adapters.relax.one_builder import ONE_BUILDER
from corecast.adapters.relax.tensors import plain_type
from corecast.model import Layer, LayerTable, Operand, TensorType
from corecast.verify import seeded_inputs

# Operators that take their tensors as one tuple.
GATHERING = frozenset({"concat", "stack"})

# Operators whose shape is an argument; a table says it by the type of the result.
SHAPED = frozenset({"reshape", "broadcast_to"})


def build_model(table: LayerTable, seed: int = 0) -> Model:
    """Build the network that a table describes, with weights that are normal and scaled by their fan-in.

    Raises:
        ModelError: for an operator that a table does not say enough about, for sizes that are not known, and where TVM
            infers another type than the table has.
    """
    return _Builder(table, seed).model()


class _Builder:
    def __init__(self, table: LayerTable, seed: int):
        self.table = table
        self.seed = seed
        self.inputs = {name: Var(name, _type(name, tensor)) for name, tensor in table.arguments.items()}
        operands = [operand for layer in table.layers for operand in layer.operands]
        self.types = {operand.parameter: operand.type for operand in operands if operand.parameter}
        self.weights = {name: Var(name, _type(name, tensor)) for name, tensor in self.types.items()}
        self.results: dict[int, Var] = {}

    def model(self) -> Model:
        for layer in self.table.layers:
            self._check(layer)
        builder = relax.BlockBuilder()
        with ONE_BUILDER, builder.function("main", [*self.inputs.values(), *self.weights.values()]):
            with builder.dataflow():
                for layer in self.table.layers:
                    self.results[layer.index] = _emit(builder, layer, self._operands(layer))
                returned = [self._var(operand, "the result") for operand in self.table.returns]
                output = builder.emit_output(returned[0] if len(returned) == 1 else relax.Tuple(returned))
            builder.emit_func_output(output)
        module = builder.get()
        module["main"] = module["main"].with_attr("num_input", len(self.inputs))
        return Model(module, self._parameters(), self.table.model)

    def _check(self, layer: Layer) -> None:
        """Whether TVM infers the types that the table has; asked before anything is built, which cannot fail then."""
        operands = self._operands(layer)
        try:
            ty = relax.BlockBuilder().normalize(_call(layer, operands)).ty
        except (RuntimeError, TypeError, ValueError, AttributeError) as error:
            reason = str(error).strip().splitlines()[-1]
            raise _error(layer.id, f"cannot be built from what the table says: {reason}") from error
        inferred = tuple(map(plain_type, ty.fields if isinstance(ty, relax.TupleType) else [ty]))
        if inferred != layer.results:
            found, stated = (", ".join(map(str, types)) for types in (inferred, layer.results))
            raise _error(layer.id, f"gives {found}, and the table says {stated}")
        self.results[layer.index] = Var(layer.id, _type(layer.id, layer.results[0]))

    def _operands(self, layer: Layer) -> list[Var]:
        return [self._var(operand, layer.id) for operand in layer.operands]

    def _var(self, operand: Operand, user: str) -> Var:
        if operand.layer is not None:
            return self.results[operand.layer]
        if operand.parameter:
            return self.weights[operand.parameter]
        if operand.argument:
            return self.inputs[operand.argument]
        raise _error(user, f"reads a constant {operand.type}, whose values a table does not have")

    def _parameters(self) -> Mapping[str, Array]:
        variances = {layer.operands[4].parameter for layer in self.table.layers if layer.op == "nn.batch_norm"}
        return {name: _values(name, tensor, self.seed, name in variances) for name, tensor in self.types.items()}


def _emit(builder: Any, layer: Layer, operands: Sequence[Var]) -> Var:
    var = builder.emit(_call(layer, operands), layer.source or layer.id.replace(".", "_").replace("#", "_"))
    return builder.emit(relax.TupleGetItem(var, 0)) if isinstance(var.ty, relax.TupleType) else var


def _type(name: str, tensor: TensorType) -> Any:
    if tensor.elements is None:
        raise _error(name, f"has no known size: {tensor}")
    return relax.TensorType(tensor.shape, tensor.dtype)


def _call(layer: Layer, operands: Sequence[Var]) -> Any:
    if layer.op == "nn.dense":
        return relax.op.matmul(*operands)
    function: Any = relax.op
    for part in layer.op.split("."):
        function = getattr(function, part)
    if layer.op in SHAPED:
        return function(*operands, list(layer.results[0].shape or ()))
    if layer.op in GATHERING:
        return function(list(operands), **_known(function, layer.attributes))
    return function(*operands, **_known(function, layer.attributes))


def _known(function: Callable[..., Any], attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes that an operator's function takes; lists and absent values as it takes them."""
    known = signature(function).parameters
    if unknown := attributes.keys() - known.keys():
        raise ValueError(f"it takes no {', '.join(sorted(unknown))}")
    return {name: list(value) if isinstance(value, tuple) else value for name, value in attributes.items()}


def _values(name: str, tensor: TensorType, seed: int, positive: bool) -> Array:
    array = seeded_inputs({name: tensor}, seed)[name]
    if "float" not in tensor.dtype:
        return array
    if positive:
        return (np.abs(array.astype(np.float64)) + 0.5).astype(array.dtype)
    fan_in = prod(int(size) for size in (tensor.shape or ())[1:])
    scaled: Array = (array.astype(np.float64) / sqrt(max(1, fan_in))).astype(array.dtype)
    return scaled


def _error(what: str, message: str) -> ModelError:
    help = "take a model file for it, or correct the table: `corecast layers MODEL --text` prints one"
    return ModelError.of("cannot-build", f"{what} {message}", help)
