"""A Relax module in, what stands in it out: bindings, calls of kernels, kernels, and the dtype of each layer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tvm import relax, tirx
from tvm.ir import Call, GlobalVar, IRModule, Op


def bindings(function: relax.Function) -> Iterator[relax.Binding]:
    """The bindings of a function's body in order."""
    for block in function.body.blocks:
        yield from block.bindings


def called_kernel(value: relax.Expr) -> GlobalVar | None:
    """The kernel that an expression calls, or None where it is no `call_tir`."""
    if isinstance(value, Call) and value.op == Op.get("relax.call_tir"):
        return value.args[0]
    return None


def lowered_by(module: IRModule) -> str:
    """TVM's name for the pipeline that lowers the functions of a module: schedulable ones, or its kernel language."""
    return "default" if all((function.attrs or {}).get("s_tir") for _, function in module.functions_items()) else "tirx"


def called(function: relax.Function) -> Iterator[str]:
    """The kernels that a function calls, by name, once for each call."""
    found = (called_kernel(binding.value) for binding in bindings(function))
    return (kernel.name_hint for kernel in found if kernel is not None)


def kernels(module: IRModule) -> dict[str, tirx.PrimFunc]:
    """The kernels of a module by name."""
    return {
        var.name_hint: function for var, function in module.functions_items() if isinstance(function, tirx.PrimFunc)
    }


def dtypes_by_layer(main: relax.Function) -> Iterator[tuple[str, str]]:
    """Each layer with the dtypes that it reads and makes: first the layers that compute, then casts, then arguments."""
    calls = [(binding.var, binding.value) for binding in bindings(main) if isinstance(binding.value, Call)]
    calls.sort(key=lambda call: call[1].op == Op.get("relax.astype"))
    for var, value in calls:
        for operand in (*value.args, var):
            yield from ((var.name, dtype) for dtype in _dtypes(operand.ty))
    for var in main.params:
        yield from ((var.name, dtype) for dtype in _dtypes(var.ty))


def _dtypes(ty: Any) -> Iterator[str]:
    if isinstance(ty, relax.TensorType) and ty.dtype is not None:
        yield str(ty.dtype)
    if isinstance(ty, relax.TupleType):
        for field in ty.fields:
            yield from _dtypes(field)
