"""The commands that make and use bundles: apply, verify, tune, run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated
from zipfile import BadZipFile

import numpy as np
import typer
from numpy.typing import NDArray
from rich.table import Table

from corecast.adapters.whole import clear_abandoned, whole_file
from corecast.api.options import (
    BundlePath,
    Json,
    Packs,
    Params,
    Shapes,
    TargetName,
    UsageError,
    Weights,
    load_prepared,
    parse_params,
    target_of,
    writing,
)
from corecast.api.reading import find_layer
from corecast.api.recipes import read_recipe
from corecast.lang import Problem
from corecast.lang.format import format_value
from corecast.model import find_target
from corecast.plan import Plan, at_run_time, compress, predicted, read_plan, size_in_memory
from corecast.plan import plan as make_plan
from corecast.plan.plan import recipe_id
from corecast.recipe import Recipe
from corecast.report import Reporter, rows_table
from corecast.report.activity import doing
from corecast.verify import check_inputs, seeded_inputs

if TYPE_CHECKING:
    from corecast.adapters.relax import Model
    from corecast.backends import TaskResult, TuneProgress
    from corecast.model import LayerTable

HOST = "llvm"
HARD_CAST = "hard-cast"


def apply_(
    files: Annotated[
        list[str], typer.Argument(metavar="[RULES] MODEL", help="A recipe and a model; with --plan a model alone.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="The folder to make.", metavar="BUNDLE")],
    plan_file: Annotated[Path | None, typer.Option("--plan", help="Carry out this plan instead of making one.")] = None,
    target: TargetName = None,
    param: Params = None,
    packs: Packs = None,
    weights: Weights = None,
    shape: Shapes = None,
) -> None:
    """Convert a model as a recipe or a plan says, and write it as a bundle."""
    from corecast.adapters.relax import apply, refuse_existing, survey, write_bundle

    reporter = Reporter()
    refuse_existing(output)
    for draft in clear_abandoned(output):
        reporter.error(f"removed {draft}, which an earlier run was killed in the middle of")
    if plan_file and target:
        message = f"`--target` was decided when {plan_file} was made"
        raise UsageError(Problem("wrong-arguments", message, help="leave one of the two away"))
    rules, model_path = _rules_and_model(files, plan_file)
    prepared = load_prepared(model_path, weights, shape, reporter)
    table = survey(prepared)
    if plan_file:
        recipe = read_recipe(rules, table, params=parse_params(param), packs=packs or ()) if rules else None
        decided = _read_plan(plan_file, recipe, prepared, table)
    else:
        assert rules is not None, "_rules_and_model asks for rules where there is no plan"
        recipe = read_recipe(rules, table, params=parse_params(param), packs=packs or ())
        decided = make_plan(recipe, table, target_of(target))
    with reporter.step(f"convert {prepared.name}"):
        conversion = apply(decided, prepared)
    with reporter.step(f"write {output}"), writing(output):
        bundle = write_bundle(conversion, output)
    realised = conversion.realised
    reporter.text(f"{bundle.path}: {realised.layers} layers as decided")
    reporter.text(predicted(decided))
    reporter.text(
        f"realised:  {at_run_time(realised.layout_transforms, realised.casts)}, "
        f"parameters {size_in_memory(realised.parameter_bytes)}"
    )
    for warning in decided.warnings:
        reporter.text(warning)


def _rules_and_model(files: list[str], plan_file: Path | None) -> tuple[str | None, str]:
    if len(files) == 2:
        return files[0], files[1]
    if len(files) == 1 and plan_file:
        return None, files[0]
    help = "write `corecast apply RULES MODEL -o BUNDLE`, or `corecast apply MODEL --plan plan.yaml -o BUNDLE`"
    raise UsageError(Problem("wrong-arguments", f"{len(files)} arguments were given", help=help))


def _read_plan(path: Path, recipe: Recipe | None, model: Model, table: LayerTable) -> Plan:
    """A plan file, refused where it was made for another model or by other rules."""
    from corecast.adapters.relax import PlanMismatchError, check_plan

    try:
        decided = read_plan(path)
    except OSError as error:
        raise UsageError(Problem("no-plan", f"cannot read {path}: {error.strerror}")) from error
    except UnicodeDecodeError as error:
        raise UsageError(Problem("not-text", f"{path} is not UTF-8 text")) from error
    if recipe and recipe.hash != decided.recipe.hash:
        message = f"{recipe.source.name} is not the text that {path} was made from ({decided.recipe.file})"
        help = "make the plan anew, or leave the rules away"
        if recipe_id(recipe).params != decided.recipe.params:
            values = (f"--param {name}={format_value(value)}" for name, value in decided.recipe.params.items())
            help = f"its parameters were others ({' '.join(values)}): {help}"
        raise UsageError(Problem("other-rules", message, help=help))
    if decided.model.fingerprint != table.fingerprint:
        check_plan(decided, table)
        message = f"{path} was made for another model than {model.name}: its planned layers are alike, others differ"
        help = "compare `corecast layers` of both, and make the plan anew"
        raise PlanMismatchError(Problem("plan-mismatch", message, help=help))
    return decided


def verify(
    bundle: BundlePath,
    model: Annotated[str | None, typer.Option("--model", help="Where the original lies now, if it was moved.")] = None,
    seed: Annotated[int, typer.Option(help="Of the inputs.")] = 0,
    allow_hard_cast: Annotated[
        bool, typer.Option(help="Exit with 0 where only an integer cast keeps it from passing.")
    ] = False,
    json_: Json = False,
) -> None:
    """Run the original and the converted model on the same inputs and judge the difference."""
    from corecast.adapters.relax import read_bundle, record_verification
    from corecast.api.conversion import original_of, verify_bundle

    reporter = Reporter()
    with reporter.step(f"read {bundle} and its original"):
        found = read_bundle(bundle)
        original = original_of(found, model)
    with reporter.step("compile and run both, and the control"):
        verification = verify_bundle(found, original, seed)
    if json_:
        reporter.json(verification.model_dump_json(indent=2))
    else:
        reporter.text(str(verification))
    with writing(Path(bundle)):
        record_verification(found, verification)
    allowed = ("pass", HARD_CAST) if allow_hard_cast else ("pass",)
    if verification.verdict not in allowed:
        raise typer.Exit(1)


def tune(
    bundle: BundlePath,
    layer: Annotated[
        list[str] | None, typer.Option("--layer", help="Only this layer: an id, a weight or a node. Repeatable.")
    ] = None,
    trials: Annotated[
        int | None, typer.Option(min=1, help="Candidates for each kernel, instead of the plan's.")
    ] = None,
    target: Annotated[str, typer.Option(help="Where to measure.")] = HOST,
) -> None:
    """Search schedules for the layers that the plan marks, and keep the better ones in the bundle."""
    from corecast.adapters.relax import read_bundle, survey
    from corecast.api.conversion import tune_bundle
    from corecast.backends import TuneError

    reporter = Reporter()
    found = read_bundle(bundle)
    table = survey(found.model)
    layers = [find_layer(text, table).id for text in layer] if layer else None
    problems: TuneError | None = None
    with reporter.progress("tune") as progress:
        try:
            results = tune_bundle(
                found,
                find_target(target),
                layers=layers,
                trials=trials,
                progress=lambda state: progress(
                    f"kernel {state.number} of {state.tasks}, {state.task.name}", state.done, state.trials, _best(state)
                ),
            )
        except TuneError as error:
            results, problems = list(error.results), error
    reporter.show(tuned_table(results))
    if problems:
        raise problems


def _best(state: TuneProgress) -> str:
    failed = f", {state.failed} failed" if state.failed else ""
    return (f"best {state.best_us:.0f} us" if state.best_us is not None else "nothing measured yet") + failed


def tuned_table(results: Sequence[TaskResult]) -> Table:
    """Each kernel before and after, in microseconds."""
    rows = [
        (
            compress(result.layers),
            result.workload,
            f"{result.trials - result.failed} of {result.trials}",
            f"{result.before_us:.0f}",
            f"{result.after_us:.0f}",
            f"{result.before_us / result.after_us:.1f}x" if result.kept_default is None else result.kept_default,
        )
        for result in results
    ]
    return rows_table(("layers", "kernel", ">ran", ">before, us", ">after, us", "gain"), rows)


def run(
    bundle: BundlePath,
    input_file: Annotated[
        Path | None, typer.Option("--input", help="An .npz with the model's inputs; else seeded ones.")
    ] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write the outputs here, as .npz.")] = None,
    seed: Annotated[int, typer.Option(help="Of the inputs, where none are given.")] = 0,
) -> None:
    """Build a bundle for this machine's CPU, with what was tuned, and run it."""
    from corecast.adapters.relax import read_bundle, survey
    from corecast.api.conversion import runner_of

    reporter = Reporter()
    found = read_bundle(bundle)
    types = survey(found.model).arguments
    inputs = check_inputs(_read_inputs(input_file), types) if input_file else seeded_inputs(types, seed)
    with reporter.step(f"build {bundle} for this CPU"):
        runner = runner_of(found, find_target(HOST))
    start = perf_counter()
    with doing(f"run {bundle}"):
        results = runner(*inputs.values())
    seconds = perf_counter() - start
    for number, array in enumerate(results):
        reporter.text(f"output{number}: {_describe(array)}")
    tuned = len(runner.tuned)
    kernels = f"{tuned} kernels are tuned, the others" if tuned else "all kernels"
    reporter.text(f"one run: {seconds:.2f} s; {kernels} are TVM's plain loops: tune them before you compare")
    if output:
        _write_outputs(output, results)


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
        raise UsageError(Problem("bad-input-file", f"cannot read {path}: {error.strerror}")) from error
    except (ValueError, BadZipFile) as error:
        help = "write it with `numpy.savez`, under the names of the inputs"
        raise UsageError(Problem("bad-input-file", f"{path} is no .npz file of plain arrays", help=help)) from error


def _write_outputs(path: Path, results: list[NDArray[np.generic]]) -> None:
    if path.is_file() and path.suffix != ".npz":
        raise UsageError(Problem("output-exists", f"{path} exists already and is no .npz", help="name another file"))

    named = {f"output{number}": array for number, array in enumerate(results)}
    with writing(path), whole_file(path) as draft, draft.open("wb") as file:
        np.savez(file, **named)  # type: ignore[arg-type]
