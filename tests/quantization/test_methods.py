"""Methods: the range that each chooses, beside what one would find by trying."""

from __future__ import annotations

import numpy as np
import pytest

from corecast.quantization.calibration import Range
from corecast.quantization.methods import Method, MethodError

RANDOM = np.random.default_rng(0)
# What activations are like: most of them small, a few far out.
TAILED = RANDOM.laplace(size=200_000)


def chosen(text: str, values: np.ndarray, *, symmetric: bool = True) -> Range:
    method = Method.parse(text)
    seen = method.observer()
    for part in np.array_split(values, 3):
        seen.see(part)
    return method.range(seen, symmetric=symmetric)


def error(values: np.ndarray, found: Range, *, symmetric: bool) -> float:
    """The mean square error of integers over a range."""
    low, high = min(0.0, found.low), max(0.0, found.high)
    step = max(-low, high) / 127 if symmetric else (high - low) / 255
    if symmetric:
        low, high = -max(-low, high), max(-low, high)
    return float(np.mean((np.rint(values.clip(low, high) / step) * step - values) ** 2))


def test_min_max_covers_every_value() -> None:
    assert chosen("min-max", TAILED) == Range(low=TAILED.min(), high=TAILED.max())


@pytest.mark.parametrize("percent", [90, 99, 99.99])
def test_a_percentile_leaves_out_as_many_at_each_end(percent: float) -> None:
    """To a bin's width, which is at most 1/2048 of the largest value; never more than was asked for."""
    found = chosen(f"percentile {percent}", TAILED)
    width = np.abs(TAILED).max() / 2048
    np.testing.assert_allclose(
        [found.low, found.high], np.percentile(TAILED, [100 - percent, percent], method="nearest"), atol=2 * width
    )
    for outside in (found.low > TAILED, found.high < TAILED):
        assert np.mean(outside) <= (100 - percent) / 100


def test_a_percentile_counts_zeros() -> None:
    """Of values of which nine in ten are zero, 91 percent are those and the ten smallest others."""
    values = np.concatenate([np.zeros(900), np.linspace(1, 100, 100)])
    assert chosen("percentile 91", values).high == pytest.approx(10, abs=0.1)
    assert chosen("percentile 80", values).high < 0.1
    assert chosen("percentile 100", values) == Range(low=0, high=100)


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("values", [TAILED, np.maximum(TAILED, 0), TAILED + 2], ids=["both", "relu", "shifted"])
def test_mse_finds_a_range_that_trying_does_not_beat(values: np.ndarray, symmetric: bool) -> None:
    """Every range of a hundred reaches, with the error of all values and not of bins."""
    found = error(values, chosen("mse", values, symmetric=symmetric), symmetric=symmetric)
    reach = np.abs(values).max()
    ranges = [(max(values.min(), -part * reach), min(values.max(), part * reach)) for part in np.linspace(0.05, 1, 100)]
    tried = [error(values, Range(low=low, high=high), symmetric=symmetric) for low, high in ranges]
    assert found <= 1.01 * min(tried)
    assert found < 0.9 * tried[-1], "the whole range is not the best one here"


def test_entropy_leaves_out_a_far_tail_and_keeps_an_even_spread() -> None:
    """What is rare and far costs more levels than it says; where all values are as frequent, each says as much."""
    far = TAILED**3
    assert chosen("entropy", far).high < 0.5 * far.max()
    even = RANDOM.uniform(-1, 1, 200_000)
    assert chosen("entropy", even).high > 0.98


@pytest.mark.parametrize("method", ["min-max", "percentile", "entropy", "mse"])
@pytest.mark.parametrize("value", [0.0, 3.0, -2.5])
def test_a_value_that_never_changes_has_a_range_of_one_value(method: str, value: float) -> None:
    """What its scale then is, `scales` says."""
    assert chosen(method, np.full(10, value)) == Range(low=value, high=value)


@pytest.mark.parametrize("method", ["percentile", "entropy", "mse"])
def test_a_range_is_within_what_was_seen(method: str) -> None:
    for values in (TAILED[:7], np.array([1e-30, 1.0, 2.0]), np.abs(TAILED[:50]) + 5):
        found = chosen(method, values, symmetric=False)
        assert values.min() <= found.low <= found.high <= values.max()


@pytest.mark.parametrize(
    ("text", "printed"), [("percentile", "percentile 99.99"), ("percentile 99.9", "percentile 99.9"), ("mse", "mse")]
)
def test_a_method_prints_as_it_is_read(text: str, printed: str) -> None:
    assert str(Method.parse(text)) == printed
    assert Method.parse(printed) == Method.parse(text)


@pytest.mark.parametrize("text", ["entropie", "percentile x", "percentile 101", "percentile 20", "mse 3", ""])
def test_what_is_no_method_is_refused(text: str) -> None:
    with pytest.raises(MethodError, match="unknown-method"):
        Method.parse(text)
