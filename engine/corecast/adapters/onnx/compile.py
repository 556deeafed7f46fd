"""A plan in, the passes that carry it out on an ONNX model out: what an engineer would have written by hand for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce

from corecast.adapters.agreement import check_plan
from corecast.adapters.door import Pass
from corecast.adapters.onnx.model import Model
from corecast.adapters.onnx.quantize import Quantize
from corecast.adapters.onnx.recast import Recast
from corecast.adapters.onnx.survey import survey
from corecast.plan import Plan
from corecast.quantization import Quantization
from corecast.recipe import ChangeDType
from corecast.recipe import Quantize as QuantizeEdit


@dataclass(frozen=True)
class Passes:
    """The passes of a plan in order; each prints what it does."""

    passes: tuple[Pass[Model], ...]

    def __iter__(self) -> Iterator[Pass[Model]]:
        return iter(self.passes)

    def __str__(self) -> str:
        return "\n".join(map(str, self.passes))

    def __call__(self, model: Model) -> Model:
        """All of them, one after another."""
        return reduce(lambda done, step: step(done), self.passes, model)


def compile_plan(plan: Plan, quantization: Quantization | None = None) -> Passes:
    """Compile a plan into passes for the model that it was made for.

    Args:
        plan: what was decided.
        quantization: the scales of what it quantizes; without them the passes can be looked at, and not be run.

    One of them raises `PlanMismatchError` when it meets another model, or `CalibrationError` where it has no scales.
    """
    passes: list[Pass[Model]] = [CheckPlan(plan)]
    dtypes = plan.decided("dtype")
    if any(isinstance(edit, ChangeDType) for edit in dtypes.values()):
        passes.append(Recast(dtypes))
    if edits := {key: edit for key, edit in dtypes.items() if isinstance(edit, QuantizeEdit)}:
        passes.append(Quantize(edits, quantization))
    return Passes(tuple(passes))


class CheckPlan:
    """Refuse a model whose planned layers are not the ones that the plan names."""

    name = "corecast.CheckPlan"

    def __init__(self, plan: Plan):
        self.plan = plan

    def __call__(self, model: Model) -> Model:
        check_plan(self.plan, survey(model))
        return model

    def __str__(self) -> str:
        return f"{self.name}: {len(self.plan.layers)} layers of {self.plan.model.name}"
