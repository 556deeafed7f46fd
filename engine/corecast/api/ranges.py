"""Plans that quantize, and data or a calibration in; for each plan the ranges that it needs out, each observed once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from corecast.adapters.calibrate import OnSamples, calibrated
from corecast.adapters.door import Adapter
from corecast.model import LayerTable
from corecast.plan import Plan
from corecast.plan.integers import integers
from corecast.quantization import Calibration
from corecast.quantization.scales import not_calibrated


class Ranges:
    """A calibration that grows with the plans that are tried: each may make integers of values that none before did."""

    def __init__(
        self,
        table: LayerTable,
        given: Calibration | None = None,
        calibrate: Callable[[Plan], Calibration] | None = None,
    ):
        """Make ready; nothing is run yet.

        Args:
            table: the layers of the model.
            given: ranges that are known already.
            calibrate: observes those that a plan needs; without it, a plan that needs others cannot be carried out.
        """
        self._table = table
        self._known = given
        self._calibrate = calibrate

    def check(self, plan: Plan) -> None:
        """Raise `CalibrationError` where a plan quantizes, and there are no ranges."""
        needed = integers(self._table, plan.decided("dtype"))
        if needed.to_observe and self._known is None and self._calibrate is None:
            raise not_calibrated(len(needed.edits))

    def of(self, plan: Plan) -> Calibration | None:
        """The ranges for a plan, or what is known of them; None where there is nothing. Raises as `calibrate` does."""
        needed = set(integers(self._table, plan.decided("dtype")).to_observe)
        known = self._known.ranges if self._known else {}
        if self._calibrate is not None and needed - known.keys():
            found = self._calibrate(plan)
            self._known = found.model_copy(update={"ranges": {**found.ranges, **known}})
        return self._known if needed else None


def ranges_for(
    adapter: Adapter[Any], model: Any, table: LayerTable, given: Calibration | None, data: Path | None
) -> Ranges:
    """The ranges of a model's values: those given, and where there is data those that it shows, by percentile.

    Raises `CalibrationError` where those given are of another model: what is observed would be mixed with them.
    """
    if given is not None:
        given.check(table)
    if data is None:
        return Ranges(table, given)
    return Ranges(table, given, lambda plan: calibrated_by(adapter, plan, model, data, "percentile"))


def calibrated_by(
    adapter: Adapter[Any], plan: Plan, model: Any, data: Path, method: str, report: OnSamples | None = None
) -> Calibration:
    """By TVM for a Relax module, by its adapter for any other model."""
    if adapter.ir == "relax":
        from corecast.api.calibration import calibrate

        return calibrate(plan, model, data, method=method, progress=report)
    observed = partial(adapter.observed, model)
    return calibrated(plan, adapter.survey(model), observed, data, method=method, progress=report)
