"""A plan that quantizes, a model and data in; the ranges of the values that become integers out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial

from corecast.adapters.calibrate import OnSamples, calibrated
from corecast.adapters.relax import Model, emulate, emulated_dtypes, observed, survey
from corecast.api.comparing import HOST
from corecast.backends import Runner, build
from corecast.plan import Plan
from corecast.quantization import Calibration, Source
from corecast.quantization.files import Array
from corecast.report.activity import doing


def calibrate(
    plan: Plan,
    model: Model,
    data: Source,
    *,
    method: str = "percentile",
    progress: OnSamples | None = None,
) -> Calibration:
    """Run a float model on data and note in which ranges its values lie.

    It holds the model twice (numpy's weights and those of the compiled module), and one batch.

    Args:
        plan: one that quantizes, made for the layer table of `model`; it says which values are needed.
        model: what `prepare` returned.
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
        BuildError: where the model cannot be run here.
    """
    return calibrated(plan, survey(model), partial(_runner, model), data, method=method, progress=progress)


def _runner(model: Model, values: Iterable[str]) -> Callable[[Mapping[str, Array]], Mapping[str, Array]]:
    """Compile a model for this CPU; what comes gives the named values for inputs."""
    seen = observed(model, values)
    runnable = emulate(seen.model) if emulated_dtypes(seen.model) else seen.model
    with doing("the model to calibrate"):
        runner = Runner(build(runnable.module, HOST), runnable.parameters)
    names = [str(var.name) for var in runner.inputs]

    def run(inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        with doing("the model to calibrate"):
            return seen.named(runner(*(inputs[name] for name in names)))

    return run
