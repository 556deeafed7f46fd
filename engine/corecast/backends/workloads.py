"""A Relax module in, its kernels out, each with the operators that it computes: what schedules are written for.

After fusion a kernel is loops alone. What they compute, a schedule family has to know, so each kernel carries its
operators as a few steps of plain data: a convolution with its strides, then the bias, the relu and the residual.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import tvm_ffi
from tvm import relax, tirx
from tvm.ir import Call, GenericConst, IRModule, Op, Tuple, Var

from corecast.backends.calls import bindings, called_kernel, kernels
from corecast.backends.pipeline import fused, grouped


@dataclass(frozen=True)
class Tensor:
    """The sizes and the dtype of a value."""

    shape: tuple[int, ...]
    dtype: str

    def __str__(self) -> str:
        return f"{self.dtype} {'x'.join(map(str, self.shape)) or 'scalar'}"


@dataclass(frozen=True)
class Scalar:
    """A number that the operator was given and the kernel has inside."""

    value: float | int

    def __str__(self) -> str:
        return f"{self.value:g}"


@dataclass(frozen=True)
class Step:
    """One operator of a kernel, by the name that recipes use: `nn.conv2d`, `add`, `nn.relu`.

    Attributes:
        attributes: what TVM's operator has, as numbers, strings and tuples of them: `strides`, `data_layout`.
        operands: an int is a value of the kernel: its arguments are numbered first, then the results of its steps.
        result: what it makes.
    """

    op: str
    attributes: Mapping[str, Any]
    operands: tuple[int | Scalar, ...]
    result: Tensor


@dataclass(frozen=True)
class Workload:
    """A kernel as it stands in the built module.

    Attributes:
        name: of the kernel in the module.
        function: what TVM made of it, plain loops; its parameters are the arguments and then the result.
        arguments: what it reads, in order.
        steps: what it computes, in order; the last one makes its result. Empty where that cannot be told.
    """

    name: str
    function: tirx.PrimFunc
    arguments: tuple[Tensor, ...]
    steps: tuple[Step, ...]

    def value(self, number: int) -> Tensor:
        """The tensor that an operand is."""
        own = len(self.arguments)
        return self.arguments[number] if number < own else self.steps[number - own].result

    def __str__(self) -> str:
        """`%0 = float32 1x14x14x64; ...; %3 = nn.conv2d(%0, %1) -> float32 1x14x14x64; ...`, without attributes."""
        own = len(self.arguments)
        read = [f"%{number} = {argument}" for number, argument in enumerate(self.arguments)]
        made = [
            f"%{own + number} = {step.op}({', '.join(map(_operand, step.operands))}) -> {step.result}"
            for number, step in enumerate(self.steps)
        ]
        return "; ".join([*read, *made])


def workloads(module: IRModule, legal: IRModule) -> dict[str, Workload]:
    """The kernels that a module is built of, by name; those whose shapes are not static are left out.

    Args:
        module: with operators, as the model has it.
        legal: the same after `legalized`, which keeps the names of bindings.
    """
    operators, groups = _operators(module, legal), grouped(legal)
    functions = kernels(fused(groups))
    bodies = {
        var.name_hint: function
        for var, function in groups.functions_items()
        if isinstance(function, relax.Function) and var.name_hint != "main"
    }
    found = {}
    for name, function in functions.items():
        if not is_static(function):
            continue
        *arguments, _ = (_tensor(parameter.ty) for parameter in function.params)
        body = bodies.get(name)
        steps = _alone(operators.get(name), arguments, function) if body is None else _steps(body, operators)
        found[name] = Workload(name, function, tuple(arguments), steps)
    return found


def is_static(function: tirx.PrimFunc) -> bool:
    """Whether every argument of a kernel is a buffer whose sizes are numbers."""
    return all(
        isinstance(parameter.ty, tirx.BufferType) and all(isinstance(size, tirx.IntImm) for size in parameter.ty.shape)
        for parameter in function.params
    )


def _operators(module: IRModule, legal: IRModule) -> dict[str, Call]:
    """For each kernel of the legalized module, a call of the operator that it was made of."""
    named = {binding.var.name: binding.value for binding in bindings(module["main"])}
    found = {}
    for binding in bindings(legal["main"]):
        kernel, call = called_kernel(binding.value), named.get(binding.var.name)
        if kernel is not None and isinstance(call, Call) and isinstance(call.op, Op):
            found[kernel.name_hint] = call
    return found


def _steps(body: relax.Function, operators: Mapping[str, Call]) -> tuple[Step, ...]:
    numbers: dict[Var, int] = {var: number for number, var in enumerate(body.params)}
    steps: list[Step] = []
    for binding in bindings(body):
        kernel = called_kernel(binding.value)
        call = None if kernel is None else operators.get(kernel.name_hint)
        if call is None or not isinstance(binding.value.args[1], Tuple):
            return ()
        given = [numbers.get(operand) if isinstance(operand, Var) else None for operand in binding.value.args[1].fields]
        step = _step(call, given, binding.var.ty)
        if step is None:
            return ()
        numbers[binding.var] = len(body.params) + len(steps)
        steps.append(step)
    return tuple(steps)


def _alone(call: Call | None, arguments: list[Tensor], function: tirx.PrimFunc) -> tuple[Step, ...]:
    step = None if call is None else _step(call, list(range(len(arguments))), function.params[-1].ty)
    return () if step is None else (step,)


def _step(call: Call, given: list[int | None], ty: Any) -> Step | None:
    """An operator with the values that its kernel is given in place of its tensors, or None where they do not fit."""
    tensors = [operand for operand in call.args if not _is_number(operand)]
    if len(given) != len(tensors) or None in given:
        return None
    numbers = iter(given)
    operands = tuple(Scalar(_number(operand)) if _is_number(operand) else next(numbers) for operand in call.args)
    return Step(call.op.name.removeprefix("relax."), _attributes(call.attrs), operands, _tensor(ty))  # type: ignore[arg-type]


def _is_number(operand: Any) -> bool:
    """Whether an operand is written into the kernel: a number, or a constant without axes."""
    return isinstance(operand, tirx.IntImm | tirx.FloatImm) or (
        isinstance(operand, GenericConst) and not operand.value.shape
    )


def _number(operand: Any) -> float | int:
    value = operand.value.numpy().item() if isinstance(operand, GenericConst) else operand.value
    return value if isinstance(value, int) else float(value)


def _attributes(attributes: Any) -> Mapping[str, Any]:
    if attributes is None:
        return MappingProxyType({})
    fields = type(attributes).__tvm_ffi_type_info__.fields
    return MappingProxyType({field.name: _plain(getattr(attributes, field.name)) for field in fields})


def _plain(value: Any) -> Any:
    """An attribute as a number, a string, None or a tuple of them."""
    if isinstance(value, tirx.IntImm | tirx.FloatImm):
        return _number(value)
    if isinstance(value, tvm_ffi.Array | list | tuple):
        return tuple(map(_plain, value))
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def _tensor(ty: Any) -> Tensor:
    shape = ty.shape if isinstance(ty, tirx.BufferType) else ty.shape.values
    return Tensor(tuple(map(int, shape)), str(ty.dtype))


def _operand(operand: int | Scalar) -> str:
    return f"%{operand}" if isinstance(operand, int) else str(operand)
