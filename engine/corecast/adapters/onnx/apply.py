"""A plan and a model in, the converted model out, with what was realised read back from its graph.

Nothing is decided here. What was requested and what the resulting graph says must agree at the end, or it is an error.
"""

from __future__ import annotations

from typing import TypeAlias

from corecast.adapters import door
from corecast.adapters.agreement import check_plan
from corecast.adapters.onnx.compile import compile_plan
from corecast.adapters.onnx.model import Model
from corecast.adapters.onnx.survey import survey
from corecast.adapters.values import check_values
from corecast.plan import Plan

Conversion: TypeAlias = door.Conversion[Model]


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
    realised = door.realised(plan, before, after)
    return Conversion(plan, model, converted, before, after, realised, warnings, model.origin)
