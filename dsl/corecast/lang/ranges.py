"""The ends of a range in, whether it can hold anything out; also of one whose ends a parameter gave."""

from __future__ import annotations

from corecast.lang.problems import Problem
from corecast.lang.source import Span


def is_empty(low: int, high: int) -> bool:
    """Whether a range can hold nothing; `2..-1` reaches from the third to the last, however many there are."""
    return low > high and (low < 0) == (high < 0)


def empty_range(low: int, high: int, span: Span) -> Problem:
    """The problem of a range whose ends stand the wrong way round."""
    help = f"write the smaller end first: `{high}..{low}`"
    return Problem("bad-range", f"the range `{low}..{high}` is empty", span, help)
