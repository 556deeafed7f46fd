"""Planning told step by step: each rule, then the prediction; and stopped where the callback raises."""

from __future__ import annotations

import pytest

from corecast.api import Source, plan, read_recipe
from corecast.model import parse_table
from corecast.plan import Progress

TABLE = parse_table("""
data: float32 1x3x8x8
nn.conv2d#0(data, %w: float32 4x3x3x3) -> float32 1x4x6x6
return nn.conv2d#0
""")
RULES = Source("2.rules", "rule first\nmatch nn.conv2d, set layout HWNC\nrule second\nmatch nn.conv2d, cast float16\n")


class StoppedError(Exception):
    """What a service raises to stop."""


def test_each_rule_is_told_before_it_is_applied() -> None:
    told: list[Progress] = []
    plan(read_recipe(RULES), TABLE, progress=told.append)
    assert told == [Progress("first", 1, 3), Progress("second", 2, 3), Progress("predict", 3, 3)]


def test_a_callback_that_raises_stops_the_plan_with_its_own_exception() -> None:
    told: list[Progress] = []

    def stop(progress: Progress) -> None:
        told.append(progress)
        raise StoppedError

    with pytest.raises(StoppedError):
        plan(read_recipe(RULES), TABLE, progress=stop)
    assert [progress.step for progress in told] == ["first"]
