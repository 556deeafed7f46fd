"""Observers: what they know after many arrays is what one would know of all values together."""

from __future__ import annotations

import numpy as np
import pytest

from corecast.quantization.observers import SIDE, Extent, Histogram, NotFiniteError

VALUES = np.random.default_rng(0).standard_normal(10_000) * np.geomspace(1e-3, 50, 10_000)


def histogram(*arrays: np.ndarray) -> Histogram:
    seen = Histogram()
    for array in arrays:
        seen.see(array)
    return seen


def test_the_extent_is_that_of_all_arrays() -> None:
    """Whatever their shapes and dtypes."""
    seen = Extent()
    for part in (VALUES[:100].astype(np.float32), VALUES[100:].reshape(100, 99), np.arange(3, dtype=np.int64)):
        seen.see(part)
    assert (seen.low, seen.high, seen.count) == (VALUES.min(), VALUES.max(), 10_003)


def test_a_histogram_does_not_depend_on_order_or_parts() -> None:
    """Bins that had to be made wider hold what they would have held from the beginning."""
    whole = histogram(VALUES)
    for parts in (np.array_split(VALUES, 7), np.array_split(VALUES[::-1], 100), [VALUES[:1], VALUES[1:]]):
        seen = histogram(*parts)
        assert (seen.width, seen.count) == (whole.width, whole.count)
        np.testing.assert_array_equal(seen.counts, whole.counts)


def test_every_value_lies_in_its_bin() -> None:
    """Against numpy's own histogram over the same edges."""
    seen = histogram(VALUES)
    edges = np.arange(-SIDE, SIDE + 1) * seen.width
    np.testing.assert_array_equal(seen.counts, np.histogram(VALUES, edges)[0])
    assert SIDE / 2 < np.abs(VALUES).max() / seen.width <= SIDE


def test_zeros_are_counted_by_themselves() -> None:
    """They stay exact in every range, and after a relu there are many."""
    seen = histogram(np.zeros(5), np.array([0.0, 1.0, -0.0]))
    assert (seen.zeros, seen.counts.sum(), seen.count) == (7, 1, 8)


@pytest.mark.parametrize("value", [5e-324, -1e-300, 1.7e308, -(2.0**1023), 2.0**-10])
def test_values_of_every_size_have_a_bin(value: float) -> None:
    """From the smallest number of float64 to the largest, with ordinary ones beside them."""
    seen = histogram(np.array([1.0, -1.0]), np.array([value]))
    assert seen.counts.sum() == 3
    assert (seen.low, seen.high) == (min(-1.0, value), max(1.0, value))


@pytest.mark.parametrize("strange", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers_are_refused(strange: float) -> None:
    """And of their array nothing is counted."""
    seen = histogram(VALUES)
    with pytest.raises(NotFiniteError, match="1 of 3 values"):
        seen.see(np.array([1e9, strange, 0.0]))
    assert (seen.high, seen.count) == (VALUES.max(), VALUES.size)


def test_an_array_without_values_adds_nothing() -> None:
    """A layer can have an empty result."""
    seen = Histogram()
    seen.see(np.zeros((0, 3)))
    assert seen.count == 0


def test_memory_does_not_grow_with_the_values() -> None:
    """A histogram is as large after a million values as after one."""
    seen = histogram(np.ones(1))
    before = seen.counts.nbytes
    for _ in range(10):
        seen.see(np.random.default_rng(0).standard_normal(100_000) * 1e6)
    assert seen.counts.nbytes == before == 2 * SIDE * 8
