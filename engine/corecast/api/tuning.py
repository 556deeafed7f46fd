"""The command `tune`: a bundle in, schedules for its marked layers in the bundle out, with the tuner of its IR."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from math import isinf
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from corecast.adapters.bundle import RECORDS, layers_to_tune, read_report
from corecast.adapters.toolchain import refuse_other_ir
from corecast.api.options import BundlePath, UsageError, written_in
from corecast.api.reading import find_layer
from corecast.lang import Problem
from corecast.model import Layer, LayerTable, Target, find_target
from corecast.plan import compress
from corecast.report import Reporter, rows_table
from corecast.verify.tuned import TaskResult, TuneError, TuneProgress

if TYPE_CHECKING:
    from corecast.adapters.relay import Records, TemplateTask

Report = Callable[[TuneProgress], None]

LayerNames = Annotated[
    list[str] | None, typer.Option("--layer", help="Only this layer: an id, a weight or a node. Repeatable.")
]
Trials = Annotated[int | None, typer.Option(min=1, help="Candidates for each kernel, instead of the plan's.")]
Seconds = Annotated[float | None, typer.Option(min=1, help="Wall time for all of it; not for Relay.")]
TargetText = Annotated[str, typer.Option("--target", help="Where to measure: llvm, and for Relay also cuda:sm_80.")]
Seed = Annotated[int, typer.Option(help="Of the search.")]
EarlyStop = Annotated[
    int | None, typer.Option(min=1, help="End a search after so many candidates without a better one.")
]
TunerName = Annotated[
    str | None, typer.Option("--tuner", help="families, metaschedule, or an installed one; not for Relay.")
]
Again = Annotated[bool, typer.Option("--again", help="Search what is on record too, anew; not for Relay.")]
TrackerAddress = Annotated[
    str | None,
    typer.Option("--tracker", metavar="HOST:PORT", help="Measure on workers that this tracker lends; not for Relay."),
]
TrackerKey = Annotated[str | None, typer.Option("--key", help="The workers' label at the tracker.")]
Cached = Annotated[
    Path | None,
    typer.Option(
        "--records",
        envvar="CORECAST_RECORDS",
        help="A store that several bundles share: looked into first, and written to as well; not for Relay.",
    ),
]


def tune(
    bundle: BundlePath,
    layer: LayerNames = None,
    trials: Trials = None,
    seconds: Seconds = None,
    early_stop: EarlyStop = None,
    target: TargetText = "llvm",
    tuner: TunerName = None,
    seed: Seed = 0,
    records: Cached = None,
    again: Again = False,
    tracker: TrackerAddress = None,
    key: TrackerKey = None,
) -> None:
    """Search schedules for the layers that the plan marks, and keep the better ones in the bundle."""
    if file_ir := written_in(bundle):
        message = f"schedules are searched in bundles, and {bundle} is a file of the IR `{file_ir}`"
        help = "tune it with its own toolchain; what TVM imports can be made a bundle (`-o BUNDLE`) and tuned here"
        raise UsageError(Problem("no-tuner", message, help=help))
    ir = read_report(bundle).ir
    refuse_other_ir(ir, f"{bundle} holds a {ir.capitalize()} module")
    chip = find_target(target)
    if ir == "relay":
        if again or any(given is not None for given in (seconds, tuner, records, tracker, key)):
            options = "`--seconds`, `--tuner`, `--records`, `--again`, `--tracker` and `--key`"
            message = f"{options} are for Relax, and this bundle is Relay's"
            raise UsageError(Problem("wrong-arguments", message, help="leave them away"))
        _tune_relay(bundle, layer, chip, trials, seed, early_stop)
        return
    if (tracker is None) != (key is None):
        message = "`--tracker` and `--key` go together: where workers are lent, and which of them"
        raise UsageError(Problem("wrong-arguments", message, help="give both, or neither"))

    from corecast.api.conversion import tune_bundle
    from corecast.backends import Budget, Store, Tracker, find_tuner

    search = partial(
        tune_bundle,
        target=chip,
        budget=Budget(trials, seconds, early_stop, seed, again),
        tuner=find_tuner(tuner) if tuner else None,
        cached=[Store.create(records)] if records else [],
        tracker=Tracker.parse(tracker, key) if tracker and key else None,
    )
    _tune_relax(bundle, layer, search)


def _tune_relax(bundle: Path, names: list[str] | None, search: Callable[..., Sequence[TaskResult]]) -> None:
    from corecast.adapters.relax import read_bundle, survey

    found = read_bundle(bundle)
    layers = _ids(names, survey(found.model))
    _search(lambda report: search(found, layers=layers, progress=report))


def _tune_relay(
    bundle: Path, names: list[str] | None, target: Target, trials: int | None, seed: int, early_stop: int | None
) -> None:
    from corecast.adapters.relay import (
        Records,
        TasksError,
        extract,
        read_bundle,
        survey,
        target_text,
        tune,
        unmeasurable,
    )

    reporter = Reporter()
    found = read_bundle(bundle)
    table = survey(found.model)
    asked = layers_to_tune(found, _ids(names, table))
    with reporter.step(f"extract the tasks of {bundle} for {target.name}"):
        tasks = [task for task in extract(found.model.module, target_text(target)) if asked.keys() & set(task.layers)]
    records = Records(bundle / RECORDS)
    reporter.show(tasks_table(tasks, records))
    if target.kind == "cuda":
        reporter.text(_unfit(table.by_id[layer] for layer in asked))
    if not tasks:
        message = f"AutoTVM has no task for {compress(list(asked))} on {target.name}"
        raise TasksError(Problem("no-task", message, help="it has templates for convolutions"))
    if all(task.task in records for task in tasks):
        reporter.text(f"every task has a record in {records.file}: delete it to tune them anew")
        return
    if problem := unmeasurable(target):
        raise TasksError(problem)

    def most(task: TemplateTask) -> int | None:
        wishes = (asked[layer].trials for layer in task.layers if layer in asked)
        return trials or max((wish for wish in wishes if wish is not None), default=None)

    search = partial(tune, tasks, found.model.module, target, records, trials=most, seed=seed, early_stop=early_stop)
    _search(lambda report: search(progress=report))


def _unfit(layers: Iterable[Layer]) -> str:
    """What layers lack for the tensor-core template; layers that lack the same share a line."""
    from corecast.adapters.relay import lacks

    lacking: dict[tuple[str, ...], list[str]] = {}
    for layer in layers:
        lacking.setdefault(lacks(layer), []).append(layer.id)
    fitting = lacking.pop((), [])
    lines = [f"computed by the tensor-core template: {compress(fitting) or 'none'}"]
    return "\n".join([*lines, *(f"{compress(found)} not: {'; '.join(reasons)}" for reasons, found in lacking.items())])


def _ids(names: list[str] | None, table: LayerTable) -> list[str] | None:
    return [find_layer(name, table).id for name in names] if names else None


def _search(tuner: Callable[[Report], Sequence[TaskResult]]) -> None:
    """Run a tuner with its progress shown, and print what came of each kernel, also where others failed."""
    reporter = Reporter()
    problems: TuneError | None = None
    with reporter.progress("tune") as progress:
        try:
            results = tuner(
                lambda state: progress(
                    f"kernel {state.number} of {state.tasks}, {state.kernel}", state.done, state.trials, _best(state)
                )
            )
        except TuneError as error:
            results, problems = list(error.results), error
    reporter.show(tuned_table(results))
    if remarks := _not_first_choice(results):
        reporter.text(f"\n{remarks}")
    if problems:
        raise problems


def _best(state: TuneProgress) -> str:
    failed = f", {state.failed} failed" if state.failed else ""
    left = f", {state.seconds_left:.0f} s left" if state.seconds_left else ""
    return (f"best {state.best_us:.0f} us" if state.best_us is not None else "nothing measured yet") + failed + left


def tasks_table(tasks: Iterable[TemplateTask], records: Records) -> Table:
    """Each of AutoTVM's tasks with every layer that shares it, and whether a schedule for it is on record."""
    rows = (
        (
            compress(task.layers) or "none as it stands",
            task.template,
            str(task.data),
            str(task.kernel),
            str(task.schedules),
            "yes" if task.task in records else "",
        )
        for task in tasks
    )
    return rows_table(("layers", "template", "data", "kernel", ">schedules", "on record"), rows)


def tuned_table(results: Sequence[TaskResult]) -> Table:
    """Each kernel before and after, in microseconds, and the schedule that it has now where that has a name."""
    named = any(result.schedule for result in results)
    rows = (
        (
            compress(result.layers),
            result.workload,
            *([result.schedule] if named else []),
            "on record" if result.on_record else f"{result.trials - result.failed} of {result.trials}",
            "does not build" if isinf(result.before_us) else f"{result.before_us:.0f}",
            f"{result.after_us:.0f}",
            _gain(result),
        )
        for result in results
    )
    return rows_table(
        ("layers", "kernel", *(["schedule"] if named else []), ">ran", ">before, us", ">after, us", "gain"), rows
    )


def _not_first_choice(results: Iterable[TaskResult]) -> str:
    """Why a tuner that is asked later took some layers; those with the same reason share a line."""
    reasons: dict[str, list[str]] = {}
    for result in results:
        if result.remark:
            reasons.setdefault(result.remark, []).extend(result.layers)
    return "\n".join(f"{compress(layers)}: {reason}" for reason, layers in reasons.items())


def _gain(result: TaskResult) -> str:
    if result.kept_default is not None:
        return result.kept_default
    return "" if isinf(result.before_us) else f"{result.before_us / result.after_us:.1f}x"
