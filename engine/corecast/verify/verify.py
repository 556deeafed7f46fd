"""Three ways to run a model in, a verdict out: does the converted one still give the original's answers?

The third run is the control: the converted model with one layer's weight disturbed. Where the comparison does not see
that, it has not seen anything, and the verdict is `vacuous`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from corecast.plan import Plan
from corecast.recipe import ChangeDType
from corecast.verify.measure import Difference, difference, not_finite

Array = NDArray[np.generic]
Run = Callable[[Mapping[str, Array]], Sequence[Array]]
Verdict = Literal["pass", "fail", "vacuous", "hard-cast", "cannot-run-here"]

# The largest difference, relative to the largest output, that a recipe may make. Another order of summation alone costs
# about 1e-6 in a deep network; a cast costs half a unit in the last place of its dtype at each layer, which random
# weights neither amplify nor average away.
LAYOUT_TOLERANCE = 1e-4
CAST_TOLERANCES = {
    "float64": 1e-4,
    "float32": 1e-4,
    "float16": 1e-2,
    "bfloat16": 8e-2,
    "float8_e4m3fn": 0.15,
    "float8_e5m2": 0.3,
}


class Verification(BaseModel):
    """The outcome of a numeric check; only `pass` is a pass.

    `hard-cast` says that an integer cast without a scale was measured, never that it is right; `vacuous` that the check
    could not have failed; `cannot-run-here` that one of the models does not run on this machine, with the reason.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    verdict: Verdict
    reason: str
    seed: int
    tolerance: float | None = None
    compared: str
    error: Difference | None = None
    control: Difference | None = None
    control_layer: str | None = None

    def __str__(self) -> str:
        lines = [f"verdict: {self.verdict} ({self.reason})"]
        if self.error:
            lines.append(f"  difference  {self.error}")
            lines.append(f"  compared    {self.compared}, inputs of seed {self.seed}")
        if self.control:
            lines.append(f"  control     {self.control}, with {self.control_layer} disturbed")
        return "\n".join(lines)


def tolerance_of(plan: Plan, dtypes: Iterable[str] = ()) -> float | None:
    """The difference that a plan may make, or None where it casts to integers and no bound can be stated.

    `dtypes` are those that the model had before: where it rounded, another order of summation may round otherwise.
    """
    edits = [edit for edit in plan.decided("dtype").values() if isinstance(edit, ChangeDType)]
    if any(edit.dtype not in CAST_TOLERANCES for edit in edits):
        return None
    used = {*dtypes, *(dtype for edit in edits for dtype in (edit.dtype, edit.accumulator))}
    return max((CAST_TOLERANCES.get(dtype, LAYOUT_TOLERANCE) for dtype in used), default=LAYOUT_TOLERANCE)


def verify(
    original: Run,
    converted: Run,
    controls: Mapping[str, Run],
    *,
    inputs: Mapping[str, Array],
    plan: Plan,
    seed: int,
    compared: str,
    dtypes: Iterable[str] = (),
) -> Verification:
    """Run the original, the converted and the disturbed model on the same inputs, and judge.

    Args:
        original, converted: from named inputs to outputs of equal shapes.
        controls: the converted model with the weight of one layer disturbed, by layer; run until one is seen. There is
            none where the plan changes no layer with a weight.
        inputs: what all three are given.
        plan: what was carried out; it sets the tolerance.
        seed: where the inputs came from, for the record.
        compared: what the outputs are, for the reader.
        dtypes: the dtypes of the original that the tolerance has to allow for.
    """
    reference = original(inputs)
    if found := not_finite(reference):
        reason = f"the original itself gives no numbers to compare with: {found}"
        return Verification(verdict="vacuous", reason=reason, seed=seed, compared=compared)
    answers = converted(inputs)
    if found := not_finite(answers):
        reason = f"the original gives numbers, and the converted model does not: {found}"
        return Verification(verdict="fail", reason=reason, seed=seed, compared=compared)
    error = difference(reference, answers)
    tolerance = tolerance_of(plan, dtypes)
    seen, layer = _seen(answers, inputs, controls, tolerance)
    verdict, reason = _judge(error, seen, tolerance)
    return Verification(
        verdict=verdict,
        reason=reason,
        seed=seed,
        tolerance=tolerance,
        compared=compared,
        error=error,
        control=seen,
        control_layer=layer,
    )


def _seen(
    answers: Sequence[Array], inputs: Mapping[str, Array], controls: Mapping[str, Run], tolerance: float | None
) -> tuple[Difference | None, str | None]:
    """The first control that the comparison sees; where it sees none, the last one."""
    last: tuple[Difference | None, str | None] = None, None
    for layer, control in controls.items():
        seen = difference(answers, control(inputs))
        last = seen, layer
        if seen.max_relative > (tolerance or 0):
            break
    return last


def _judge(error: Difference, control: Difference | None, tolerance: float | None) -> tuple[Verdict, str]:
    if tolerance is None:
        return "hard-cast", "integers without a scale: measured, not proven; `quantize` is what keeps answers"
    if not error.max_relative <= tolerance:
        return "fail", f"{error.max_relative:.2e} is more than the tolerance {tolerance:g}"
    if control is None:
        return "vacuous", "no layer with a weight was changed, so nothing could be disturbed to test the check"
    if not control.max_relative > tolerance:
        return "vacuous", f"a disturbed layer changed the outputs by {control.max_relative:.2e} only"
    return "pass", f"{error.max_relative:.2e} is within the tolerance {tolerance:g}"
