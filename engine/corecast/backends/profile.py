"""A runner in, where its time goes out: each call of a kernel with its seconds, in order, and what a run allocates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from corecast.backends.build import Runner

ALLOCATION = "vm.builtin.alloc_storage"
BUILTIN = "vm.builtin."


@dataclass(frozen=True)
class Profile:
    """The kernels that a run calls, in order; the seconds of each in each run; the bytes of the storage for results.

    Storage is what TVM's memory plan lets several results share: that of one run, without weights and inputs.
    """

    kernels: tuple[str, ...]
    seconds: tuple[tuple[float, ...], ...]
    storage: int


def profile(runner: Runner, inputs: Sequence[NDArray[np.generic]], runs: int) -> Profile:
    """Run so many times after one that does not count, with a clock around each call of a kernel."""
    watch = _Watch(runner)
    run = runner.observed(*inputs, instrument=watch)
    run()
    first = watch.taken()
    seconds = []
    for _ in range(runs):
        run()
        taken = watch.taken()
        seconds.append(tuple(time for _, time in taken.calls))
    return Profile(tuple(name for name, _ in first.calls), tuple(zip(*seconds, strict=True)), first.storage)


@dataclass
class _Taken:
    calls: list[tuple[str, float]]
    storage: int


class _Watch:
    """What the virtual machine calls before and after each call that it makes."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._now = _Taken([], 0)
        self._begun = 0.0

    def __call__(self, _function: Any, name: str, is_before: bool, _result: Any, *arguments: Any) -> None:
        if name.startswith(BUILTIN):
            if is_before and name == ALLOCATION:
                self._now.storage += prod(map(int, arguments[1]))
        elif is_before:
            self._begun = perf_counter()
        else:
            self._runner.synchronize()
            self._now.calls.append((name, perf_counter() - self._begun))

    def taken(self) -> _Taken:
        """What was seen since the last time."""
        taken, self._now = self._now, _Taken([], 0)
        return taken
