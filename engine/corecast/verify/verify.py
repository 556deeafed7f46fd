"""Three ways to run a model in, a verdict out: does the converted one still give the original's answers?

The third run is the control: the converted model with one layer's weight disturbed. Where what judges does not see
that, it has not seen anything, and the verdict is `vacuous`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from corecast.plan import Plan
from corecast.recipe import Bound
from corecast.verify.evidence import Evidence, Run, answers
from corecast.verify.judge import BEYOND_RANGES, Judged, bounds_of, is_hard_cast, is_quantized, judge, measured
from corecast.verify.layers import LayerError
from corecast.verify.measure import Comparison, Difference, not_finite
from corecast.verify.score import Score

Array = NDArray[np.generic]
Verdict = Literal["pass", "fail", "vacuous", "hard-cast", "cannot-run-here"]


class Verification(BaseModel):
    """The outcome of a numeric check; only `pass` is a pass.

    `hard-cast` says that an integer cast without a scale was measured, never that it is right; `vacuous` that the check
    could not have failed; `cannot-run-here` that one of the models does not run on this machine, or that what the
    recipe expects cannot be measured with what was given, with the reason.

    `tolerance` is given where the recipe expects nothing; `inputs` says what was compared on, where that is no seed;
    `layers` has the error of each layer, the worst first, where that was asked for.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    verdict: Verdict
    reason: str
    seed: int
    tolerance: float | None = None
    compared: str
    inputs: str | None = None
    judged: tuple[Judged, ...] = ()
    error: Difference | None = None
    score: Score | None = None
    control: Difference | None = None
    control_layer: str | None = None
    layers: tuple[LayerError, ...] = ()

    def __str__(self) -> str:
        lines = [f"verdict: {self.verdict} ({self.reason})"]
        lines += [f"  expected    {item} ({item.place})" for item in self.judged if item.place]
        if self.error:
            lines.append(f"  difference  {self.error}")
            lines += [f"  score       {self.score}"] if self.score else []
            lines.append(f"  compared    {self.compared}, {self.inputs or f'inputs of seed {self.seed}'}")
        if self.control:
            scored = f", {self.score.of_control}" if self.score and self.score.control is not None else ""
            lines.append(f"  control     {self.control}{scored}, with {self.control_layer} disturbed")
        return "\n".join(lines)


def verify(
    original: Run,
    converted: Run,
    controls: Mapping[str, Run],
    *,
    evidence: Evidence,
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
        evidence: what all three are given. The outputs for all of it are held in memory.
        plan: what was carried out; what its recipe expects is what is judged by, or a tolerance for what it does.
        seed: where the inputs came from, for the record.
        compared: what the outputs are, for the reader.
        dtypes: the dtypes of the original that the tolerance has to allow for.

    Raises:
        ScoreError: where the scorer of the evidence cannot be asked about these outputs.
    """
    told: dict[str, Any] = {"seed": seed, "compared": compared, "inputs": evidence.told}
    reference = _all(original, evidence)
    if found := _not_finite(reference):
        reason = f"the original itself gives no numbers to compare with: {found}"
        return Verification(verdict="vacuous", reason=reason, **told)
    outputs = _all(converted, evidence)
    if found := _not_finite(outputs):
        reason = f"the original gives numbers, and the converted model does not: {found}"
        return Verification(verdict="fail", reason=reason, **told)
    bounds = bounds_of(plan, dtypes)
    error = _difference(reference, outputs)
    score = evidence.scorer.compare(reference, outputs) if evidence.scorer else None
    judged = judge(bounds, measured(error, score), score)
    control = _control(outputs, evidence, controls, bounds)
    verdict, reason = _verdict(plan, judged, error, control)
    if verdict == "fail" and evidence.told is None and is_quantized(plan):
        reason += f"; {BEYOND_RANGES}"
    return Verification(
        verdict=verdict,
        reason=reason,
        tolerance=next((item.bound for item in bounds if _is_tolerance(plan, item)), None),
        judged=judged,
        error=error,
        score=score.model_copy(update={"control": control.score}) if score and control else score,
        control=control.difference if control else None,
        control_layer=control.layer if control else None,
        **told,
    )


# ── the control ──────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class _Control:
    layer: str
    difference: Difference
    score: float | None
    is_seen: bool


def _control(
    outputs: Sequence[Sequence[Array]], evidence: Evidence, controls: Mapping[str, Run], bounds: Sequence[Bound]
) -> _Control | None:
    """The first control that would be judged otherwise than the converted model; where there is none, the last one."""
    last: _Control | None = None
    for layer, run in controls.items():
        disturbed = _all(run, evidence)
        found = _difference(outputs, disturbed)
        is_broken = _not_finite(disturbed) is not None
        score = evidence.scorer.compare(outputs, disturbed) if evidence.scorer and not is_broken else None
        judged = judge(bounds, measured(found, score), score)
        is_seen = is_broken or any(item.met is False for item in judged) or (not bounds and found.max_relative > 0)
        last = _Control(layer, found, score.converted if score else None, is_seen)
        if is_seen:
            break
    return last


def _all(run: Run, evidence: Evidence) -> list[Sequence[Array]]:
    return [answers(run, batch) for batch in evidence.batches]


def _difference(reference: Sequence[Sequence[Array]], other: Sequence[Sequence[Array]]) -> Difference:
    comparison = Comparison()
    for one, another in zip(reference, other, strict=True):
        comparison.add(one, another)
    return comparison.difference


def _not_finite(batches: Sequence[Sequence[Array]]) -> str | None:
    return next(filter(None, map(not_finite, batches)), None)


# ── the verdict ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _verdict(plan: Plan, judged: Sequence[Judged], error: Difference, control: _Control | None) -> tuple[Verdict, str]:
    if missed := [item for item in judged if item.met is False]:
        return "fail", "; ".join(_missed(plan, item) for item in missed)
    if is_hard_cast(plan):
        return "hard-cast", "integers without a scale: measured, not proven; `quantize` is what keeps answers"
    if unknown := [item for item in judged if item.met is None]:
        return "cannot-run-here", "; ".join(f"{item.bound} is not measured: {item.reason}" for item in unknown)
    if control is None:
        return "vacuous", "no layer with a weight was changed, so nothing could be disturbed to test the check"
    if not control.is_seen:
        changed = f"a disturbed layer changed the outputs by {control.difference.max_relative:.2e} only"
        return "vacuous", f"{changed}, which meets what is expected" if plan.expects else changed
    if _is_tolerance(plan, judged[0].bound):
        return "pass", f"{error.max_relative:.2e} is within the tolerance {judged[0].bound.bound:g}"
    if not plan.expects:
        return "pass", f"{judged[0]}, what is asked of a quantized model whose recipe expects nothing"
    return "pass", "what is expected is met"


def _is_tolerance(plan: Plan, bound: Bound) -> bool:
    return not plan.expects and bound.metric == "max error"


def _missed(plan: Plan, item: Judged) -> str:
    if _is_tolerance(plan, item.bound):
        return f"{item.value:.2e} is more than the tolerance {item.bound.bound:g}"
    value = "infinite" if item.value is None else item.bound.spell(item.value)
    expected = "is expected" if plan.expects else "is asked of a quantized model whose recipe expects nothing"
    return f"{item.bound.metric} is {value}, and {item.bound} {expected}"
