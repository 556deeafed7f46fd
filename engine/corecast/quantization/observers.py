"""Arrays in, one after the other, what their values are like out: extent and histogram, in memory that stays."""

from __future__ import annotations

from math import frexp, inf, isfinite, ldexp

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.generic]

# Bins on each side of zero. The last value lies in the outer half of them, so that a bin is at most 1/2048 of it.
SIDE = 4096
# Values that are looked at together: what this takes beside the array itself.
_TOGETHER = 1 << 20
# Smaller ones share the bins beside zero; half the smallest power of two, so that nothing here underflows.
_LEAST_EXPONENT = -500


class NotFiniteError(ValueError):
    """Values among which some are NaN or infinite; the message says how many."""


class Extent:
    """The smallest and the largest of the values seen, and how many there were."""

    def __init__(self) -> None:
        self.low, self.high = inf, -inf
        self.count = 0

    def see(self, values: Array) -> None:
        """Take note of values of any shape and real dtype. Raises `NotFiniteError`, and has seen none of them then."""
        if not values.size:
            return
        low, high = float(values.min()), float(values.max())
        if not (isfinite(low) and isfinite(high)):
            strange = int(np.count_nonzero(~np.isfinite(values.astype(np.float64))))
            raise NotFiniteError(f"{strange} of {values.size} values are NaN or infinite")
        self._note(values, low, high)
        self.low, self.high = min(self.low, low), max(self.high, high)
        self.count += values.size

    def _note(self, values: Array, low: float, high: float) -> None:
        """What more there is to note of finite values between `low` and `high`."""


class Histogram(Extent):
    """How many of the values seen lie in each bin. Bins are equally wide and lie around zero.

    The bins reach to a power of two that all values are below, and are made wider by twos where one is not: what is
    counted depends neither on the order of the arrays nor on how the values are spread over them.

    Attributes:
        counts: int64, of the values that are not zero; `counts[SIDE]` begins at zero, `counts[SIDE - 1]` ends there.
        zeros: how many are exactly zero.
    """

    def __init__(self) -> None:
        super().__init__()
        self.counts = np.zeros(2 * SIDE, np.int64)
        self.zeros = 0
        self._exponent = _LEAST_EXPONENT

    @property
    def width(self) -> float:
        """The width of a bin."""
        return ldexp(1 / SIDE, self._exponent)

    def _note(self, values: Array, low: float, high: float) -> None:
        self._reach(frexp(max(-low, high))[1])
        flat = values.reshape(-1)
        for start in range(0, flat.size, _TOGETHER):
            part = flat[start : start + _TOGETHER].astype(np.float64)
            part = part[part != 0]
            self.zeros += min(_TOGETHER, flat.size - start) - part.size
            places = np.floor(part / self.width).astype(np.int64) + SIDE
            self.counts += np.bincount(places, minlength=2 * SIDE)

    def _reach(self, exponent: int) -> None:
        """Make the bins wider until values below two to the power of `exponent` have one."""
        if (times := exponent - self._exponent) <= 0:
            return
        joined = 1 << min(times, SIDE.bit_length() - 1)
        negative, positive = (half.reshape(-1, joined).sum(1) for half in (self.counts[:SIDE], self.counts[SIDE:]))
        self.counts = np.zeros_like(self.counts)
        self.counts[SIDE - len(negative) : SIDE] = negative
        self.counts[SIDE : SIDE + len(positive)] = positive
        self._exponent = exponent
