"""Two sets of outputs in, their differences as numbers out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, log10, sqrt
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict, WithJsonSchema

Array = NDArray[np.generic]


# JSON has no infinity: it is written as null, and read back from it.
Extended = Annotated[
    float,
    BeforeValidator(lambda value: inf if value is None else value),
    WithJsonSchema({"type": ["number", "null"]}),
]


class Difference(BaseModel):
    """How far outputs lie from a reference.

    `max_relative` is the largest absolute difference over the largest absolute value of the reference; `cosine` the
    cosine of the angle between the two; `snr_db` the signal-to-noise ratio in decibels (infinite where they are equal).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null")

    max_relative: Extended
    cosine: float
    snr_db: Extended

    def __str__(self) -> str:
        return f"{self.max_relative:.2e} of the largest value, cosine {self.cosine:.6f}, {self.snr_db:.1f} dB"


class Comparison:
    """Adds up how far outputs lie from a reference, batch by batch; several outputs count as one long vector.

    Each output is scaled by its largest value in the reference, so that small ones count as well.
    """

    def __init__(self) -> None:
        self._sums: list[_Sums] = []

    def add(self, reference: Sequence[Array], other: Sequence[Array]) -> None:
        """Take in a batch: outputs of equal number and shapes.

        Raises `ValueError` where number or shapes differ, and where the reference is not finite.
        """
        if [array.shape for array in reference] != [array.shape for array in other]:
            raise ValueError(f"outputs of shapes {_shapes(reference)} and {_shapes(other)} cannot be compared")
        if not_finite(reference):
            raise ValueError("the reference has outputs that are not finite")
        self._sums = self._sums or [_Sums() for _ in reference]
        for sums, a, b in zip(self._sums, reference, other, strict=True):
            sums.add(a.astype(np.float64).ravel(), b.astype(np.float64).ravel())

    @property
    def difference(self) -> Difference:
        """Of all that was taken in."""
        if any(sums.is_broken for sums in self._sums):
            return Difference(max_relative=inf, cosine=0.0, snr_db=-inf)
        scaled = [sums.scaled() for sums in self._sums]
        noise, signal, others, product = (sum(values) for values in zip(*scaled, strict=True)) if scaled else (0,) * 4
        norms = sqrt(signal) * sqrt(others)
        return Difference(
            max_relative=max((sums.largest_difference / sums.scale for sums in self._sums), default=0.0),
            cosine=1.0 if not noise else product / norms if norms else 0.0,
            snr_db=inf if not noise else 10 * log10(signal / noise) if signal else -inf,
        )


@dataclass
class _Sums:
    """What is summed up of one output: squares of the noise, of the reference, of the other; and their product."""

    noise: float = 0.0
    signal: float = 0.0
    other: float = 0.0
    product: float = 0.0
    largest: float = 0.0
    largest_difference: float = 0.0
    is_broken: bool = False

    @property
    def scale(self) -> float:
        return self.largest or 1.0

    def add(self, a: NDArray[np.float64], b: NDArray[np.float64]) -> None:
        if not np.isfinite(b).all():
            self.is_broken = True
            return
        apart = a - b
        self.noise += float(apart @ apart)
        self.signal += float(a @ a)
        self.other += float(b @ b)
        self.product += float(a @ b)
        self.largest = max(self.largest, float(np.max(np.abs(a), initial=0.0)))
        self.largest_difference = max(self.largest_difference, float(np.max(np.abs(apart), initial=0.0)))

    def scaled(self) -> tuple[float, float, float, float]:
        square = self.scale**2
        return self.noise / square, self.signal / square, self.other / square, self.product / square


def difference(reference: Sequence[Array], other: Sequence[Array]) -> Difference:
    """Compare outputs of equal number and shapes in one go. Raises `ValueError` as `Comparison.add` does."""
    comparison = Comparison()
    comparison.add(reference, other)
    return comparison.difference


def not_finite(arrays: Sequence[Array]) -> str | None:
    """`3 of 10 values of output 0 are NaN or infinite`, or None where all are numbers."""
    for number, array in enumerate(arrays):
        if count := int(np.count_nonzero(~np.isfinite(array.astype(np.float64)))):
            return f"{count} of {array.size} values of output {number} are NaN or infinite"
    return None


def _shapes(arrays: Sequence[Array]) -> str:
    return ", ".join("x".join(map(str, array.shape)) for array in arrays)
