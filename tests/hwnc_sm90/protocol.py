"""The barriers between the thread that loads and the teams that multiply, played in random order.

A barrier tells a phase from its neighbours only: a wait for a phase of even number is over as soon as any of even
number is the last that was completed. Each step looks at what lies in its stage; what it should find is known.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from corecast.backends.schedules.hwnc_sm90.tiling import Tiling

Waiting = Callable[[], bool]


class WrongStage(Exception):  # noqa: N818
    """A team reads a stage that holds another step, or one that is being written."""


@dataclass
class Barrier:
    completed: int = 0

    def passed(self, parity: int) -> Waiting:
        return lambda: self.completed % 2 != parity


@dataclass
class Block:
    """One block with so many tiles; `ordered` says whether teams wait for their turn."""

    t: Tiling
    tiles: int
    ordered: bool = True
    stages: list[tuple[int, int] | None] = field(init=False)
    read: list[bool] = field(init=False)

    def __post_init__(self) -> None:
        count = self.t.knobs.stages
        self.stages, self.read = [None] * count, [False] * count
        self.full, self.empty = [Barrier() for _ in range(count)], [Barrier() for _ in range(count)]
        self.turns = [Barrier() for _ in range(self.t.knobs.teams)]
        self.coming: list[tuple[int, tuple[int, int]]] = []
        self.done = 0

    def play(self, seed: int) -> None:
        """Let everyone go on in a random order until all is done. Raises `WrongStage`, or `AssertionError` if stuck."""
        order = random.Random(seed)
        walkers = [self.loads(), *(self.multiplies(team) for team in range(self.t.knobs.teams))]
        waits: dict[int, Waiting] = {number: (lambda: True) for number in range(len(walkers))}
        while waits or self.coming:
            ready = [number for number, wait in waits.items() if wait()]
            assert ready or self.coming, "everyone waits"
            if self.coming and (not ready or order.random() < 0.3):
                self.arrive(*self.coming.pop(0))
                continue
            number = order.choice(ready)
            try:
                waits[number] = next(walkers[number])
            except StopIteration:
                del waits[number]
        assert self.done == self.tiles * self.t.steps

    def arrive(self, stage: int, step: tuple[int, int]) -> None:
        if self.read[stage]:
            raise WrongStage("it is overwritten while it is read")
        self.stages[stage] = step
        self.full[stage].completed += 1

    def loads(self) -> Iterator[Waiting]:
        stage = phase = 0
        for tile in range(self.tiles):
            for step in range(self.t.steps):
                yield self.empty[stage].passed(phase ^ 1)
                self.coming.append((stage, (tile, step)))
                stage, phase = self.skipped(stage, phase, 1)

    def multiplies(self, team: int) -> Iterator[Waiting]:
        teams = self.t.knobs.teams
        stage, phase = self.skipped(0, 0, self.t.steps) if team else (0, 0)
        for turn in range((self.tiles - team + teams - 1) // teams):
            if teams > 1 and self.ordered:
                yield self.turns[team].passed((turn + 1 - team) % 2)
            before = None
            for step in range(self.t.steps):
                yield self.full[stage].passed(phase)
                if self.stages[stage] != (turn * teams + team, step):
                    raise WrongStage(f"{self.stages[stage]} for {(turn * teams + team, step)}")
                self.read[stage] = True
                yield lambda: True
                if before is not None:
                    self.free(before)
                before = stage
                stage, phase = self.skipped(stage, phase, 1)
            assert before is not None
            self.free(before)
            if teams > 1:
                self.turns[1 - team].completed += 1
                stage, phase = self.skipped(stage, phase, self.t.steps)

    def free(self, stage: int) -> None:
        self.read[stage] = False
        self.empty[stage].completed += 1
        self.done += 1

    def skipped(self, stage: int, phase: int, steps: int) -> tuple[int, int]:
        """As `parts.Ring.skip`."""
        count = self.t.knobs.stages
        stage, phase = stage + steps % count, phase ^ (steps // count % 2)
        return (stage - count, phase ^ 1) if stage >= count else (stage, phase)
