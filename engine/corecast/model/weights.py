"""What a rule may ask of the values of a weight, as plain data: found by an adapter when it is first asked for."""

from __future__ import annotations

import hashlib
from dataclasses import astuple, dataclass
from typing import Annotated, ClassVar, TypeAlias

from pydantic import ConfigDict, WithJsonSchema

# JSON has no infinity, so there it is a text.
_Number: TypeAlias = Annotated[
    float, WithJsonSchema({"anyOf": [{"type": "number"}, {"enum": ["Infinity", "-Infinity"]}]})
]


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightSummary:
    """The values of one weight. NaN is no number: it takes part in nothing but its own share and that of zeros.

    `min`, `max`, `mean` and `mean_abs` are None where there is no number at all, and where a mean of infinities is
    none. `zeros` and `nans` are shares of all elements, from 0 to 1; None for a weight without elements.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", ser_json_inf_nan="strings")

    min: _Number | None
    max: _Number | None
    mean: _Number | None
    mean_abs: _Number | None
    zeros: float | None
    nans: float | None

    @property
    def digest(self) -> str:
        """Sixteen characters that tell it from others. Means are sums, whose last digits depend on the machine."""
        values = [None if value is None else f"{value:.6g}" for value in astuple(self)]
        return hashlib.sha256(repr(values).encode()).hexdigest()[:16]
