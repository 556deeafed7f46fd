"""A plan in, what it changes about each layer out; and plans without some of that."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from corecast.plan import Decision, Plan, PlannedLayer
from corecast.recipe import ChangeDType, ChangeLayout, Keep, Pad, Property, Quantize
from corecast.verify.judge import CAST_TOLERANCES

EXCEPTIONS = "measured_exceptions"
"""The rule that leaves layers as they were."""


class Change(NamedTuple):
    """A property of a layer that a plan changes in the model. Schedules are no part of it yet."""

    layer: str
    property: Property


def changes(plan: Plan) -> dict[Change, Decision]:
    """What a plan changes, by the rules and requests that ask for it, each in the order of the layers."""
    order = {outcome.rule: number for number, outcome in enumerate(plan.rules)}
    found = {
        Change(layer.id, decision.edit.property): decision
        for layer in plan.layers
        for decision in layer.decisions
        if decision and isinstance(decision.edit, ChangeLayout | ChangeDType | Quantize | Pad)
    }
    return dict(sorted(found.items(), key=lambda item: (order.get(item[1].rule, -1), item[1].line)))


def without(plan: Plan, left_out: Collection[Change]) -> Plan:
    """The plan with these properties pinned to what the model had, as a last rule with `keep` would have it.

    What the plan says of rules and costs stays that of the whole.
    """
    names: Mapping[str, set[Property]] = {layer: set() for layer, _ in left_out}
    for layer, name in left_out:
        names[layer].add(name)
    layers = tuple(_keeping(layer, names[layer.id]) if layer.id in names else layer for layer in plan.layers)
    # Not a copy, which would know its layers by id as they were.
    return Plan.model_construct(**{**dict(plan), "layers": layers})


def _keeping(layer: PlannedLayer, names: Collection[Property]) -> PlannedLayer:
    kept: dict[str, Any] = {name: Decision(edit=Keep(property=name), rule=EXCEPTIONS, line=0) for name in names}
    return replace(layer, **kept)


def hard_casts(found: Mapping[Change, Decision]) -> list[Change]:
    """The changes to integers without a scale, for which no tolerance can be stated."""
    return [
        change
        for change, decision in found.items()
        if isinstance(decision.edit, ChangeDType) and decision.edit.dtype not in CAST_TOLERANCES
    ]
