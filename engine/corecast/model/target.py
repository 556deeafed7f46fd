"""What a target computes with, as plain data that a plan checks its requests against.

Three things stand beside each other for each dtype: how code that TVM makes for it comes out, which units the silicon
has for it, and which of them a tuner reaches. They differ more often than not.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from corecast.model.record import Record


class Rate(Record):
    """What a unit came to, in 10^12 operations a second (a multiply-add is two), and where that was measured."""

    tops: float
    source: str


class Unit(Record):
    """An instruction of the silicon that multiplies and sums a dtype; `weights` where the other factor has another."""

    instruction: str
    shapes: tuple[str, ...] = ()
    accumulators: tuple[str, ...]
    weights: str | None = None
    rate: Rate | None = None
    source: str


class Tuned(Record):
    """What a tuner makes TVM emit for a dtype: by TVM's intrinsic for a matrix unit, or loops where there is none.

    Matrix units multiply whole matrices; `grouped` says of loops that they compute convolutions with groups too.
    """

    tuner: str
    intrinsic: str | None = None
    emits: str
    accumulators: tuple[str, ...]
    weights: str | None = None
    grouped: bool = False
    source: str


class Support(Record):
    """How a target computes with one input dtype.

    Attributes:
        level: of the code that TVM makes: native, emulated (right, but a sequence of other instructions), or absent.
        accumulators: what it sums in.
        note: what a user reads where a cast is declined.
        units: what the silicon has.
        tuned: what tuners reach; where it is empty, `untuned` says why.
        source: where the level is known from.
    """

    level: Literal["native", "emulated", "absent"]
    accumulators: tuple[str, ...] = ()
    note: str = ""
    units: tuple[Unit, ...] = ()
    tuned: tuple[Tuned, ...] = ()
    untuned: str = ""
    source: str


class Target(Record):
    """A compilation target: TVM's kind and its own name for the chip, with one row for each dtype that is known.

    Attributes:
        name: `cuda:sm_90a`; `llvm` is the machine that TVM runs on.
        kind: TVM's.
        title: what it is called outside.
        arch: LLVM's or CUDA's name of it.
        machine: the first part of a CPU's triple, `x86_64`.
        features: what a CPU has to report, in LLVM's names, before code for it may run there.
        dtypes: how it computes with each input dtype.
    """

    name: str
    kind: Literal["llvm", "cuda"]
    title: str
    arch: str | None = None
    machine: str | None = None
    features: tuple[str, ...] = ()
    dtypes: dict[str, Support] = Field(default_factory=dict)

    def objection(self, dtype: str, accumulator: str) -> str | None:
        """Why a layer should not compute in `dtype` here, or None where it is native."""
        support = self.dtypes.get(dtype)
        if support is None:
            return f"nothing is known of {dtype} on {self.name}"
        if support.level != "native":
            return support.note or f"{self.name} has no {dtype} ({support.level})"
        if accumulator not in support.accumulators:
            return f"{self.name} accumulates {dtype} in {' or '.join(support.accumulators)}, not {accumulator}"
        return None

    def untuned(self, dtype: str, accumulator: str, groups: int = 1) -> str | None:
        """Why tuning brings a layer that computes in `dtype` onto no unit here, or None where it does."""
        support = self.dtypes.get(dtype)
        if support is None:
            return f"nothing is known of {dtype} on {self.name}"
        if not support.tuned:
            others = [name for name, other in self.dtypes.items() if other.tuned]
            return (support.untuned or support.note) + (f"; {' and '.join(others)} are tuned here" if others else "")
        sums = dict.fromkeys(sum for tuned in support.tuned for sum in tuned.accumulators)
        if accumulator not in sums:
            return f"on {self.name} only sums in {' or '.join(sums)} are tuned for {dtype}, not in {accumulator}"
        if groups > 1 and not any(tuned.grouped for tuned in support.tuned):
            return f"it has {groups} groups, and no tensor-core intrinsic takes a grouped convolution"
        return None
