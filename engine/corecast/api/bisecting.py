"""The command `bisect`: a recipe that breaks a model in, the layers and lines that do it out, with exceptions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from corecast.api.evidence import Given
from corecast.api.isolated import isolated
from corecast.api.library import find_recipe, library
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
    Packs,
    Params,
    RulesPath,
    Shapes,
    TargetName,
    Weights,
    calibration_in,
    parse_params,
    refuse_existing,
    target_of,
    write_whole,
)
from corecast.api.ranges import ranges_for
from corecast.api.recipes import read_recipe
from corecast.api.running import read_to_run
from corecast.bisect import Bisection, Probe, bisect, exceptions, with_exceptions
from corecast.lang import Source
from corecast.model import LayerTable
from corecast.plan import Plan, compress
from corecast.plan import plan as make_plan
from corecast.plan.ids import shorten
from corecast.recipe import Bound
from corecast.report import Reporter, rows_table
from corecast.report.activity import doing
from corecast.verify import BEYOND_RANGES, bounds_of, is_forgiving, is_quantized

# Of a ranking, the first are printed; --json has all.
MOST_SHOWN = 10


def bisect_(
    rules: RulesPath,
    model: ModelPath,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Write the recipe with exceptions here.", metavar="FIXED.rules"),
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(min=0.0, help="The error to stay within, instead of what the recipe expects or `verify` allows."),
    ] = None,
    data: DataPath = None,
    labels: LabelsPath = None,
    metric: MetricName = None,
    calibration: CalibrationPath = None,
    seed: Annotated[int, typer.Option(help="Of the inputs, where there is no data.")] = 0,
    target: TargetName = None,
    param: Params = None,
    packs: Packs = None,
    weights: Weights = None,
    shape: Shapes = None,
    function: FunctionName = None,
    ir: IrName = None,
    json_: Json = False,
) -> None:
    """Name the layers and the lines of the rules that break a recipe on a model, and write exceptions for them."""
    reporter = Reporter()
    if output:
        refuse_existing(output)
    adapter, prepared, pair_of = read_to_run("bisect", model, weights, shape, function, ir, reporter)
    table = adapter.survey(prepared)
    given = parse_params(param)

    def replan(recipe: str | Source) -> Plan:
        return make_plan(read_recipe(recipe, table, params=given, packs=packs or ()), table, target_of(target))

    decided = replan(rules)
    asked = Given(seed, data, labels, metric)
    evidence = asked.evidence(table)
    ranges = ranges_for(adapter, prepared, table, calibration_in(calibration), data)
    ranges.check(decided)
    bounds = _bounds(decided) if tolerance is None else ()
    measurer = Measurer(
        lambda plan: pair_of(adapter.apply(plan, prepared, ranges.of(plan)).converted, whole=asked.is_by_metric),
        seed,
        evidence=evidence,
        bounds=bounds,
    )
    with isolated(measurer) as measure, reporter.progress("bisect") as progress, doing(f"bisect {table.model}"):
        found = bisect(
            decided,
            measure,
            dtypes=pair_of(prepared).coarse,
            seed=seed,
            compared=lambda: measure.compared,
            tolerance=tolerance,
            bounds=bounds,
            inputs=evidence.told,
            on_probe=partial(_show, progress),
        )
    if json_:
        reporter.json(found.model_dump_json(indent=2))
    else:
        _tell(found, table, reporter)
    if found.outcome != "passes" and data is None and is_quantized(decided):
        reporter.note(BEYOND_RANGES)
    if output and found.left_out:
        source = find_recipe(rules, library(packs or ()))[0]
        text = with_exceptions(Source(str(output), source.text, output), decided, found, table, replan)
        write_whole(output, text)
        reporter.note(f"wrote {output}: the recipe with these exceptions")
    elif output:
        why = "needed" if found.outcome == "passes" else "of help"
        reporter.note(f"{output} was not written: no exception is {why}")
    if found.outcome != "passes":
        raise typer.Exit(1)


def _bounds(plan: Plan) -> tuple[Bound, ...]:
    """What is judged by, where it is no tolerance that follows what is left of a plan."""
    return bounds_of(plan) if plan.expects or is_forgiving(plan) else ()


def _show(progress: Callable[[str, int, int, str], None], probe: Probe) -> None:
    """A culprit is found in about twice the binary logarithm of the decisions; more are taken where there are more."""
    expected = max(probe.number, 3 + 2 * probe.decisions.bit_length())
    progress("probes", probe.number, expected, f"{probe.kept} of {probe.decisions} decisions: {probe.measured.text}")


# ── what is told ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _tell(found: Bisection, table: LayerTable, reporter: Reporter) -> None:
    reporter.text("\n".join(_said(found)))
    if not found.left_out:
        return
    reporter.text(
        "\neach of these breaks it by itself:\n"
        if found.outcome == "culprits"
        else "\nit takes many or several together; these weigh most, and without them it passes:\n"
    )
    reporter.show(_table(found))
    if found.outcome == "together":
        reporter.text(_ranking(found))
    reporter.text(f"\n{exceptions(found, table)}")


def _said(found: Bisection) -> Iterator[str]:
    what = f"{found.recipe} on {found.model}"
    allowed = " is ".join(found.allowed.rsplit(" ", 1))
    match found.outcome:
        case "passes":
            yield f"{what} passes: {found.whole.text} with all {_so_many(found.decisions, 'decision')}, {allowed}"
        case "fails-anyway":
            yield f"no rule is to blame: {found.model} fails with no decision carried out, too"
            yield f"  measured  {found.nothing} with none, {found.whole} with all; {allowed}"
        case _:
            errors = f"{found.whole.text} with all {_so_many(found.decisions, 'decision')}"
            yield f"{what} fails: {errors}, {found.rest} without {len(found.left_out)} of them; {allowed}"
    measured = found.nothing if found.outcome == "fails-anyway" and found.nothing else found.whole
    if measured.reason:
        yield f"  reason    {measured.reason}"
    if found.hard_casts:
        yield f"  integers  {_so_many(found.hard_casts, 'cast')} without a scale: `verify` never calls that a pass"
    yield f"  compared  {found.compared}, {found.on}; {_so_many(found.probes, 'probe')}"


def _so_many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _table(found: Bisection) -> Table:
    rows = (
        (
            f"{item.layer} ({item.parameter})" if item.parameter else item.layer,
            f"{item.rule} ({item.place})",
            item.edit,
            str(item.alone),
            str(item.without or ""),
        )
        for item in found.left_out
    )
    return rows_table(("layer", "rule", "edit", ">error with it alone", ">error without it"), rows)


def _ranking(found: Bisection) -> str:
    lines = [f"  {item.alone}  {shorten(compress(dict.fromkeys(item.layers)))}" for item in found.ranking[:MOST_SHOWN]]
    if more := len(found.ranking) - MOST_SHOWN:
        lines += [f"  and {more} more, with smaller ones"] if more > 0 else []
    return "\n".join(["\nerrors of each alone, the largest first:", *lines])
