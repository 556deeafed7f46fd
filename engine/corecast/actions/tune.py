"""`tune tensorcore trials 64`: search a schedule for the target's matrix unit instead of taking the default one.

`tensorcore` is the only tuner word today: on a CPU it searches the vector units. It does not apply on a target whose
matrix units no tuner reaches in the dtype that the layer will compute in. The plan only marks the layers; tuning
happens after `apply`, by `corecast tune`.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from corecast.model import WEIGHTED, Layer
from corecast.model.target import Target
from corecast.recipe import Action, Declined, Property, Tune


class TuneSchedule(Action):
    """`tune tensorcore [trials TRIALS]`."""

    verb: ClassVar[str] = "tune"
    positional = ("tuner",)
    keyed = ("trials",)

    tuner: Literal["tensorcore"]
    trials: int | None = Field(default=None, ge=1)

    @property
    def properties(self) -> tuple[Property, ...]:
        return ("schedule",)

    def excluded(self, op: str | None) -> Declined | None:
        if op is None or op in WEIGHTED or op == "matmul":
            return None
        return Declined("{} has no multiply-add that a matrix unit could do", op)

    def propose(self, layer: Layer, target: Target | None) -> tuple[Tune] | Declined:
        if layer.operator is None and layer.op != "matmul":
            return Declined("{} has no multiply-add that a matrix unit could do", layer.op)
        if target:
            dtype, sums = layer.operands[0].type.dtype, layer.results[0].dtype
            if objection := target.untuned(dtype, sums, layer.groups):
                return Declined("{}", objection)
        return (Tune(tuner=self.tuner, trials=self.trials),)
