"""Edits: the closed set of changes that a plan may decide on and every adapter must know how to make.

The set of actions is open, this one is not: an action proposes edits, an adapter performs them.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from corecast.model import PaddedAxis, dtype_bits
from corecast.model.record import Record

Property = Literal["layout", "dtype", "schedule", "channels", "batch"]
PROPERTIES: tuple[Property, ...] = ("layout", "dtype", "schedule", "channels", "batch")


class ChangeLayout(Record):
    """Compute in these data and kernel layouts, given as axis letters: `HWNC`, `HWOI`."""

    kind: Literal["layout"] = "layout"
    data: str
    kernel: str

    @property
    def property(self) -> Property:
        return "layout"

    def __str__(self) -> str:
        return f"layout {self.data}, {self.kernel}"


class ChangeDType(Record):
    """Cast the operands to `dtype`, compute and accumulate in `accumulator`, and cast the result back."""

    kind: Literal["dtype"] = "dtype"
    dtype: str
    accumulator: str

    @field_validator("dtype", "accumulator")
    @classmethod
    def _known(cls, dtype: str) -> str:
        if dtype_bits(dtype) not in (4, 8, 16, 32, 64):
            raise ValueError(f"unknown dtype {dtype!r}")
        return dtype

    @property
    def property(self) -> Property:
        return "dtype"

    def __str__(self) -> str:
        return f"dtype {self.dtype} -> {self.accumulator}"


class Quantize(Record):
    """Compute on integers: activations in `activations`, weights in int8, sums in int32, by calibrated scales.

    Activations have one scale a tensor, and a zero point unless they are `symmetric`; weights are symmetric, with a
    scale for each output channel or one for all.
    """

    kind: Literal["quantize"] = "quantize"
    activations: Literal["int8", "uint8"]
    symmetric: bool
    weights: Literal["per_channel", "per_tensor"]

    @property
    def property(self) -> Property:
        return "dtype"

    def __str__(self) -> str:
        zero_point = "" if self.symmetric or self.activations == "uint8" else " asymmetric"
        return f"quantize {self.activations}{zero_point}" + (
            ", weights per tensor" if self.weights == "per_tensor" else ""
        )


class Tune(Record):
    """Search `trials` schedules (or take the tuner's own number) with the named tuner."""

    kind: Literal["tune"] = "tune"
    tuner: str
    trials: int | None = None

    @property
    def property(self) -> Property:
        return "schedule"

    def __str__(self) -> str:
        return f"tune {self.tuner}" + (f", {self.trials} trials" if self.trials else "")


class Pad(Record):
    """Compute with an axis filled up with zeros to the next multiple of `to`: all channels, or the batch."""

    kind: Literal["pad"] = "pad"
    axis: PaddedAxis
    to: int = Field(ge=2)

    @property
    def property(self) -> Property:
        return self.axis

    def __str__(self) -> str:
        return f"pad {self.axis} to {self.to}"


class Keep(Record):
    """Leave a property as the model had it, whatever happens around the layer."""

    kind: Literal["keep"] = "keep"
    property: Property

    def __str__(self) -> str:
        return f"keep {self.property}"


Edit = Annotated[ChangeLayout | ChangeDType | Quantize | Tune | Pad | Keep, Field(discriminator="kind")]
