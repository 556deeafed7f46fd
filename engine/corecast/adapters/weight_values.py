"""A weight as an array in, what rules may ask of its values out; a piece at a time, so that none is copied whole."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from corecast.adapters.weights_file import Array
from corecast.model import Summarise, WeightSummary

_PIECE = 1 << 18  # elements, two megabytes as float64


def values_of(parameters: Mapping[str, Array]) -> Summarise:
    """What looks at one of these parameters when a rule asks for its values."""

    def look(name: str) -> WeightSummary | None:
        return summarise(parameters[name]) if name in parameters else None

    return look


def summarise(array: Array) -> WeightSummary:
    """Look at every value once, as float64; NaN is left out of all but its own share."""
    flat = array.ravel(order="K")  # a view, wherever the values lie one after another in whatever order
    low, high, total, magnitude = math.inf, -math.inf, 0.0, 0.0
    numbers = zeros = 0
    with np.errstate(invalid="ignore", over="ignore"):
        for start in range(0, flat.size, _PIECE):
            piece = flat[start : start + _PIECE].astype(np.float64)
            piece = piece[~np.isnan(piece)]
            if piece.size:
                low, high = min(low, float(piece.min())), max(high, float(piece.max()))
                total += float(piece.sum())
                magnitude += float(np.abs(piece).sum())
            numbers += piece.size
            zeros += piece.size - int(np.count_nonzero(piece))
    return WeightSummary(
        min=low if numbers else None,
        max=high if numbers else None,
        mean=_mean(total, numbers),
        mean_abs=_mean(magnitude, numbers),
        zeros=zeros / flat.size if flat.size else None,
        nans=(flat.size - numbers) / flat.size if flat.size else None,
    )


def _mean(total: float, numbers: int) -> float | None:
    """Infinities of both signs have no mean."""
    return total / numbers if numbers and not math.isnan(total) else None
