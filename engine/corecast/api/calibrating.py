"""The command `calibrate`: a recipe that quantizes, a model and a folder of data in, a calibration file out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Annotated

import typer

from corecast.api.options import (
    FunctionName,
    IrName,
    ModelPath,
    Packs,
    Params,
    RulesPath,
    Shapes,
    TargetName,
    UsageError,
    Weights,
    check_place,
    load_prepared,
    parse_params,
    target_of,
    write_whole,
)
from corecast.api.ranges import calibrated_by
from corecast.api.recipes import read_recipe
from corecast.lang import Problem
from corecast.plan import plan as make_plan
from corecast.plan.ids import shorten
from corecast.quantization import Calibration, CalibrationError, Method, format_calibration, read_calibration
from corecast.report import Reporter

# A report for every sample would be too many of them where it is no bar that they move.
SECONDS_BETWEEN_REPORTS = 1.0


def calibrate_(
    rules: RulesPath,
    model: ModelPath,
    data: Annotated[
        Path, typer.Option("--data", help="A folder of .npy and .npz files, a sample or a batch each.", metavar="DIR")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="The calibration to write.", metavar="FILE")],
    method: Annotated[
        str, typer.Option(help="min-max, percentile (99.99), 'percentile 99.9', entropy or mse.")
    ] = "percentile",
    ir: IrName = None,
    target: TargetName = None,
    param: Params = None,
    packs: Packs = None,
    weights: Weights = None,
    shape: Shapes = None,
    function: FunctionName = None,
) -> None:
    """Run a model on data and write the ranges of the values that a recipe makes integers of."""
    reporter = Reporter()
    Method.parse(method)
    _refuse_existing(output)
    check_place(output)
    adapter, prepared = load_prepared(model, weights, shape, function, ir, reporter)
    table = adapter.survey(prepared)
    recipe = read_recipe(rules, table, params=parse_params(param), packs=packs or ())
    decided = make_plan(recipe, table, target_of(target))
    with reporter.progress("calibrate") as show:
        found = calibrated_by(adapter, decided, prepared, data, method, _reports(show, str(data)))
    write_whole(output, format_calibration(found))
    reporter.text(f"{output}: ranges of {len(found.ranges)} values, {found.method} of {found.samples} samples")
    if constant := _constant(found):
        reporter.note(
            f"the same for every sample: {shorten(', '.join(constant))}; is this all that the model will see?"
        )


def _refuse_existing(path: Path) -> None:
    """Raise where something else than a calibration would be overwritten."""
    if path.is_file() or path.is_dir():
        try:
            read_calibration(path)
        except (CalibrationError, OSError) as error:
            message = "it exists already, and is no calibration"
            raise UsageError(Problem("output-exists", message, help="name another file", place=str(path))) from error


def _reports(show: Callable[[str, int, int, str], None], what: str) -> Callable[[int, int | None], None]:
    last = -SECONDS_BETWEEN_REPORTS

    def report(done: int, samples: int | None) -> None:
        nonlocal last
        if monotonic() - last >= SECONDS_BETWEEN_REPORTS or done == samples:
            last = monotonic()
            show(what, done, samples or done, "samples")

    return report


def _constant(found: Calibration) -> list[str]:
    return [name for name, values in found.ranges.items() if values.low == values.high]
