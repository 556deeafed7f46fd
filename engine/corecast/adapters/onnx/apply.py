"""A plan and a model in, the converted model out, with what was realised read back from its graph.

Nothing is decided here. What was requested and what the resulting graph says must agree at the end, or it is an error.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from corecast.adapters.agreement import Realised, RealisedError, check_plan, objection
from corecast.adapters.onnx.compile import compile_plan
from corecast.adapters.onnx.model import Model
from corecast.adapters.onnx.survey import survey
from corecast.adapters.values import check_values
from corecast.lang.problems import Problem
from corecast.model import LayerTable
from corecast.plan import Plan
from corecast.plan.predict import predict


@dataclass(frozen=True)
class Conversion:
    """A model before and after a plan was carried out, and what its reader should know of its weights."""

    plan: Plan
    original: Model
    converted: Model
    before: LayerTable
    after: LayerTable
    realised: Realised
    warnings: tuple[Problem, ...] = ()


def apply(plan: Plan, model: Model) -> Conversion:
    """Carry out a plan.

    Args:
        plan: made for the layer table of this model.
        model: it is not changed.

    Raises:
        PlanMismatchError: where the plan was made for another model.
        RealisedError: where the resulting graph does not have what was decided.
    """
    before = survey(model)
    check_plan(plan, before)
    converted = compile_plan(plan)(model)
    after = survey(converted)
    warnings = tuple(check_values(model, before, plan))
    return Conversion(plan, model, converted, before, after, realised(plan, before, after), warnings)


def realised(plan: Plan, before: LayerTable, after: LayerTable) -> Realised:
    """Compare a plan with the layers of a converted model. Raises `RealisedError` where they differ."""
    if problems := list(_differences(plan, before, after)):
        raise RealisedError(problems)
    own = {layer.source for layer in before.layers}
    return Realised(
        layers=len(plan.layers),
        layout_transforms=0,
        casts=sum(layer.source not in own for layer in after.by_op.get("astype", ())),
        parameter_bytes=predict(after, {}).parameter_bytes,
    )


def _differences(plan: Plan, before: LayerTable, after: LayerTable) -> Iterator[Problem]:
    converted = {layer.source: layer for layer in after.layers}
    for planned in plan.layers:
        old = before.by_id[planned.id]
        new = converted.get(old.source)
        for decision in filter(None, planned.decisions):
            found = "it is gone" if new is None else objection(decision.edit, old, new)
            if found:
                place = f"({decision.rule}, {decision.place})"
                message = f"{planned.id} (node {old.source}): `{decision.edit}` was decided {place}, {found}"
                yield Problem("not-realised", message, help="this is a fault of corecast; please report it")
