"""Bounds and what was measured in, what each of them comes to out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import isfinite

from pydantic import BaseModel, ConfigDict

from corecast.plan import Plan
from corecast.plan.plan import Expected, place_text
from corecast.recipe import Bound, ChangeDType, Quantize
from corecast.verify.measure import Difference
from corecast.verify.score import Score

# The largest difference, relative to the largest output, that a recipe may make where it does not say what it expects.
# Another order of summation alone costs about 1e-6 in a deep network; a cast costs half a unit in the last place of its
# dtype at each layer, which random weights neither amplify nor average away.
LAYOUT_TOLERANCE = 1e-4
CAST_TOLERANCES = {
    "float64": 1e-4,
    "float32": 1e-4,
    "float16": 1e-2,
    "bfloat16": 8e-2,
    "float8_e4m3fn": 0.15,
    "float8_e5m2": 0.3,
}

# Eight bits hold a signal of 50 dB at best, and each layer of a network rounds once more; what is left of it depends on
# the network far more than on the rounding. Below this, answers have been seen to change.
QUANTIZED = Bound(metric="cosine", bound=0.99)


class Judged(BaseModel):
    """A bound, and what the answers come to by it.

    `met` is None where the metric was not measured, with the reason; `value` and `spent`, the share of what is allowed
    that it uses up, are None there too, and where they are infinite. `place` is where the recipe states the bound, None
    where it is a default.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    bound: Bound
    value: float | None = None
    spent: float | None = None
    met: bool | None = None
    reason: str | None = None
    place: str | None = None

    def __str__(self) -> str:
        if self.met is None:
            return f"{self.bound}: not measured"
        return f"{self.bound}: {'infinite' if self.value is None else self.bound.spell(self.value)}"


def tolerance_of(plan: Plan, dtypes: Iterable[str] = ()) -> float | None:
    """The largest relative difference that a plan may make, where its recipe does not say what it expects.

    None where it casts to integers and no bound can be stated. `dtypes` are those that the model had before: where it
    rounded, another order of summation may round otherwise.
    """
    edits = [edit for edit in plan.decided("dtype").values() if isinstance(edit, ChangeDType)]
    if any(edit.dtype not in CAST_TOLERANCES for edit in edits):
        return None
    used = {*dtypes, *(dtype for edit in edits for dtype in (edit.dtype, edit.accumulator))}
    return max((CAST_TOLERANCES.get(dtype, LAYOUT_TOLERANCE) for dtype in used), default=LAYOUT_TOLERANCE)


def is_hard_cast(plan: Plan) -> bool:
    """Whether a plan casts to integers without a scale, which no expectation makes right."""
    return tolerance_of(plan) is None


BEYOND_RANGES = "seeded inputs may lie beyond the ranges of real data: judge it on such, with `--data DIR`"
"""What is told of a quantized model that loses on inputs that nobody calibrated on."""


def is_quantized(plan: Plan) -> bool:
    """Whether a plan computes on integers with scales, which are those of real data."""
    return any(isinstance(edit, Quantize) for edit in plan.decided("dtype").values())


def bounds_of(plan: Plan, dtypes: Iterable[str] = ()) -> tuple[Bound, ...]:
    """What the answers of a plan are judged by: what its recipe expects, else a bound for what it does.

    That is `QUANTIZED` where it quantizes a layer, else a tolerance. Empty where it expects nothing and casts to
    integers without a scale.
    """
    if plan.expects:
        return plan.expects
    tolerance = tolerance_of(plan, dtypes)
    if tolerance is not None and is_quantized(plan):
        return (QUANTIZED,)
    return () if tolerance is None else (Bound(metric="max error", bound=tolerance),)


def is_forgiving(plan: Plan) -> bool:
    """Whether a plan is judged by bounds that may be met with one of its layers disturbed."""
    return any(bound.metric != "max error" for bound in bounds_of(plan))


def measured(difference: Difference, score: Score | None) -> dict[str, float]:
    """The value of each metric that is known; a score that is no share is no accuracy."""
    values = {"cosine": difference.cosine, "snr": difference.snr_db, "max error": difference.max_relative}
    if score:
        drop = score.original - score.converted
        values["metric drop"] = drop
        if score.is_share:
            values |= {"accuracy": score.converted, "accuracy drop": drop}
    return values


def judge(bounds: Iterable[Bound], values: Mapping[str, float], score: Score | None) -> tuple[Judged, ...]:
    """What each bound comes to."""
    return tuple(_judged(bound, values.get(bound.metric), score) for bound in bounds)


def _judged(bound: Bound, value: float | None, score: Score | None) -> Judged:
    place = place_text(bound.line, bound.file) if isinstance(bound, Expected) else None
    bare = Bound(metric=bound.metric, bound=bound.bound)
    if value is None:
        return Judged(bound=bare, reason=_why_not(score), place=place)
    spent = bound.spent(value)
    return Judged(bound=bare, value=_finite(value), spent=_finite(spent), met=bound.met(value), place=place)


def _finite(value: float) -> float | None:
    return value if isfinite(value) else None


def _why_not(score: Score | None) -> str:
    if score is None:
        return "it takes labels (`--labels`) or a function (`--metric`), and their data (`--data`)"
    return (
        f"{score.name} gives {score.original:.6g}, and an accuracy lies between 0 and 1: expect `metric drop` instead"
    )
