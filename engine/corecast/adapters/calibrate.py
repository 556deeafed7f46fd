"""A plan that quantizes, a way to look into a model and data in; the ranges of the values that become integers out."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from corecast.adapters.agreement import check_plan
from corecast.adapters.proof import Observed
from corecast.lang.problems import Problem
from corecast.model import LayerTable
from corecast.plan import Plan
from corecast.plan.integers import integers
from corecast.quantization import CalibratedModel, Calibration, CalibrationError, Data, Method, Source, observe

# How many samples were run, and how many there are, where that is known beforehand.
OnSamples = Callable[[int, int | None], None]


def calibrated(
    plan: Plan,
    table: LayerTable,
    observed: Callable[[Iterable[str]], Observed],
    data: Source,
    *,
    method: str = "percentile",
    progress: OnSamples | None = None,
) -> Calibration:
    """Run a float model on data and note in which ranges its values lie.

    Args:
        plan: one that quantizes, made for `table`; it says which values are needed.
        table: the layers of the model.
        observed: from the names of values to a function that gives them for inputs, as an adapter's `observed` does.
        data: a folder of `.npy` and `.npz` files, or anything that gives arrays (for a model of one input) or
            dictionaries of arrays by input. An array is a sample, or a batch along the first axis of the model's input.
        method: `min-max`, `percentile` (99.99), `percentile P`, `entropy` or `mse`.
        progress: called after each batch; what it raises ends the calibration, of which nothing is left then.

    Raises:
        PlanMismatchError: where the plan was made for another model.
        CalibrationError: where it quantizes nothing.
        MethodError: for a method that there is not.
        DataError: for data that is not there, does not fit the model, or is no numbers.
        ObservationError: where the model makes no numbers of the data, or a value never comes.
    """
    chosen = Method.parse(method)
    check_plan(plan, table)
    found = integers(table, plan.decided("dtype"))
    if not found.roles:
        help = "`corecast plan` shows what a recipe decides; apply this plan without a calibration"
        message = f"{plan.recipe.file} quantizes no layer of {table.model}"
        raise CalibrationError(Problem("nothing-to-calibrate", message, help=help))
    source = Data(data, table.arguments)
    ranges, samples = observe(
        observed(found.to_observe),
        source.batches(),
        found.to_observe,
        chosen,
        (lambda done: progress(done, source.samples)) if progress else None,
    )
    return Calibration(model=CalibratedModel.of(table), method=str(chosen), samples=samples, ranges=ranges)
