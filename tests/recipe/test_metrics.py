"""Bounds on metrics: how they are read, when they are met, and how much of one is used up."""

from __future__ import annotations

from math import inf, nan

import pytest

from corecast.lang import RulesError
from corecast.recipe import METRICS, Bound, read_bound


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_every_metric_shows_how_it_is_expected(metric) -> None:
    """The example reads as a bound on it, and prints as it was written."""
    text = metric.example.removeprefix("expect ")
    assert (read_bound(text).metric, str(read_bound(text))) == (metric.word, text)


@pytest.mark.parametrize(
    ("text", "bound"),
    [
        ("accuracy drop <= 0.5%", 0.005),
        ("max error <= 0.29%", 0.0029),
        ("max error <= 0.01", 0.01),
        ("snr >= 20", 20),
        ("snr >= 20 dB", 20),
        ("cosine >= 0", 0),
    ],
)
def test_hundredths_are_shares_and_decibels_are_decibels(text: str, bound: float) -> None:
    """A bound is kept in the measure that is computed in."""
    assert read_bound(text).bound == pytest.approx(bound)


@pytest.mark.parametrize(
    ("text", "slug"),
    [
        ("accuracy drop <= 0.5", "bad-expectation"),
        ("accuracy drop >= 0.5%", "bad-expectation"),
        ("cosine == 1", "bad-expectation"),
        ("cosine >= 99%", "bad-expectation"),
        ("snr >= 20 db", "bad-expectation"),
        ("accuracy >= 101%", "bad-expectation"),
        ("cosine >= $floor", "unknown-param"),
        ("cosin >= 1", "unknown-metric"),
        ("nn.conv2d", "syntax"),
        (">= 16", "outside-rule"),
        ("", "syntax"),
    ],
)
def test_what_is_no_bound_is_told(text: str, slug: str) -> None:
    """As on a command line, where no file stands around it."""
    with pytest.raises(RulesError) as caught:
        read_bound(text)
    assert [problem.slug for problem in caught.value.problems] == [slug]


def test_a_bound_is_met_at_its_end() -> None:
    """A drop of 5 in 1000 is 0.5%, though 0.9 - 0.895 is a little more in binary."""
    drop = read_bound("accuracy drop <= 0.5%")
    assert drop.met(0.9 - 0.895)
    assert not drop.met(0.006)
    assert not drop.met(nan)


@pytest.mark.parametrize(
    ("text", "within", "beyond"),
    [
        ("accuracy drop <= 0.5%", -0.1, 0.01),
        ("cosine >= 0.99", 0.995, 0.98),
        ("snr >= 20", 23, 17),
        ("max error <= 1%", 0.005, inf),
        ("accuracy >= 100%", 1.0, 0.999),
        ("metric drop <= 0", -1.0, 0.1),
    ],
)
def test_what_is_spent_is_more_than_all_where_a_bound_is_not_met(text: str, within: float, beyond: float) -> None:
    """So that bounds on different metrics can be weighed by one number."""
    bound = read_bound(text)
    assert (bound.met(within), bound.met(beyond)) == (True, False)
    assert bound.spent(within) <= 1 < bound.spent(beyond)


def test_noise_adds_up_in_what_is_spent_of_a_ratio() -> None:
    """Three decibels more are half the noise; no signal at all is beyond every bound."""
    ratio = read_bound("snr >= 20")
    assert ratio.spent(20 + 3.0103) == pytest.approx(0.5, rel=1e-4)
    assert ratio.spent(-inf) == inf
    assert ratio.spent(inf) == 0


def test_a_bound_on_no_metric_cannot_be_made() -> None:
    """A plan file may come from anywhere."""
    with pytest.raises(ValueError, match="no metric"):
        Bound(metric="perplexity", bound=3)
