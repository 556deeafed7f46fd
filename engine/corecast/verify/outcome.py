"""What measuring a plan came to, as one number that a search can go by."""

from __future__ import annotations

from math import isfinite

from pydantic import BaseModel, ConfigDict

from corecast.verify.measure import Extended


class Measured(BaseModel):
    """The error of a plan, relative to the largest output as `verify` has it; infinite where it gives no numbers.

    Where something is expected of the answers, it is the largest share that is used up of what is allowed, and `told`
    the metrics that were expected. `snr_db` is the signal-to-noise ratio of the outputs. `reason` says why there are no
    numbers: the plan cannot be carried out, compiled or run, or not all its outputs are numbers.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null")

    error: Extended
    reason: str | None = None
    told: str | None = None
    snr_db: Extended | None = None

    @property
    def text(self) -> str:
        """What was measured, and of what: `error 1.2e-03`, `cosine 0.998`."""
        return self.told or f"error {self}"

    def __str__(self) -> str:
        if self.told:
            return self.told
        return f"{self.error:.2e}" if isfinite(self.error) else "infinite"
