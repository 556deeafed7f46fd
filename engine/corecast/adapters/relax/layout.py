"""Layout decisions in, one `ConvertLayout` out, whose callback answers from the plan for every convolution.

An empty answer would not keep a layer: `ConvertLayout` then lets the producer's layout flow in. So every convolution
that the plan does not change is pinned to the layouts that it has.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tvm
from tvm import relax
from tvm.ir import Call, IRModule, Var

from corecast.adapters.relax.passes import module_pass
from corecast.adapters.relax.rebuild import bindings_of, renamed
from corecast.adapters.relax.survey import enumerate_calls
from corecast.model import WEIGHTED
from corecast.plan.ids import compress
from corecast.recipe import ChangeLayout

_WITH_LAYOUT = {f"relax.{name}": operator for name, operator in WEIGHTED.items() if operator.has_layout}


@module_pass("ConvertLayout")
class ConvertLayout:
    """Give each planned convolution its layouts, and pin every other one to its own."""

    def __init__(self, edits: Mapping[str, ChangeLayout]):
        self.edits = edits

    def transform_module(self, module: IRModule, context: tvm.transform.PassContext) -> IRModule:  # noqa: ARG002
        layers = {binding.value: layer for layer, binding in enumerate_calls(module["main"])}

        def layout_of(call: Call) -> dict[str, list[str]]:
            operator = _WITH_LAYOUT.get(call.op.name)
            if operator is None:
                return {}
            edit = self.edits.get(layers.get(call, ""))
            if edit is not None:
                return {call.op.name: [edit.data, edit.kernel]}
            return {call.op.name: [str(call.attrs.data_layout), str(call.attrs.kernel_layout)]}

        # It works on dataflow blocks only.
        module = relax.transform.ConvertToDataflow()(module)
        converted = relax.transform.ConvertLayout({}, layout_of)(module)
        return _with_results_named(
            converted, {binding.var.name: binding.value for binding in bindings_of(module["main"])}
        )

    def __str__(self) -> str:
        groups: dict[str, list[str]] = {}
        for layer, edit in self.edits.items():
            groups.setdefault(f"{edit.data}, {edit.kernel}", []).append(layer)
        lines = [f"  {compress(layers)}: {layouts}" for layouts, layers in groups.items()]
        return "\n".join(["relax.transform.ConvertLayout, layout_cb:", *lines, "  every other convolution: as it is"])


def _with_results_named(module: IRModule, values: Mapping[str, Any]) -> IRModule:
    """Give a layer whose result leaves the function its name back.

    `ConvertLayout` keeps the names of bindings, but where a result has to be transposed back, the transpose takes the
    name and the layer gets a fresh one. A layer is known by its name, so the transpose is called `<name>_result`.
    """
    main = module["main"]
    names: dict[Any, Any] = {}
    for binding in bindings_of(main):
        value, old = binding.value, values.get(binding.var.name)
        is_transposed = isinstance(value, Call) and isinstance(old, Call) and value.op != old.op
        if is_transposed and isinstance(value.args[0], Var):
            layer = value.args[0]
            names[layer] = type(layer)(binding.var.name, layer.ty)
            names[binding.var] = type(binding.var)(f"{binding.var.name}_result", binding.var.ty)
    if not names:
        return module
    result = module.clone()
    result.update_func(result.get_global_var("main"), renamed(main, names))
    return result
