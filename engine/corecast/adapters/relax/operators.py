"""What TVM's ONNX importer writes as a kernel in; the operator of Relax that computes the same out.

A `call_tir` of a kernel can be selected by no recipe, takes no other layout and no other dtype. So where the importer
asks for the kernel of a TOPI function that Relax has as an operator, it gets the operator.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from tvm import relax, topi
from tvm.ir import Expr


class OperatorBuilder(relax.BlockBuilder):  # type: ignore[misc]
    """A block builder whose `emit_te` emits an operator where there is one."""

    def emit_te(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        operator = _OPERATORS.get(func)
        call = operator(*args, **kwargs) if operator is not None else None
        return super().emit_te(func, *args, **kwargs) if call is None else self.emit(call)


def _bound(combine: Callable[[Expr, Expr], Expr], nothing: float) -> Callable[..., Expr]:
    def operator(data: Expr, bound: Expr | float) -> Expr:
        """`maximum(x, -inf)` -> `x`, and the like for a minimum."""
        if isinstance(bound, Expr):
            return combine(data, bound)
        return data if bound == nothing else combine(data, relax.const(bound, str(data.ty.dtype)))

    return operator


def _pad(mode: str) -> Callable[..., Expr]:
    def operator(data: Expr, before: Sequence[int], after: Sequence[int], *value: Any) -> Expr | None:
        widths = [int(width) for pair in zip(before, after, strict=True) for width in pair]
        if min(widths, default=0) < 0:
            return None  # the operator does not cut, the kernel does
        fill = value[0] if mode == "constant" and value else 0.0
        return relax.op.nn.pad(data, widths, mode, float(fill))

    return operator


def _tile(data: Expr, repeats: Any) -> Expr:
    return relax.op.tile(data, [int(repeat) for repeat in np.atleast_1d(repeats)])


def _einsum(subscripts: str, *operands: Expr) -> Expr:
    return relax.op.einsum(operands, subscripts)


_OPERATORS: dict[Callable[..., Any], Callable[..., Expr | None]] = {
    topi.maximum: _bound(relax.op.maximum, -np.inf),
    topi.minimum: _bound(relax.op.minimum, np.inf),
    topi.flip: relax.op.flip,
    topi.tile: _tile,
    topi.einsum: _einsum,
    topi.nn.pad: _pad("constant"),
    topi.nn.mirror_pad: _pad("reflect"),
    topi.nn.replicate_pad: _pad("replicate"),
    topi.nn.circular_pad: _pad("circular"),
}
