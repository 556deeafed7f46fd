"""Axis orders carried through a function: what runs in which order, and what has to be transposed."""

from corecast.plan.carry.carried import Carried, Read, Run, Transpose, carry, own_transposes
from corecast.plan.carry.wiring import Value

__all__ = ["Carried", "Read", "Run", "Transpose", "Value", "carry", "own_transposes"]
