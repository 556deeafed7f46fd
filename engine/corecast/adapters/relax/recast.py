"""Dtype decisions in, one mutator out: operands cast, the layer computed in the planned dtype, the result cast back.

A tensor that several layers want in the same dtype is cast once. Casts that undo each other are left to `Cleanup`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tvm
from tvm import relax
from tvm.ir import Call, IRModule

from corecast.adapters.relax.attributes import with_attributes
from corecast.adapters.relax.layout import added_views
from corecast.adapters.relax.passes import module_pass, rewrite
from corecast.adapters.relax.rebuild import Rebuild
from corecast.adapters.relax.survey import enumerate_calls
from corecast.adapters.relax.tensors import cast, dtype_of
from corecast.plan.ids import compress
from corecast.recipe import ChangeDType


@module_pass("Recast")
class Recast:
    """Compute each planned layer in its dtype, and hand on what its readers saw before."""

    def __init__(self, edits: Mapping[str, ChangeDType]):
        self.edits = edits

    def transform_module(self, module: IRModule, context: tvm.transform.PassContext) -> IRModule:  # noqa: ARG002
        main = module["main"]
        calls = enumerate_calls(main, without=added_views(main))
        planned = {binding.var: self.edits[layer] for layer, binding in calls if layer in self.edits}
        return rewrite(module, lambda rebuild: _recast(rebuild, planned))

    def __str__(self) -> str:
        groups: dict[str, list[str]] = {}
        for layer, edit in self.edits.items():
            groups.setdefault(f"{edit.dtype}, accumulated in {edit.accumulator}", []).append(layer)
        return "\n".join(["corecast.Recast:", *(f"  {compress(layers)}: {to}" for to, layers in groups.items())])


def _recast(rebuild: Rebuild, planned: Mapping[Any, ChangeDType]) -> None:
    casts: dict[tuple[Any, str], Any] = {}
    for line in rebuild.lines:
        edit = planned.get(line.var)
        if edit is None:
            rebuild.keep(line)
            continue
        call = rebuild.new(line.value)
        operands = [_cast(rebuild, operand, edit.dtype, casts) for operand in call.args]
        name = line.var.name
        attributes = _computing_in(call.attrs, edit.accumulator)
        # To infer the type of a convolution takes a millisecond, and all that becomes another one is the dtype.
        ty = None if attributes is call.attrs else cast(line.var.ty, edit.accumulator)
        result = rebuild.emit(Call(call.op, operands, attributes, call.ty_args, None, ty), name)
        if dtype_of(result.ty) != dtype_of(line.var.ty):
            dtype = dtype_of(line.var.ty)
            result = rebuild.emit(relax.op.astype(result, dtype), rebuild.fresh(f"{name}_{dtype}"))
        rebuild.replace(line.var, result)


def _cast(rebuild: Rebuild, operand: Any, dtype: str, casts: dict[tuple[Any, str], Any]) -> Any:
    if isinstance(operand.ty, relax.TupleType):
        return relax.Tuple([_cast(rebuild, field, dtype, casts) for field in _fields(rebuild, operand)])
    if not isinstance(operand.ty, relax.TensorType) or dtype_of(operand.ty) == dtype:
        return operand
    if (operand, dtype) not in casts:
        base = operand.name if isinstance(operand, relax.Var) else "constant"
        casts[operand, dtype] = rebuild.emit(relax.op.astype(operand, dtype), rebuild.fresh(f"{base}_{dtype}"))
    return casts[operand, dtype]


def _fields(rebuild: Rebuild, operand: Any) -> list[Any]:
    """The fields of a tuple; of one that a call has made, each is taken out first."""
    if isinstance(operand, relax.Tuple):
        return list(operand.fields)
    items = (relax.TupleGetItem(operand, place) for place in range(len(operand.ty.fields)))
    return [rebuild.emit(item, rebuild.fresh(f"{operand.name}_{place}")) for place, item in enumerate(items)]


def _computing_in(attributes: Any, accumulator: str) -> Any:
    """The attributes with `out_dtype` set, for the operators that have one; the others compute in their operands'."""
    if not hasattr(attributes, "out_dtype"):
        return attributes
    return with_attributes(attributes, out_dtype=accumulator)
