"""Layout decisions in, `relay.transform.ConvertLayout` under a `relay.transform.LayoutConfig` out.

Relay's pass takes one pair of layouts for an operator and asks a `LayoutConfig`, convolution by convolution, whether to
leave this one alone. So each pair of layouts is a run of its own, under a fresh configuration (it counts, and nothing
ever sets it back) that names every convolution of other wishes. No other operator asks: all of its layers or none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import tvm
from tvm import relay
from tvm.ir import IRModule, Op

from corecast.adapters.origin import SKIPPABLE
from corecast.adapters.passes import module_pass
from corecast.adapters.relay.passes import with_functions, with_main
from corecast.adapters.relay.survey import enumerate_calls
from corecast.lang.problems import CorecastError, Problem
from corecast.plan.ids import compress
from corecast.recipe import ChangeLayout


class LayoutError(CorecastError):
    """Layouts that Relay's ConvertLayout cannot give to some layers and not to others."""


@module_pass("ConvertLayout")
class ConvertLayout:
    """Give each planned convolution its layouts, and leave every other one as it is."""

    def __init__(self, edits: Mapping[str, ChangeLayout]):
        self.edits = edits

    def transform_module(self, module: IRModule, context: tvm.transform.PassContext) -> IRModule:  # noqa: ARG002
        others = {var: function for var, function in module.functions.items() if var.name_hint != "main"}
        module = _aside(module)
        # What Relay's pass requires, and gets only in a Sequential; with a `bias_add` in the way it would convert back.
        module = relay.transform.CanonicalizeOps()(relay.transform.InferType()(module))
        for op, layouts in _runs(self.edits):
            module = self._run(relay.transform.InferType()(module), op, layouts)
        module = relay.transform.InferType()(module)
        return with_functions(module, {**others, module.get_global_var("main"): module["main"]})

    def _run(self, module: IRModule, op: str, layouts: tuple[str, str]) -> IRModule:
        converted, others = self._divided(module, op, layouts)
        if others and op != SKIPPABLE:
            raise _cannot_skip(op, others)
        skip_layers = [] if op != SKIPPABLE else _skip_layers(module["main"], converted)
        with relay.transform.LayoutConfig(skip_layers=skip_layers):
            return relay.transform.ConvertLayout({op: list(layouts)})(module)

    def _divided(self, module: IRModule, op: str, layouts: tuple[str, str]) -> tuple[set[Any], list[str]]:
        """The calls of an operator that get these layouts, and the ids of those that do not."""
        converted, others = set(), []
        for layer, call in enumerate_calls(module["main"]):
            if isinstance(call.op, Op) and call.op.name == op:
                if layer in self.edits and _pair(self.edits[layer]) == layouts:
                    converted.add(call)
                else:
                    others.append(layer)
        return converted, others

    def __str__(self) -> str:
        groups: dict[tuple[str, str], list[str]] = {}
        for layer, edit in self.edits.items():
            groups.setdefault(_pair(edit), []).append(layer)
        lines = [f"  {compress(layers)}: {data}, {kernel}" for (data, kernel), layers in groups.items()]
        head = "relay.transform.ConvertLayout, within a relay.transform.LayoutConfig:"
        return "\n".join([head, *lines, f"  every other {SKIPPABLE}: skipped"])


def _pair(edit: ChangeLayout) -> tuple[str, str]:
    return edit.data, edit.kernel


def _runs(edits: Mapping[str, ChangeLayout]) -> Iterator[tuple[str, tuple[str, str]]]:
    """Each operator with each pair of layouts that some layer of it gets."""
    yield from dict.fromkeys((layer.rpartition("#")[0], _pair(edit)) for layer, edit in edits.items())


def _skip_layers(main: relay.Function, converted: set[Any]) -> list[int]:
    """The numbers that ConvertLayout will count to at the convolutions that are not to be converted.

    It enters functions that are written out inside `main`; their convolutions are no layers of ours, and are skipped.
    """
    visited: list[Any] = []
    relay.analysis.post_order_visit(main, lambda node: visited.append(node) if _is_convolution(node) else None)
    return [number for number, call in enumerate(visited) if call not in converted]


def _is_convolution(node: Any) -> bool:
    return isinstance(node, relay.Call) and isinstance(node.op, Op) and node.op.name == SKIPPABLE


def _aside(module: IRModule) -> IRModule:
    """The module with every function but `main` marked so that Relay's passes leave it, and its counter, alone."""
    mark = tvm.tir.IntImm("int32", 1)
    functions = {
        var: function.with_attr("SkipOptimization", mark) if isinstance(function, relay.Function) else function
        for var, function in module.functions.items()
    }
    return with_main(with_functions(module, functions), module["main"])


def _cannot_skip(op: str, others: list[str]) -> LayoutError:
    message = f"Relay's ConvertLayout converts every {op} or none, and {compress(others)} would not be converted alike"
    help = f"give all of them one layout; of {SKIPPABLE} alone it can leave some out"
    return LayoutError(Problem("relay-cannot-skip", message, help=help))
