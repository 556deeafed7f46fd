"""Layout decisions in, one `ConvertLayout` out, whose callback answers from the plan for every convolution.

An empty answer would not keep a layer: `ConvertLayout` then lets the producer's layout flow in. So every convolution
that the plan does not change is pinned to the layouts that it has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import tvm
from tvm import relax
from tvm.ir import Call, IRModule, Var

from corecast.adapters.relax.passes import module_pass
from corecast.adapters.relax.rebuild import Names, bindings_of, renamed
from corecast.adapters.relax.survey import BOUND_TO_LAYOUT, enumerate_calls
from corecast.model import WEIGHTED
from corecast.plan.ids import compress
from corecast.recipe import ChangeLayout

_WITH_LAYOUT = {f"relax.{name}": operator for name, operator in WEIGHTED.items() if operator.has_layout}

# These follow their input unless told otherwise, and cannot be lowered in every layout that it may have.
_RESIZING = frozenset(f"relax.{name}" for name in BOUND_TO_LAYOUT if name.startswith("image.resize"))

_TRANSPOSE = tvm.ir.Op.get("relax.permute_dims")


@module_pass("ConvertLayout")
class ConvertLayout:
    """Give each planned convolution its layouts, and pin every other one to its own."""

    def __init__(self, edits: Mapping[str, ChangeLayout]):
        self.edits = edits

    def transform_module(self, module: IRModule, context: tvm.transform.PassContext) -> IRModule:  # noqa: ARG002
        module, names = _marked(module)
        module = relax.transform.ConvertToDataflow()(module)  # it works on dataflow blocks only
        layers = {binding.value: layer for layer, binding in enumerate_calls(module["main"])}

        def layout_of(call: Call) -> dict[str, list[str]]:
            if call.op.name in _RESIZING:
                return {call.op.name: [str(call.attrs.layout)]}
            operator = _WITH_LAYOUT.get(call.op.name)
            if operator is None:
                return {}
            edit = self.edits.get(layers.get(call, ""))
            if edit is not None:
                return {call.op.name: [edit.data, edit.kernel]}
            return {call.op.name: [str(call.attrs.data_layout), str(call.attrs.kernel_layout)]}

        return _unmarked(relax.transform.ConvertLayout({}, layout_of)(module), names)

    def __str__(self) -> str:
        groups: dict[str, list[str]] = {}
        for layer, edit in self.edits.items():
            groups.setdefault(f"{edit.data}, {edit.kernel}", []).append(layer)
        lines = [f"  {compress(layers)}: {layouts}" for layouts, layers in groups.items()]
        return "\n".join(["relax.transform.ConvertLayout, layout_cb:", *lines, "  every other convolution: as it is"])


@dataclass(frozen=True)
class _Marked:
    """A binding of the module before conversion: its name, and the operator that it calls."""

    name: str
    op: Any


def _marked(module: IRModule) -> tuple[IRModule, dict[str, _Marked]]:
    """The module with names that `ConvertLayout` never makes up itself, and what they stand for.

    A layer is known by its binding's name, and the names that the pass gives to its transposes (`lv`, `lv1`) may be
    those of layers of a module that no frontend of ours has named.
    """
    marks: dict[str, _Marked] = {}
    renames: dict[Any, Any] = {}
    for number, binding in enumerate(bindings_of(module["main"])):
        mark = f"corecast.{number}"
        # Of a layer and its alias, ConvertToDataflow keeps the alias's name; the layer's is the one to put back.
        alias = renames.get(binding.value) if isinstance(binding, relax.VarBinding) else None
        own = _Marked(binding.var.name, getattr(binding.value, "op", None))
        marks[mark] = own if alias is None else marks[alias.name]
        renames[binding.var] = type(binding.var)(mark, binding.var.ty)
    return _with_main(module, renamed(module["main"], renames)), marks


def _unmarked(module: IRModule, marks: Mapping[str, _Marked]) -> IRModule:
    """The converted module with the names of its layers put back, and readable ones for the transposes.

    Where a result has to be transposed back before it leaves the function, `ConvertLayout` gives the layer's name to
    the transpose and a fresh one to the layer; here the layer has its own name, and the transpose is `<name>_result`.
    """
    main = module["main"]
    names = Names([*(var.name for var in main.params), *(mark.name for mark in marks.values())])
    renames: dict[Any, Any] = {}
    for binding in bindings_of(main):
        var, value = binding.var, binding.value
        mark = marks.get(var.name)
        source = value.args[0] if isinstance(value, Call) and value.args else None
        if mark is None:
            base = renames.get(source, source)
            name = names.fresh(f"{base.name}_transposed" if isinstance(base, Var) else var.name)
        elif isinstance(source, Var) and value.op == _TRANSPOSE != mark.op:
            renames[source] = type(source)(mark.name, source.ty)
            name = names.fresh(f"{mark.name}_result")
        else:
            name = mark.name
        renames[var] = type(var)(name, var.ty)
    return _with_main(module, renamed(main, renames))


def _with_main(module: IRModule, main: relax.Function) -> IRModule:
    result = module.clone()
    result.update_func(result.get_global_var("main"), main)
    return result
