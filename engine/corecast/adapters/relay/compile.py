"""A plan in, TVM passes out: what an engineer would have written by hand for this Relay module and these rules.

The passes run in a `tvm.transform.Sequential` among TVM's own. Dtypes come first: `ConvertLayout` writes `bias_add` as
`add` and so renumbers additions, while casts renumber nothing that a plan can name.
"""

from __future__ import annotations

import tvm
from tvm.ir import IRModule

from corecast.adapters.agreement import PlanMismatchError, check_plan, refuse_padded, refuse_quantized
from corecast.adapters.passes import Passes, module_pass
from corecast.adapters.relay.layout import ConvertLayout
from corecast.adapters.relay.recast import Recast
from corecast.adapters.relay.survey import survey
from corecast.plan import Plan
from corecast.recipe import ChangeDType, ChangeLayout

__all__ = ["CheckPlan", "Passes", "PlanMismatchError", "check_plan", "compile_plan"]


def compile_plan(plan: Plan) -> Passes:
    """Compile a plan into passes for the module that it was made for.

    Raises `PlanMismatchError` when one of them meets another module, and `LayoutError` when one meets layers that
    Relay's ConvertLayout cannot tell apart. Raises `UnsupportedError` where the plan quantizes or pads.
    """
    refuse_quantized(plan, "relay")
    refuse_padded(plan, "relay")
    passes: list[tvm.transform.Pass] = [CheckPlan(plan)]
    if dtypes := {key: edit for key, edit in plan.decided("dtype").items() if isinstance(edit, ChangeDType)}:
        passes.append(Recast(dtypes))
    if layouts := {key: edit for key, edit in plan.decided("layout").items() if isinstance(edit, ChangeLayout)}:
        passes.append(ConvertLayout(layouts))
    return Passes(tuple(passes))


@module_pass("CheckPlan")
class CheckPlan:
    """Refuse a module whose planned layers are not the ones that the plan names."""

    def __init__(self, plan: Plan):
        self.plan = plan

    def transform_module(self, module: IRModule, context: tvm.transform.PassContext) -> IRModule:  # noqa: ARG002
        check_plan(self.plan, survey(module))
        return module

    def __str__(self) -> str:
        return f"corecast.CheckPlan: {len(self.plan.layers)} layers of {self.plan.model.name}"
