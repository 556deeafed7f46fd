"""Convolutions in, the fastest knobs of each out: the model's best few are compiled, checked and timed."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch

from corecast.backends.schedules.hwnc_sm90.problem import Conv
from corecast.backends.schedules.hwnc_sm90.tiling import Knobs
from gpu import timing
from gpu.compiling import Wanted, all_proposals, compile_all
from gpu.reference import Example


@dataclass(frozen=True)
class Tuned:
    """What was found for a convolution, in seconds; `guess` is the time of the first guess."""

    knobs: Knobs
    seconds: float
    cold: float
    guess: float
    tried: int


def tuned(convs: Mapping[str, Conv], count: int, deadline: float) -> tuple[dict[str, Tuned], list[str]]:
    """The fastest of `count` candidates of each convolution, and what was wrong with any.

    Candidates are measured as they are compiled, until the clock of `time.monotonic` says `deadline`.
    """
    times: dict[str, list[tuple[float, Knobs]]] = {}
    guesses: dict[str, float] = {}
    wrong: list[str] = []
    first = dict(zip(convs, all_proposals(convs.values(), count), strict=True))
    functions = {}
    wanted = [Wanted(convs[name], knobs, name) for name, found in first.items() for knobs in found]
    for number, (each, function) in enumerate(compile_all(wanted)):
        if time.monotonic() > deadline:
            wrong.append(f"the time was over after {number} of {len(wanted)} candidates")
            break
        if isinstance(function, Exception):
            wrong.append(f"{each.name}, {each.knobs}: {str(function)[-300:]}")
            continue
        example = Example.fresh(each.conv, number)
        if reason := example.called(function):
            wrong.append(f"{each.name}, {each.knobs}: {reason}")
            continue
        seconds = timing.seconds(_call(function, example))
        if seconds <= min((other for other, _ in times.get(each.name, [])), default=seconds):
            functions[each.name] = function
        times.setdefault(each.name, []).append((seconds, each.knobs))
        if each.knobs == first[each.name][0]:
            guesses[each.name] = seconds
    found = {}
    for name, measured in times.items():
        best, knobs = min(measured, key=lambda each: each[0])
        example = Example.fresh(convs[name], 0)
        call = _call(functions[name], example)
        again = min(best, timing.seconds(call, replays=31))
        found[name] = Tuned(knobs, again, timing.cold_seconds(call), guesses.get(name, float("nan")), len(measured))
        torch.cuda.empty_cache()
    return found, wrong


def _call(function: object, example: Example) -> timing.Call:
    operands, result = list(example.operands.values()), example.result()
    return lambda: function(*operands, result)  # type: ignore[operator]


def seconds_to_tune(conv: Conv, count: int) -> float:
    """What one layer takes from nothing to its fastest knobs, by the clock."""
    start = time.monotonic()
    tuned({"": conv}, count, deadline=float("inf"))
    return time.monotonic() - start


def knobs_text(knobs: Knobs) -> str:
    """Short enough for a table: `128x1x1 by 128, 2 warpgroups, 6 stages, persistent`."""
    words = [f"{'x'.join(map(str, knobs.box))} by {knobs.columns}"]
    words += [f"{knobs.teams} teams"] if knobs.teams > 1 else []
    words += [f"{knobs.warpgroups} warpgroups"] if knobs.warpgroups > 1 else []
    words += [f"{knobs.stages} stages"]
    words += [f"{knobs.blocks} blocks"] if knobs.blocks > 1 else []
    words += [f"split {knobs.split}"] if knobs.split > 1 else []
    words += ["resident"] if knobs.resident else ["persistent"] if knobs.persistent else []
    return ", ".join(words)


def each_kind(batches: Iterable[int], dtypes: Iterable[str], layers: Iterable[object]) -> dict[str, Conv]:
    """The convolutions of layers by name: `128 | 56 64->64 3x3 | int8`."""
    return {
        f"{batch} | {layer} | {dtype}": layer.conv(batch, dtype)  # type: ignore[attr-defined]
        for batch in batches
        for layer in layers
        for dtype in dtypes
    }
