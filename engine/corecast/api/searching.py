"""The command `search`: a model, a target and a budget in, the rules with the cheapest dtypes that keep it out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from corecast.api.evidence import Given
from corecast.api.isolated import isolated
from corecast.api.measuring import Measurer
from corecast.api.options import (
    CalibrationPath,
    DataPath,
    FunctionName,
    IrName,
    Json,
    LabelsPath,
    MetricName,
    ModelPath,
    Shapes,
    UsageError,
    Weights,
    calibration_in,
    refuse_existing,
    write_whole,
)
from corecast.api.ranges import ranges_for
from corecast.api.recipes import read_recipe
from corecast.api.running import read_to_run
from corecast.lang import Problem, Source
from corecast.model import find_target
from corecast.plan import Plan, trial
from corecast.plan import plan as make_plan
from corecast.recipe import read_bound
from corecast.report import Reporter
from corecast.report.activity import doing
from corecast.search import Found, Tried, candidates, rules_of, search

# What is tried where nothing else is asked for, each where the target is native in it.
REQUESTS = ("quantize int8", "cast float8_e4m3", "cast float16", "cast bfloat16")


def search_(
    model: ModelPath,
    target: Annotated[str, typer.Option("--target", help="What it is for: cuda:sm_90a, llvm.", metavar="TARGET")],
    budget: Annotated[
        list[str],
        typer.Option("--budget", help="What has to hold of the answers: 'accuracy drop <= 0.5%'. Repeatable."),
    ],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write the rules here.", metavar="FOUND.rules")
    ] = None,
    request: Annotated[
        list[str] | None,
        typer.Option("--try", help=f"A request to try, instead of {', '.join(REQUESTS)}. Repeatable."),
    ] = None,
    data: DataPath = None,
    labels: LabelsPath = None,
    metric: MetricName = None,
    calibrate_on: Annotated[
        Path | None, typer.Option("--calibrate-on", help="Take ranges from this data, not from --data.", metavar="DIR")
    ] = None,
    calibration: CalibrationPath = None,
    seed: Annotated[int, typer.Option(help="Of the inputs, where there is no data.")] = 0,
    weights: Weights = None,
    shape: Shapes = None,
    function: FunctionName = None,
    ir: IrName = None,
    json_: Json = False,
) -> None:
    """Measure what each layer loses in each dtype, and write the cheapest rules that keep a budget of lost answers."""
    reporter = Reporter()
    if output:
        refuse_existing(output)
    bounds = [read_bound(text) for text in budget]
    if twice := [bound for number, bound in enumerate(bounds) if bound.metric in {b.metric for b in bounds[:number]}]:
        message = f"{twice[0].metric} is bounded twice"
        raise UsageError(Problem("bad-budget", message, help="keep one of the two", place="--budget"))
    samples = calibrate_on or data
    has_ranges = bool(samples or calibration)
    if not has_ranges and (quantizing := [item for item in request or () if item.startswith("quantize")]):
        message = f"`{quantizing[0]}` takes data to calibrate on, and none was given"
        help = "give it: `--data DIR`, or `--calibration FILE`"
        raise UsageError(Problem("no-data", message, help=help, place="--try"))
    chip = find_target(target)
    adapter, prepared, pair_of = read_to_run("search", model, weights, shape, function, ir, reporter)
    table = adapter.survey(prepared)
    given = Given(seed, data, labels, metric)
    evidence = given.evidence(table)
    ranges = ranges_for(adapter, prepared, table, calibration_in(calibration), samples)

    def tried(text: str) -> Plan:
        return trial(read_recipe(Source("search.rules", text), table), table, chip)[0]

    def planned(text: str) -> Plan:
        return make_plan(read_recipe(Source("found.rules", text), table), table, chip)

    requests = request or [item for item in REQUESTS if has_ranges or not item.startswith("quantize")]
    choices = candidates(table, chip, requests, tried)
    if not request and not has_ranges:
        reporter.note("nothing is quantized: that takes data to calibrate on, `--data DIR`")
    for text, reason in choices.declined.items() if choices.of else ():
        reporter.note(f"`{text}` is no candidate: {reason}")
    measurer = Measurer(
        lambda plan: pair_of(adapter.apply(plan, prepared, ranges.of(plan)).converted, whole=given.is_by_metric),
        seed,
        evidence=evidence,
        bounds=bounds,
    )
    with isolated(measurer) as measure, reporter.progress("search") as progress, doing(f"search {table.model}"):

        def show(tried: Tried) -> None:
            progress("probes", tried.number, tried.about, f"{tried.what}: {tried.measured.text}")

        found = search(
            choices,
            bounds,
            measure,
            seed=seed,
            compared=lambda: measure.compared,
            inputs=evidence.told,
            on_try=show,
        )
    text = rules_of(found, table, planned)
    if json_:
        reporter.json(found.model_dump_json(indent=2))
    else:
        reporter.text(_said(found))
        if output is None:
            reporter.text(f"\n{text}")
    if output:
        write_whole(output, text)
        reporter.note(f"wrote {output}")
    if any((item.request or "").startswith("quantize") for item in found.chosen) and not calibration:
        name, taken = output or "FOUND.rules", f" --ir {ir}" if ir else ""
        command = f"corecast calibrate {name} {model}{taken} --target {target} --data {samples} -o calibration.json"
        reporter.note(f"next: `{command}`")


def _said(found: Found) -> str:
    changed = [item.request for item in found.chosen if item.request]
    requests = ", ".join(f"{changed.count(request)} {request}" for request in dict.fromkeys(changed)) or "none changed"
    lines = [
        f"{found.model} for {found.target}: {found.whole.text}, where {', '.join(map(str, found.budget))} is asked",
        f"  layers    {len(found.chosen)} with a choice: {requests}",
        f"  cost      {found.cost:.1%} of what it was, by operations over the target's rates",
        f"  compared  {found.compared}, {found.inputs or f'inputs of seed {found.seed}'}; {found.probes} probes",
    ]
    return "\n".join(lines)
