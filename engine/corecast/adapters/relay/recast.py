"""Dtype decisions in, one mutator out: operands cast, the layer computed in the planned dtype, the result cast back.

A tensor that several layers want in the same dtype is cast once, one that has it already not at all, and a result that
the next layer wants as it was computed does not go through the dtype between them where that changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tvm
from tvm import relay
from tvm.ir import IRModule

from corecast.adapters.passes import module_pass
from corecast.adapters.relay.attributes import with_attributes
from corecast.adapters.relay.passes import with_main
from corecast.adapters.relay.survey import enumerate_calls
from corecast.model import dtype_bits
from corecast.plan.ids import compress
from corecast.recipe import ChangeDType


@module_pass("Recast")
class Recast:
    """Compute each planned layer in its dtype, and hand on what its readers saw before."""

    def __init__(self, edits: Mapping[str, ChangeDType]):
        self.edits = edits

    def transform_module(self, module: IRModule, context: tvm.transform.PassContext) -> IRModule:  # noqa: ARG002
        module = relay.transform.InferType()(module)
        main = module["main"]
        planned = {call: self.edits[layer] for layer, call in enumerate_calls(main) if layer in self.edits}
        return relay.transform.InferType()(with_main(module, RecastMutator(planned).visit(main)))

    def __str__(self) -> str:
        groups: dict[str, list[str]] = {}
        for layer, edit in self.edits.items():
            groups.setdefault(f"{edit.dtype}, accumulated in {edit.accumulator}", []).append(layer)
        return "\n".join(["corecast.Recast:", *(f"  {compress(layers)}: {to}" for to, layers in groups.items())])


class RecastMutator(relay.ExprMutator):  # type: ignore[misc]  # tvm is untyped
    """Rebuilds a function with some of its calls in other dtypes; types of the function must be inferred."""

    def __init__(self, planned: Mapping[relay.Call, ChangeDType]):
        super().__init__()
        self.planned = planned
        self.casts: dict[tuple[Any, str], Any] = {}
        self.computed: dict[Any, tuple[Any, str]] = {}  # a result cast back -> as it was computed, and in which dtype

    def visit_call(self, call: relay.Call) -> relay.Expr:
        rebuilt = super().visit_call(call)
        edit = self.planned.get(call)
        if edit is None:
            return rebuilt
        pairs = zip(rebuilt.args, call.args, strict=True)
        args = [self.cast(new, old.checked_type, edit.dtype) for new, old in pairs]
        attributes, computed = _computing_in(call.attrs, edit)
        result = relay.Call(call.op, args, attributes, call.type_args, call.span)
        original = call.checked_type.dtype
        if computed == original:
            return result
        back = relay.cast(result, original)
        self.computed[back] = (result, computed)
        return back

    def cast(self, new: Any, ty: Any, dtype: str) -> Any:
        """The rebuilt argument in `dtype`; the fields of a tuple one by one, computed or written out."""
        if isinstance(ty, relay.TupleType):
            fields = (
                new.fields
                if isinstance(new, relay.Tuple)
                else [relay.TupleGetItem(new, index) for index in range(len(ty.fields))]
            )
            return relay.Tuple([self.cast(field, item, dtype) for field, item in zip(fields, ty.fields, strict=True)])
        if ty.dtype == dtype:
            return new
        result, computed = self.computed.get(new, (None, ""))
        if computed == dtype and is_lossless(dtype, ty.dtype):
            return result
        if (new, dtype) not in self.casts:
            self.casts[new, dtype] = relay.cast(new, dtype)
        return self.casts[new, dtype]


def _computing_in(attributes: Any, edit: ChangeDType) -> tuple[Any, str]:
    """The attributes with `out_dtype` set and the result's dtype; operators without one compute in their operands'."""
    if attributes is None or "out_dtype" not in attributes.keys():  # noqa: SIM118  # not a dict
        return attributes, edit.dtype
    return with_attributes(attributes, out_dtype=edit.accumulator), edit.accumulator


def is_lossless(dtype: str, wider: str) -> bool:
    """Whether every value of `dtype` is one of `wider`: two of a kind, the second with more bits."""
    narrow, wide = (name.rstrip("0123456789") for name in (dtype, wider))
    if (narrow, wide) == ("bfloat", "float"):
        return dtype_bits(wider) >= 32
    return narrow == wide and dtype_bits(wider) >= dtype_bits(dtype)
