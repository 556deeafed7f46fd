"""A module in, each of its layers as a module of its own out: what native code dies of is found by taking one each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tvm import relax, tirx
from tvm.ir import Call, IRModule, Op, Tuple, Var
from tvm_ffi import structural_hash

from corecast.backends.calls import bindings


def layers_alone(module: IRModule) -> Iterator[tuple[str, IRModule]]:
    """Each call of an operator, under the name of its binding, as the `main` of a module; of equal ones the first.

    What the call reads are arguments. Calls of the module's other functions, and those whose shapes are not static, are
    left out.
    """
    seen = set()
    for binding in bindings(module["main"]):
        value = binding.value if isinstance(binding, relax.VarBinding) else None
        if isinstance(value, Call) and isinstance(value.op, Op) and not value.op.name.startswith("relax.call_tir"):
            alone = _alone(value)
            if alone is not None and (digest := structural_hash(alone)) not in seen:
                seen.add(digest)
                yield binding.var.name, alone


def _alone(call: Call) -> IRModule | None:
    """A module that computes one call, or None where it needs more than tensors of known sizes."""
    arguments: dict[Var, Var] = {}

    def own(expr: Any) -> Any:
        if isinstance(expr, Var):
            return arguments.setdefault(expr, Var(f"operand{len(arguments)}", expr.ty))
        return Tuple([own(field) for field in expr.fields]) if isinstance(expr, Tuple) else expr

    builder = relax.BlockBuilder()
    operands = [own(argument) for argument in call.args]
    if not all(_is_static(var.ty) for var in arguments):
        return None
    with builder.function("main", list(arguments.values())):
        with builder.dataflow():
            result = builder.emit_output(Call(call.op, operands, call.attrs, call.ty_args))
        builder.emit_func_output(result)
    return builder.get()


def _is_static(ty: Any) -> bool:
    return (
        isinstance(ty, relax.TensorType)
        and isinstance(ty.shape, relax.ShapeExpr)
        and all(isinstance(size, tirx.IntImm) for size in ty.shape.values)
    )
