"""The loop of calibration: what it gives, how far it has come, and what a model may do on the data."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from corecast.quantization.calibrate import ObservationError, observe
from corecast.quantization.calibration import Range
from corecast.quantization.data import Batch
from corecast.quantization.methods import Method

MIN_MAX = Method.parse("min-max")


def batches(*samples: float) -> list[Batch]:
    return [Batch({"x": np.array([value])}, samples=1, place=f"item {number}") for number, value in enumerate(samples)]


def run(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A model of two layers, the second of which gives something for numbers below ten only."""
    x = inputs["x"]
    with np.errstate(divide="ignore"):
        return {"x": x, "divide#0": 1 / x, "unique#0": x[x < 10]}


def test_each_value_has_the_range_that_it_had_in_all_batches() -> None:
    ranges, samples = observe(run, batches(1, 4, -2), {"x": True, "divide#0": False}, MIN_MAX)
    assert ranges == {"x": Range(low=-2, high=4), "divide#0": Range(low=-0.5, high=1)}
    assert samples == 3


def test_whoever_waits_is_told_after_each_batch() -> None:
    told: list[int] = []
    observe(run, batches(1, 2, 3), {"x": True}, MIN_MAX, told.append)
    assert told == [1, 2, 3]


def test_a_layer_that_gives_no_number_is_named_with_the_item() -> None:
    """The data itself is finite."""
    with pytest.raises(ObservationError, match=r"item 1.*not-finite-value.*of what divide#0 gives, 1 of 1 values"):
        observe(run, batches(1, 0), {"x": True, "divide#0": True}, MIN_MAX)


def test_a_layer_that_gives_nothing_is_named() -> None:
    with pytest.raises(ObservationError, match=r"never-ran.*unique#0 had no value in 2 samples"):
        observe(run, batches(11, 12), {"x": True, "unique#0": True}, MIN_MAX)
    assert observe(run, batches(11, 9), {"unique#0": True}, MIN_MAX)[0] == {"unique#0": Range(low=9, high=9)}
