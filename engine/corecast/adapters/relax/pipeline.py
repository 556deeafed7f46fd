"""A recipe in, one TVM pass out that plans for whatever module reaches it: for pipelines of other toolchains."""

from __future__ import annotations

import tvm
from tvm.ir import IRModule

from corecast.adapters.relax.apply import realised
from corecast.adapters.relax.compile import compile_plan
from corecast.adapters.relax.passes import module_pass
from corecast.adapters.relax.survey import survey
from corecast.lang import CorecastError, Problem
from corecast.model import Target
from corecast.model.collector import collecting_seldom
from corecast.plan import compress, plan
from corecast.quantization import CalibrationError
from corecast.recipe import Quantize, Recipe


def recipe_pass(recipe: Recipe, target: Target | None = None) -> tvm.transform.Pass:
    """A module pass that surveys, plans and converts the `main` of whatever module reaches it.

    Args:
        recipe: a resolved recipe.
        target: whose capabilities the dtypes are checked against; without one, what the IR can express counts.

    Returns:
        A pass for a `tvm.transform.Sequential` or a build pipeline. It raises `PlanError` where the recipe does not fit
        the module, `CalibrationError` where it quantizes, `DisabledPassError` where the `PassContext` has switched off
        what the recipe needs, and `RealisedError` where the module that comes out does not have what was decided.
    """
    return RecipePass(recipe, target)


class DisabledPassError(CorecastError):
    """A pass of ours that the `PassContext` switches off: a plan is carried out whole or not at all."""


@module_pass("RecipePass")
class RecipePass:
    """Survey, plan, convert."""

    def __init__(self, recipe: Recipe, target: Target | None):
        self.recipe = recipe
        self.target = target

    @collecting_seldom()
    def transform_module(self, module: IRModule, context: tvm.transform.PassContext) -> IRModule:
        before = survey(module)
        decided = plan(self.recipe, before, self.target)
        if quantized := [key for key, edit in decided.decided("dtype").items() if isinstance(edit, Quantize)]:
            message = f"{self.recipe.source.name} quantizes {compress(quantized)}, and a pass that plans has no scales"
            help = "calibrate and `apply` the plan, or run the passes of `compile_plan(plan, quantization)`"
            raise CalibrationError(Problem("no-calibration", message, help=help))
        passes = compile_plan(decided)
        if off := {step.info.name for step in passes}.intersection(context.disabled_pass):
            message = f"the PassContext disables {', '.join(sorted(off))}, which {self.recipe.source.name} needs"
            help = "take it out of `disabled_pass`; to leave the recipe out, disable corecast.RecipePass"
            raise DisabledPassError(Problem("disabled-pass", message, help=help))
        converted = passes.sequential()(module)
        realised(decided, before, survey(converted))
        return converted

    def __str__(self) -> str:
        return f"corecast.RecipePass: {self.recipe.source.name}"
