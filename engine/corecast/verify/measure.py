"""Two sets of outputs in, their differences as numbers out."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
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


def difference(reference: Sequence[Array], other: Sequence[Array]) -> Difference:
    """Compare outputs of equal number and shapes; several outputs count as one long vector, each scaled by its largest.

    Raises `ValueError` where number or shapes differ, and where the reference is not finite.
    """
    if [array.shape for array in reference] != [array.shape for array in other]:
        raise ValueError(f"outputs of shapes {_shapes(reference)} and {_shapes(other)} cannot be compared")
    if not_finite(reference):
        raise ValueError("the reference has outputs that are not finite")
    if not_finite(other):
        return Difference(max_relative=inf, cosine=0.0, snr_db=-inf)
    scales = [_largest(array) for array in reference]
    a = _vector(reference, scales)
    b = _vector(other, scales)
    noise = float(np.sum((a - b) ** 2))
    signal = float(np.sum(a**2))
    norms = float(np.linalg.norm(a) * np.linalg.norm(b))
    equal = noise == 0
    return Difference(
        max_relative=float(np.max(np.abs(a - b), initial=0.0)),
        cosine=1.0 if equal else float(a @ b) / norms if norms else 0.0,
        snr_db=inf if equal else 10 * float(np.log10(signal / noise)) if signal else -inf,
    )


def not_finite(arrays: Sequence[Array]) -> str | None:
    """`3 of 10 values of output 0 are NaN or infinite`, or None where all are numbers."""
    for number, array in enumerate(arrays):
        if count := int(np.count_nonzero(~np.isfinite(array.astype(np.float64)))):
            return f"{count} of {array.size} values of output {number} are NaN or infinite"
    return None


def _largest(array: Array) -> float:
    return float(np.max(np.abs(array.astype(np.float64)), initial=0.0)) or 1.0


def _vector(arrays: Sequence[Array], scales: Sequence[float]) -> NDArray[np.float64]:
    parts = [array.astype(np.float64).ravel() / scale for array, scale in zip(arrays, scales, strict=True)]
    return np.concatenate(parts) if parts else np.zeros(0)


def _shapes(arrays: Sequence[Array]) -> str:
    return ", ".join("x".join(map(str, array.shape)) for array in arrays)
