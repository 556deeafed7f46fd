"""Functions of a weight's values: `max_abs(weight) > 6e4`.

A weight is looked at when the first rule asks, and not before. NaN is no number, so it is left out of all but `nans`
and the total that shares are of; a weight that holds nothing else has no largest value, and no comparison with that
holds.
"""

from __future__ import annotations

from corecast.model import WeightSummary
from corecast.recipe import Positive, Share, weight_function


@weight_function
def max_abs(weight: WeightSummary) -> Positive | None:
    """The largest absolute value: `max_abs(weight) > 6e4` is more than float16 holds."""
    if weight.min is None or weight.max is None:
        return None
    return -weight.min if -weight.min > weight.max else weight.max


@weight_function
def min(weight: WeightSummary) -> float | None:
    """The smallest value: `min(weight) >= 0`."""
    return weight.min


@weight_function
def max(weight: WeightSummary) -> float | None:
    """The largest value: `max(weight) < 1`."""
    return weight.max


@weight_function
def mean(weight: WeightSummary) -> float | None:
    """The mean of the values: `-1e-3 < mean(weight) < 1e-3`."""
    return weight.mean


@weight_function
def mean_abs(weight: WeightSummary) -> Positive | None:
    """The mean of the absolute values: `max_abs(weight) > 50 * mean_abs(weight)` is a weight with outliers."""
    return weight.mean_abs


@weight_function
def zeros(weight: WeightSummary) -> Share | None:
    """The share of zeros, from 0 to 1: `zeros(weight) > 0.5` is a sparse weight."""
    return weight.zeros


@weight_function
def nans(weight: WeightSummary) -> Share | None:
    """The share of NaN, from 0 to 1: `nans(weight) > 0` is a broken weight."""
    return weight.nans
