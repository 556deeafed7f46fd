"""A way to carry plans out in, a measure of plans out: each is compared with the original, which runs once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import inf

import numpy as np
from numpy.typing import NDArray

from corecast.adapters.proof import Compared
from corecast.lang import CorecastError, Problem
from corecast.plan import Plan
from corecast.quantization.files import DataError
from corecast.recipe import Bound
from corecast.verify import Comparison, Evidence, Measured, ScoreError, Scorer, Whole, measured
from corecast.verify.evidence import answers
from corecast.verify.measure import not_finite

Array = NDArray[np.generic]


class MeasureError(CorecastError):
    """An original that there is nothing to compare with."""


class Measurer:
    """Measures plans. What cannot be carried out, compiled or run has an infinite error, with the reason.

    Attributes:
        compared: what is compared, once something was.
    """

    def __init__(
        self,
        carry_out: Callable[[Plan], Compared],
        seed: int,
        *,
        evidence: Evidence | None = None,
        bounds: Sequence[Bound] = (),
    ):
        """Make ready; nothing is run yet.

        Args:
            carry_out: a plan.
            seed: of the inputs, where there is no evidence.
            evidence: what to run on, and what the answers are worth.
            bounds: what is expected; the error is then the largest share that is used up of what one of them allows.
        """
        self._carry_out = carry_out
        self._seed = seed
        self._evidence = evidence
        self._bounds = bounds
        # Where a plan leaves no softmax to cut before, other outputs of the original are compared.
        self._references: dict[bool, tuple[Evidence, list[Sequence[Array]]]] = {}
        self.compared = "outputs"

    def __call__(self, plan: Plan) -> Measured:
        """Measure a plan.

        Raises:
            MeasureError: where the original itself gives nothing to compare with.
            DataError: for data to calibrate on that cannot be had, which is no fault of any plan.
        """
        try:
            pair = self._carry_out(plan)
        except DataError:
            raise
        except Exception as error:
            return _failed(error)
        evidence, reference = self._reference(pair)
        try:
            outputs = [answers(pair.run_converted, batch) for batch in evidence.batches]
            if found := next(filter(None, map(not_finite, outputs)), None):
                return Measured(error=inf, reason=found)
            return self._judged(evidence.scorer, reference, outputs)
        except ScoreError:
            raise
        except Exception as error:
            return _failed(error)

    def _judged(
        self, scorer: Scorer | None, reference: list[Sequence[Array]], outputs: list[Sequence[Array]]
    ) -> Measured:
        comparison = Comparison()
        for one, other in zip(reference, outputs, strict=True):
            comparison.add(one, other)
        found = comparison.difference
        if not self._bounds:
            return Measured(error=found.max_relative, snr_db=found.snr_db)
        values = measured(found, scorer.compare(reference, outputs) if scorer else None)
        if unknown := [bound for bound in self._bounds if bound.metric not in values]:
            message = f"{unknown[0]} cannot be judged by what was given"
            help = "an accuracy takes labels (`--labels`) or a metric between 0 and 1 (`--metric`), and data (`--data`)"
            raise ScoreError(Problem("cannot-judge", message, help=help))
        told = ", ".join(f"{bound.metric} {bound.spell(values[bound.metric])}" for bound in self._bounds)
        return Measured(
            error=max(bound.spent(values[bound.metric]) for bound in self._bounds), told=told, snr_db=found.snr_db
        )

    def _reference(self, pair: Compared) -> tuple[Evidence, list[Sequence[Array]]]:
        if pair.is_cut not in self._references:
            if not self._references:
                self.compared = str(pair)
            evidence = self._evidence or Evidence([Whole(pair.inputs(self._seed))])
            outputs = [answers(pair.run_original, batch) for batch in evidence.batches]
            if found := next(filter(None, map(not_finite, outputs)), None):
                message = f"the original itself gives no numbers to compare with: {found}"
                help = (
                    "`corecast layers MODEL` tells of weights that are no numbers; other inputs have another `--seed`"
                )
                raise MeasureError(Problem("nothing-to-compare", message, help=help))
            self._references[pair.is_cut] = evidence, outputs
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
