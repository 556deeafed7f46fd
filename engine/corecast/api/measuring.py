"""A way to carry plans out in, a measure of plans out: each is compared with the original, which runs once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import inf

import numpy as np
from numpy.typing import NDArray

from corecast.adapters.proof import Compared
from corecast.bisect import Measured
from corecast.lang import CorecastError, Problem
from corecast.plan import Plan
from corecast.verify import difference
from corecast.verify.measure import not_finite

Array = NDArray[np.generic]


class MeasureError(CorecastError):
    """An original that there is nothing to compare with."""


class Measurer:
    """Measures plans. What cannot be carried out, compiled or run has an infinite error, with the reason.

    Attributes:
        compared: what is compared, once something was.
    """

    def __init__(self, carry_out: Callable[[Plan], Compared], seed: int):
        self._carry_out = carry_out
        self._seed = seed
        # Where a plan leaves no softmax to cut before, other outputs of the original are compared.
        self._references: dict[bool, tuple[Mapping[str, Array], Sequence[Array]]] = {}
        self.compared = "outputs"

    def __call__(self, plan: Plan) -> Measured:
        """Measure a plan. Raises `MeasureError` where the original itself gives nothing to compare with."""
        try:
            pair = self._carry_out(plan)
        except Exception as error:
            return _failed(error)
        inputs, reference = self._reference(pair)
        try:
            answers = pair.run_converted(inputs)
            if found := not_finite(answers):
                return Measured(error=inf, reason=found)
            return Measured(error=difference(reference, answers).max_relative)
        except Exception as error:
            return _failed(error)

    def _reference(self, pair: Compared) -> tuple[Mapping[str, Array], Sequence[Array]]:
        if pair.is_cut not in self._references:
            if not self._references:
                self.compared = str(pair)
            inputs = pair.inputs(self._seed)
            outputs = pair.run_original(inputs)
            if found := not_finite(outputs):
                message = f"the original itself gives no numbers to compare with: {found}"
                help = (
                    "`corecast layers MODEL` tells of weights that are no numbers; other inputs have another `--seed`"
                )
                raise MeasureError(Problem("nothing-to-compare", message, help=help))
            self._references[pair.is_cut] = inputs, outputs
        return self._references[pair.is_cut]


def _failed(error: Exception) -> Measured:
    """What a plan comes to that raised; but a request to end is none of its faults, whatever TVM made of it."""
    if any("KeyboardInterrupt" in f"{type(cause).__name__} {cause}" for cause in _causes(error)):
        raise KeyboardInterrupt from error
    if isinstance(error, CorecastError):
        return Measured(error=inf, reason=error.problems[0].message)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return Measured(error=inf, reason=f"{type(error).__name__}: {lines[-1] if lines else 'no message'}")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__
