"""A plan and a prepared model in, the converted model out, with what was realised read back from its IR.

Nothing is decided here. What was requested and what the resulting module says must agree at the end, or it is an error.
"""

from __future__ import annotations

from typing import TypeAlias

from corecast.adapters import door
from corecast.adapters.agreement import Realised, check_plan
from corecast.adapters.relax.cleanup import MERGED
from corecast.adapters.relax.compile import CheckPlan, compile_plan
from corecast.adapters.relax.fold import fold
from corecast.adapters.relax.model import Array, Model
from corecast.adapters.relax.survey import survey
from corecast.adapters.values import check_values
from corecast.model import LayerTable, dtype_bits
from corecast.model.collector import collecting_seldom
from corecast.plan import OnProgress, Plan, Steps
from corecast.plan.integers import integers
from corecast.quantization import Calibration, Quantization

Conversion: TypeAlias = door.Conversion[Model]


@collecting_seldom()
def apply(
    plan: Plan, prepared: Model, calibration: Calibration | None = None, *, progress: OnProgress | None = None
) -> Conversion:
    """Carry out a plan.

    Args:
        plan: made for the layer table of `prepared`.
        prepared: what `prepare` returned; it is not changed.
        calibration: the ranges of the values that a plan needs which quantizes.
        progress: called before each pass and each look at the result; it may raise, which ends the conversion.

    Raises:
        PlanMismatchError: where the plan was made for another model.
        CalibrationError: where the calibration was, or lacks a range, or a weight cannot be quantized.
        RealisedError: where the resulting module does not have what was decided.
    """
    begin = Steps(len([*compile_plan(plan)]) + 2, progress)
    begin("survey")
    before = survey(prepared)
    check_plan(plan, before)
    regions = integers(before, plan.decided("dtype"))
    quantization = Quantization.of(regions, calibration, prepared.parameters) if regions.roles else None
    passes = [step for step in compile_plan(plan, quantization) if not isinstance(step, CheckPlan)]
    module = prepared.module
    for step in passes:
        begin(step.info.name)
        module = step(module)
    begin("fold weights")
    converted = fold(prepared.with_main(module["main"], prepared.parameters))
    begin("read back")
    after = survey(converted)
    found = realised(plan, before, after)
    parameter_bytes = sum(_bytes(array) for array in converted.parameters.values())
    found = found.model_copy(update={"parameter_bytes": parameter_bytes})
    warnings = tuple(check_values(prepared, before, plan))
    return Conversion(plan, prepared, converted, before, after, found, warnings)


def realised(plan: Plan, before: LayerTable, after: LayerTable) -> Realised:
    """Compare a plan with the layers of a converted module. Raises `RealisedError` where they differ."""
    # Converting renumbers no operator but the transposes and casts that it adds; a binding's name it never changes.
    return door.realised(plan, before, after, MERGED)


def _bytes(array: Array) -> int:
    """The size with sub-byte elements packed, as a device holds them."""
    return (array.size * dtype_bits(str(array.dtype)) + 7) // 8
