"""A recipe in, one TVM pass out that plans for whatever module reaches it: for pipelines of other toolchains."""

from __future__ import annotations

import tvm
from tvm.ir import IRModule

from corecast.adapters.agreement import RealisedError
from corecast.adapters.passes import module_pass
from corecast.adapters.relax.apply import differences
from corecast.adapters.relax.compile import compile_plan
from corecast.adapters.relax.survey import survey
from corecast.model import Target
from corecast.plan import plan
from corecast.recipe import Recipe


def recipe_pass(recipe: Recipe, target: Target | None = None) -> tvm.transform.Pass:
    """A module pass that surveys, plans and converts the `main` of whatever module reaches it.

    Args:
        recipe: a resolved recipe.
        target: whose capabilities the dtypes are checked against; without one, what the IR can express counts.

    Returns:
        A pass for a `tvm.transform.Sequential`. It raises `PlanError` where the recipe does not fit the module, and
        `RealisedError` where the module that comes out does not have what was decided.
    """
    return RecipePass(recipe, target)


@module_pass("RecipePass")
class RecipePass:
    """Survey, plan, convert."""

    def __init__(self, recipe: Recipe, target: Target | None):
        self.recipe = recipe
        self.target = target

    def transform_module(self, module: IRModule, context: tvm.transform.PassContext) -> IRModule:  # noqa: ARG002
        before = survey(module)
        decided = plan(self.recipe, before, self.target)
        converted = compile_plan(decided).sequential()(module)
        # The context may have switched a pass off, and a plan must be carried out whole.
        if problems := list(differences(decided, before, survey(converted))):
            raise RealisedError(problems)
        return converted

    def __str__(self) -> str:
        return f"corecast.RecipePass: {self.recipe.source.name}"
