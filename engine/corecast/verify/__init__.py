"""Numeric proof: the same seeded inputs through two models, a measure, a tolerance, a control and a verdict."""

from corecast.verify.inputs import InputError, check_inputs, inputs_for, seeded_inputs
from corecast.verify.measure import Difference, difference
from corecast.verify.verify import Verification, tolerance_of, verify

__all__ = [
    "Difference",
    "InputError",
    "Verification",
    "check_inputs",
    "difference",
    "inputs_for",
    "seeded_inputs",
    "tolerance_of",
    "verify",
]
