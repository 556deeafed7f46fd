"""A plan and a Relay module in, the converted module out, with what was realised read back from its IR.

Nothing is decided here. What was requested and what the resulting module says must agree at the end, or it is an error.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from tvm import relay
from tvm.ir import IRModule

from corecast.adapters.agreement import Realised, RealisedError, check_plan, objection
from corecast.adapters.relay.compile import compile_plan
from corecast.adapters.relay.model import Model
from corecast.adapters.relay.survey import survey
from corecast.adapters.source import Origin
from corecast.lang.problems import Problem
from corecast.model import Layer, LayerTable
from corecast.plan import Decision, Plan

__all__ = ["Conversion", "Realised", "RealisedError", "apply", "realised"]


@dataclass(frozen=True)
class Conversion:
    """A module before and after a plan was carried out. Its weights are constants in it, and not looked at."""

    plan: Plan
    original: IRModule
    converted: IRModule
    before: LayerTable
    after: LayerTable
    realised: Realised
    origin: Origin | None = None
    warnings: tuple[Problem, ...] = ()


def apply(plan: Plan, module: Model | IRModule | relay.Function) -> Conversion:
    """Carry out a plan.

    Args:
        plan: made for the layer table of this module.
        module: it is not changed. A `Model` also says where it came from.

    Raises:
        PlanMismatchError: where the plan was made for another module.
        LayoutError: where Relay's ConvertLayout cannot convert some layers and leave others.
        RealisedError: where the resulting module does not have what was decided.
    """
    source = module if isinstance(module, Model) else Model(module, plan.model.name)
    original = source.module if isinstance(source.module, IRModule) else IRModule.from_expr(source.module)
    before = survey(original)
    check_plan(plan, before)
    converted = compile_plan(plan).sequential()(original)
    after = survey(converted)
    return Conversion(plan, original, converted, before, after, realised(plan, before, after), source.origin)


def realised(plan: Plan, before: LayerTable, after: LayerTable) -> Realised:
    """Compare a plan with the layers of a converted module. Raises `RealisedError` where they differ."""
    problems = list(_differences(plan, before, after))
    if problems:
        raise RealisedError(problems)
    return Realised(
        layers=len(plan.layers),
        layout_transforms=_count(after, "layout_transform") - _count(before, "layout_transform"),
        casts=_count(after, "astype") - _count(before, "astype"),
    )


def _count(table: LayerTable, op: str) -> int:
    return len(table.by_op.get(op, ()))


def _differences(plan: Plan, before: LayerTable, after: LayerTable) -> Iterator[Problem]:
    converted = _Correspondence(before, after)
    for planned in plan.layers:
        old = before.by_id[planned.id]
        new = converted.layer(old)
        for decision in filter(None, planned.decisions):
            found = "it is gone" if new is None else objection(decision.edit, old, new)
            if found:
                yield _problem(planned.id, decision, found)


def _problem(layer: str, decision: Decision, found: str) -> Problem:
    message = f"{layer}: `{decision.edit}` was decided ({decision.rule}, {decision.place}), {found}"
    return Problem("not-realised", message, help="this is a fault of corecast or TVM; please report it")


class _Correspondence:
    """Which layer of the converted module a layer has become.

    No name survives in Relay, but order does: conversion keeps the calls of an operator in their order and adds none
    but casts and changes of form. Only `bias_add` has become an `add`, among the others.
    """

    def __init__(self, before: LayerTable, after: LayerTable) -> None:
        self._places = {layer.id: place for place, layer in _numbered(before)}
        self._after = dict(_numbered(after))

    def layer(self, old: Layer) -> Layer | None:
        return self._after.get(self._places[old.id])


def _numbered(table: LayerTable) -> Iterator[tuple[tuple[str, int], Layer]]:
    """The layers by operator and ordinal, with `bias_add` counted as the `add` that it becomes."""
    seen: Counter[str] = Counter()
    for layer in table.layers:
        op = "add" if layer.op == "nn.bias_add" else layer.op
        yield (op, seen[op]), layer
        seen[op] += 1
