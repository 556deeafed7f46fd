"""Numeric proof: the same inputs through two models, measures, bounds, a control and a verdict."""

from corecast.verify.evidence import Evidence, Whole
from corecast.verify.inputs import InputError, check_inputs, inputs_for, seeded_inputs
from corecast.verify.judge import (
    BEYOND_RANGES,
    Judged,
    bounds_of,
    is_forgiving,
    is_quantized,
    judge,
    measured,
    tolerance_of,
)
from corecast.verify.layers import LayerError, compare_layers, layer_errors
from corecast.verify.measure import Comparison, Difference, difference
from corecast.verify.outcome import Measured
from corecast.verify.score import Score, ScoreError, Scorer, by_metric, top1
from corecast.verify.verify import Verification, verify

__all__ = [
    "BEYOND_RANGES",
    "Comparison",
    "Difference",
    "Evidence",
    "InputError",
    "Judged",
    "LayerError",
    "Measured",
    "Score",
    "ScoreError",
    "Scorer",
    "Verification",
    "Whole",
    "bounds_of",
    "by_metric",
    "check_inputs",
    "compare_layers",
    "difference",
    "inputs_for",
    "is_forgiving",
    "is_quantized",
    "judge",
    "layer_errors",
    "measured",
    "seeded_inputs",
    "tolerance_of",
    "top1",
    "verify",
]
