"""No team reads what it should not, in whatever order things happen; and why teams wait for their turn."""

from __future__ import annotations

import pytest

from corecast.backends.schedules.hwnc_sm90.problem import Conv
from corecast.backends.schedules.hwnc_sm90.tiling import Knobs, Tiling
from hwnc_sm90.protocol import Block, WrongStage

CONV = Conv(64, 1, 1, 9 * 64, 64)


@pytest.mark.parametrize("teams", [1, 2])
@pytest.mark.parametrize("stages", [2, 3, 4, 7])
@pytest.mark.parametrize("steps", [1, 4, 9])
def test_every_step_finds_its_operands(teams: int, stages: int, steps: int) -> None:
    conv = Conv(64, 1, 1, steps * 64, 64)
    knobs = Knobs((64, 1, 1), 64, teams=teams, stages=stages, persistent=True)
    for seed in range(20):
        Block(Tiling(conv, knobs, 1), tiles=5).play(seed)


def test_a_team_that_does_not_wait_for_its_turn_reads_the_wrong_step() -> None:
    knobs = Knobs((64, 1, 1), 64, teams=2, stages=4, persistent=True)
    with pytest.raises(WrongStage, match=r"\(0, \d\) for \(1, 0\)"):
        Block(Tiling(CONV, knobs, 1), tiles=5, ordered=False).play(seed=0)
