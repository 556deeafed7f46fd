"""The commands that make and run bundles: apply, run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any
from zipfile import BadZipFile

import numpy as np
import typer
from numpy.typing import NDArray

from corecast.adapters.agreement import PlanMismatchError, Realised, check_plan
from corecast.adapters.bundle import read_report, refuse_existing
from corecast.adapters.door import Adapter, find_adapter
from corecast.adapters.proof import Run
from corecast.adapters.toolchain import refuse_other_ir
from corecast.adapters.whole import clear_abandoned, whole_file
from corecast.api.options import (
    BundlePath,
    CalibrationPath,
    FunctionName,
    Packs,
    Params,
    Shapes,
    TargetName,
    UsageError,
    Weights,
    calibration_in,
    load_options,
    load_prepared,
    parse_params,
    plan_in,
    target_of,
    writing,
    written_in,
)
from corecast.api.recipes import read_recipe
from corecast.lang import Problem
from corecast.lang.spell import format_value
from corecast.model import LayerTable, find_target
from corecast.plan import Plan, at_run_time, predicted, size_in_memory
from corecast.plan import plan as make_plan
from corecast.plan.ids import shorten
from corecast.plan.plan import recipe_id
from corecast.recipe import Recipe
from corecast.report import Reporter
from corecast.report.activity import doing
from corecast.verify import check_inputs, inputs_for

HOST = "llvm"


def apply_(
    files: Annotated[
        list[str], typer.Argument(metavar="[RULES] MODEL", help="A recipe and a model; with --plan a model alone.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="The folder to make, or OUT.onnx.", metavar="BUNDLE")],
    plan_file: Annotated[Path | None, typer.Option("--plan", help="Carry out this plan instead of making one.")] = None,
    calibration: CalibrationPath = None,
    target: TargetName = None,
    param: Params = None,
    packs: Packs = None,
    weights: Weights = None,
    shape: Shapes = None,
    function: FunctionName = None,
) -> None:
    """Convert a model as a recipe or a plan says, and write it as a bundle, or as an ONNX file where OUT is one."""
    reporter = Reporter()
    ir = written_in(output)
    (find_adapter(ir).refuse_existing if ir else refuse_existing)(output)
    for draft in clear_abandoned(output):
        reporter.error(f"removed {draft}, which an earlier run was killed in the middle of")
    if plan_file and target:
        message = f"`--target` was decided when {plan_file} was made"
        raise UsageError(Problem("wrong-arguments", message, help="leave one of the two away"))
    rules, model_path = _rules_and_model(files, plan_file)
    ranges = calibration_in(calibration)
    adapter, prepared = load_prepared(model_path, weights, shape, function, ir, reporter)
    table = adapter.survey(prepared)
    if plan_file:
        recipe = read_recipe(rules, table, params=parse_params(param), packs=packs or ()) if rules else None
        decided = _read_plan(plan_file, recipe, table)
    else:
        assert rules is not None, "_rules_and_model asks for rules where there is no plan"
        recipe = read_recipe(rules, table, params=parse_params(param), packs=packs or ())
        decided = make_plan(recipe, table, target_of(target))
    if ranges and not decided.integers:
        reporter.note(f"{calibration} is not needed: the plan quantizes nothing")
    with reporter.step(f"convert {table.model}"):
        conversion = adapter.apply(decided, prepared, ranges)
    if conversion.origin is None:
        origin = partial(adapter.origin, model_path, **load_options(weights, shape, function))
        conversion = replace(conversion, origin=origin)
    for warning in conversion.warnings:
        reporter.note(str(warning))
    with reporter.step(f"write {output}"), writing(output):
        adapter.write(conversion, output)
    realised = conversion.realised
    reporter.text(f"{output}: {realised.layers} layers as decided")
    reporter.text(predicted(decided))
    costs = realised.layout_transforms, realised.casts, realised.quantized, realised.dequantized
    reporter.text(f"realised:  {at_run_time(*costs, realised.fills, realised.cuts)}{_parameters(realised)}")
    for text in decided.warnings:
        reporter.text(text)


def _parameters(realised: Realised) -> str:
    if realised.parameter_bytes is None:
        return "; TVM converts the parameters when it builds the module"
    return f", parameters {size_in_memory(realised.parameter_bytes)}"


def _rules_and_model(files: list[str], plan_file: Path | None) -> tuple[str | None, str]:
    if len(files) == 2:
        return files[0], files[1]
    if len(files) == 1 and plan_file:
        return None, files[0]
    help = "write `corecast apply RULES MODEL -o BUNDLE`, or `corecast apply MODEL --plan plan.yaml -o BUNDLE`"
    raise UsageError(Problem("wrong-arguments", f"{len(files)} arguments were given", help=help))


def _read_plan(path: Path, recipe: Recipe | None, table: LayerTable) -> Plan:
    """A plan file, refused where it was made for another model or by other rules."""
    decided = plan_in(path)
    if recipe and recipe.hash != decided.recipe.hash:
        message = f"{recipe.source.name} is not the text that {path} was made from ({decided.recipe.file})"
        help = "make the plan anew, or leave the rules away"
        if recipe_id(recipe).params != decided.recipe.params:
            values = (f"--param {name}={format_value(value)}" for name, value in decided.recipe.params.items())
            help = f"its parameters were others ({' '.join(values)}): {help}"
        raise UsageError(Problem("other-rules", message, help=help))
    if decided.model.fingerprint != table.fingerprint:
        check_plan(decided, table)
        message = f"{path} was made for another model than {table.model}: its planned layers are alike, others differ"
        help = f"`corecast plan RULES MODEL --diff {path}` tells what is another; make the plan anew"
        raise PlanMismatchError(Problem("plan-mismatch", message, help=help))
    known = {name: summary.digest for name in decided.model.weights if (summary := table.weight(name))}
    others = [name for name, digest in decided.model.weights.items() if known.get(name) != digest]
    if others:
        message = (
            f"{path} was decided by the values of weights, and those of {shorten(', '.join(others))} are others now"
        )
        raise PlanMismatchError(Problem("plan-mismatch", message, help="make it anew: `corecast plan RULES MODEL`"))
    return decided


def refuse_relay(bundle: Path, command: str) -> None:
    """Raise where a bundle's IR cannot be read here, or is Relay, whose modules are run by their own toolchain."""
    ir = read_report(bundle).ir
    refuse_other_ir(ir, f"{bundle} holds a {ir.capitalize()} module")
    if ir == "relay":
        help = f"build `corecast.adapters.relay.read_bundle({str(bundle)!r}).model.module` with that TVM"
        message = f"`corecast {command}` takes bundles of Relax modules only"
        raise UsageError(Problem("relay-bundle", message, help=help))


def run(
    bundle: BundlePath,
    input_file: Annotated[
        Path | None, typer.Option("--input", help="An .npz with the model's inputs; else seeded ones.")
    ] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write the outputs here, as .npz.")] = None,
    seed: Annotated[int, typer.Option(help="Of the inputs, where none are given.")] = 0,
) -> None:
    """Run a bundle, built for this machine's CPU with what was tuned, or a file whose adapter can run it."""
    reporter = Reporter()
    if ir := written_in(bundle):
        table, ready = _file_to_run(find_adapter(ir), bundle, reporter)
    else:
        table, ready = _bundle_to_run(bundle)
    inputs = check_inputs(_read_inputs(input_file), table.arguments) if input_file else inputs_for(table, seed)
    with reporter.step(f"build {bundle} for this CPU"):
        run, remark = ready()
    start = perf_counter()
    with doing(f"run {bundle}"):
        results = run(inputs)
    seconds = perf_counter() - start
    for number, array in enumerate(results):
        reporter.text(f"output{number}: {_describe(array)}")
    reporter.text(f"one run: {seconds:.2f} s; {remark}")
    if output:
        _write_outputs(output, results)


# The layers of what is to be run, and what makes it ready: a function, and what to know of the time that it takes.
_ToRun = tuple[LayerTable, Callable[[], tuple[Run, str]]]


def _file_to_run(adapter: Adapter[Any], path: Path, reporter: Reporter) -> _ToRun:
    with reporter.step(f"read {path}"):
        model = adapter.load(str(path))
    return adapter.survey(model), lambda: (adapter.runner(model), "what checks a model is no measure of its speed")


def _bundle_to_run(bundle: Path) -> _ToRun:
    refuse_relay(bundle, "run")
    from corecast.adapters.relax import read_bundle, survey
    from corecast.api.conversion import runner_of

    found = read_bundle(bundle)

    def ready() -> tuple[Run, str]:
        runner = runner_of(found, find_target(HOST))
        tuned = len(runner.tuned)
        kernels = f"{tuned} kernels are tuned, the others" if tuned else "all kernels"
        remark = f"{kernels} are TVM's plain loops: tune them before you compare"
        return lambda inputs: runner(*inputs.values()), remark

    return survey(found.model), ready


def _describe(array: NDArray[np.generic]) -> str:
    values = array.astype(np.float64)
    shape = "x".join(map(str, array.shape))
    return f"{array.dtype} {shape}, from {values.min():.4g} to {values.max():.4g}, mean {values.mean():.4g}"


def _read_inputs(path: Path) -> dict[str, NDArray[np.generic]]:
    try:
        file = np.load(path, allow_pickle=False)
        if isinstance(file, np.ndarray):
            raise ValueError("one array without a name")
        with file:
            return dict(file)
    except OSError as error:
        message = f"it cannot be read: {error.strerror}"
        raise UsageError(Problem("bad-input-file", message, place=str(path))) from error
    except (ValueError, BadZipFile) as error:
        help = "write it with `numpy.savez`, under the names of the inputs"
        message = "this is no .npz file of plain arrays"
        raise UsageError(Problem("bad-input-file", message, help=help, place=str(path))) from error


def _write_outputs(path: Path, results: Sequence[NDArray[np.generic]]) -> None:
    if path.is_file() and path.suffix != ".npz":
        help = "name another file"
        raise UsageError(Problem("output-exists", "it exists already and is no .npz", help=help, place=str(path)))

    named = {f"output{number}": array for number, array in enumerate(results)}
    with writing(path), whole_file(path) as draft, draft.open("wb") as file:
        np.savez(file, **named)  # type: ignore[arg-type]
