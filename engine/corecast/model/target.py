"""What a target's matrix units can do, as plain data that a plan checks its requests against."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from corecast.model.record import Record


class Support(Record):
    """How a target computes with one input dtype, the accumulators it offers, and where that is known from."""

    level: Literal["native", "emulated", "absent"]
    accumulators: tuple[str, ...] = ()
    note: str = ""
    source: str


class Target(Record):
    """A compilation target: TVM's kind and its own name for the chip, with one row for each dtype that is known."""

    name: str
    kind: Literal["llvm", "cuda"]
    arch: str | None = None
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
