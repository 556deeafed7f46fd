"""What values are like in, the range that integers shall cover out: by extent, percentile, entropy or square error.

What lies outside the range is clipped to it, and everything inside is rounded to one of some 255 levels: a narrow range
clips more, a wide one rounds more coarsely. Each method strikes that balance in another way.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from corecast.lang.problems import CorecastError, Problem
from corecast.quantization.calibration import Range
from corecast.quantization.observers import SIDE, Extent, Histogram
from corecast.recipe.words import unknown

METHODS = ("min-max", "percentile", "entropy", "mse")
PERCENT = 99.99

# How many ranges entropy and mean square error are measured for, and the narrowest of them, in bins: about a thirtieth
# of the largest magnitude. With fewer bins than levels a histogram says nothing of rounding.
_CANDIDATES, _FEWEST_BINS = 128, 128

Floats = NDArray[np.floating]


class MethodError(CorecastError):
    """A method of calibration that there is not."""


@dataclass(frozen=True)
class Method:
    """How ranges are chosen.

    `min-max` covers every value. `percentile P` leaves out, at each end, at most so many that P percent remain.
    `entropy` is the range whose integers say most about the values (the smallest Kullback-Leibler divergence), `mse`
    the one that leaves the smallest mean square error.
    """

    name: str
    percent: float | None = None

    @classmethod
    def parse(cls, text: str) -> Method:
        """`percentile 99.9` and its like; `percentile` alone takes 99.99. Raises `MethodError`."""
        name, _, argument = text.strip().partition(" ")
        if name not in METHODS:
            help = unknown("methods", name, METHODS)
            raise MethodError(Problem("unknown-method", f"there is no method `{name}` to calibrate by", help=help))
        if name != "percentile":
            if argument:
                raise MethodError(Problem("unknown-method", f"`{name}` takes no number: `{text}`"))
            return cls(name)
        try:
            percent = float(argument or PERCENT)
        except ValueError:
            percent = 0.0
        if not 50 < percent <= 100:
            help = f"write a number above 50 and up to 100: `percentile {PERCENT}`"
            raise MethodError(Problem("unknown-method", f"`{text}` is no percentile", help=help))
        return cls(name, percent)

    def __str__(self) -> str:
        return self.name if self.percent is None else f"{self.name} {self.percent:g}"

    def observer(self) -> Extent:
        """What has to see the values for `range`."""
        return Extent() if self.name == "min-max" else Histogram()

    def range(self, seen: Extent, *, symmetric: bool) -> Range:
        """The range for values of which there was at least one.

        `symmetric` says whether zero shall be in the middle of the integers, so that the range is used on both sides of
        it as far as on the wider one.
        """
        low, high = seen.low, seen.high
        if isinstance(seen, Histogram) and seen.counts.any():
            bounds = _percentile(seen, self.percent) if self.percent else _best(seen, self.name, symmetric)
            low, high = max(low, bounds.low), min(high, bounds.high)
        return Range(low=low, high=high)


class _Bounds(NamedTuple):
    low: float
    high: float


def _percentile(seen: Histogram, percent: float) -> _Bounds:
    """The outer edges of the outermost bins that are needed."""
    counts = seen.counts.copy()
    counts[SIDE] += seen.zeros
    # What is left of the percentage, told apart from the error in writing it: 100 - 99.99 is not 0.01.
    outside = np.floor(seen.count * (100 - percent) / 100 + 1e-9)
    first = int(np.argmax(np.cumsum(counts) > outside))
    last = len(counts) - 1 - int(np.argmax(np.cumsum(counts[::-1]) > outside))
    return _Bounds((first - SIDE) * seen.width, (last + 1 - SIDE) * seen.width)


def _best(seen: Histogram, name: str, symmetric: bool) -> _Bounds:
    measure = _divergence if name == "entropy" else _square_error
    return min(_candidates(seen, symmetric), key=lambda grid: measure(seen, grid)).bounds(seen.width)


@dataclass(frozen=True)
class _Grid:
    """Levels that lie `step` bins apart from `low` to `high`, places of edges of bins as `Histogram` counts them from
    zero.
    """

    low: int
    high: int
    step: float

    def bounds(self, width: float) -> _Bounds:
        return _Bounds(self.low * width, self.high * width)

    def levels(self, places: Floats) -> Floats:
        """The nearest level of each place, as a multiple of the step."""
        return np.rint(places.clip(self.low, self.high) / self.step)


def _candidates(seen: Histogram, symmetric: bool) -> Iterator[_Grid]:
    """Grids from the whole extent down to the narrowest that the bins can tell apart, the widest first."""
    used = np.flatnonzero(seen.counts)
    first, last = min(0, int(used[0]) - SIDE), max(0, int(used[-1]) + 1 - SIDE)
    widest = max(-first, last)
    reaches = np.linspace(widest, min(widest, _FEWEST_BINS), _CANDIDATES).astype(int)
    for reach in dict.fromkeys(reaches.tolist()):
        low, high = max(first, -reach), min(last, reach)
        yield _Grid(low, high, reach / 127 if symmetric else (high - low) / 255)


_CENTRES: Floats = np.arange(-SIDE, SIDE) + 0.5


def _square_error(seen: Histogram, grid: _Grid) -> float:
    """The mean square error, in squared bins. Zeros have none."""
    used = np.flatnonzero(seen.counts)
    centres = _CENTRES[used]
    return float(seen.counts[used] @ (grid.levels(centres) * grid.step - centres) ** 2)


def _divergence(seen: Histogram, grid: _Grid) -> float:
    """How much less the levels say than the bins do: the Kullback-Leibler divergence of the one from the other.

    As TensorRT's calibrator has it: what is clipped counts as the outermost bins' in the one, and is missing in the
    other, in which each level is spread evenly over those of its bins that hold something. Zeros, which stay exact,
    are left out.
    """
    inside = slice(grid.low + SIDE, grid.high + SIDE)
    kept = seen.counts[inside].astype(np.float64)
    clipped = kept.copy()
    clipped[0] += seen.counts[: inside.start].sum()
    clipped[-1] += seen.counts[inside.stop :].sum()
    levels = grid.levels(_CENTRES[inside]).astype(np.int64)
    levels -= levels.min()
    sums, holders = np.bincount(levels, kept), np.bincount(levels, kept > 0)
    spread = np.divide(sums, holders, out=np.zeros_like(sums), where=holders > 0)[levels] * (kept > 0)
    held = clipped > 0
    if not kept.any():
        return np.inf
    # An outermost bin that holds nothing but what was clipped: a little, or the divergence were infinite.
    one, other = clipped[held] / clipped.sum(), np.maximum(spread[held], 1e-4) / spread.sum()
    return float(one @ np.log(one / other))
