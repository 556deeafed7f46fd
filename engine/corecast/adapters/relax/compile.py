"""A plan in, TVM passes out: what an engineer would have written by hand for this model and these rules.

The passes run in a `tvm.transform.Sequential` among TVM's own. They touch the module alone: what they do to weights
stays in it as `permute_dims` and `astype` of parameters, until `fold` (or TVM's constant folding) computes it.
"""

from __future__ import annotations

import tvm
from tvm.ir import IRModule

from corecast.adapters.agreement import PlanMismatchError, check_plan
from corecast.adapters.passes import Passes
from corecast.adapters.relax.cleanup import Cleanup
from corecast.adapters.relax.layout import ConvertLayout
from corecast.adapters.relax.pad import PadAxes
from corecast.adapters.relax.passes import module_pass
from corecast.adapters.relax.quantize import Quantize
from corecast.adapters.relax.recast import Recast
from corecast.adapters.relax.survey import survey
from corecast.model import PADDED_AXES
from corecast.plan import Plan
from corecast.quantization import Quantization
from corecast.recipe import ChangeDType, ChangeLayout, Pad
from corecast.recipe import Quantize as QuantizeEdit

__all__ = ["CheckPlan", "Passes", "PlanMismatchError", "check_plan", "compile_plan"]


def compile_plan(plan: Plan, quantization: Quantization | None = None) -> Passes:
    """Compile a plan into passes for the prepared module that it was made for.

    Args:
        plan: what was decided.
        quantization: the scales of what it quantizes; without them the passes can be looked at, and not be run.

    One of them raises `PlanMismatchError` when it meets another module, or `CalibrationError` where it has no scales.
    """
    passes: list[tvm.transform.Pass] = [CheckPlan(plan)]
    if any(isinstance(edit, Pad) for name in PADDED_AXES for edit in plan.decided(name).values()):
        passes.append(PadAxes({layer.id: layer for layer in plan.layers if layer.channels or layer.batch}))
    if layouts := {key: edit for key, edit in plan.decided("layout").items() if isinstance(edit, ChangeLayout)}:
        passes.append(ConvertLayout(layouts))
    if dtypes := {key: edit for key, edit in plan.decided("dtype").items() if isinstance(edit, ChangeDType)}:
        passes.append(Recast(dtypes))
    if quantized := {key: edit for key, edit in plan.decided("dtype").items() if isinstance(edit, QuantizeEdit)}:
        passes.append(Quantize(quantized, quantization))
    return Passes((*passes, Cleanup()))


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
