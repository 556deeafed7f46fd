"""The commands that read a model and change nothing: count, layers, plan, compile."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from pydantic import ValidationError

from corecast.adapters.door import Adapter, find_adapter
from corecast.adapters.toolchain import refuse_other_ir
from corecast.api.options import (
    FunctionName,
    IrName,
    Json,
    ModelPath,
    Packs,
    Params,
    RulesPath,
    Shapes,
    TargetName,
    UsageError,
    Weights,
    load_prepared,
    parse_params,
    plan_in,
    target_of,
    write_whole,
    writing,
)
from corecast.api.printed import PrintedPass
from corecast.api.recipes import read_recipe
from corecast.lang import Problem
from corecast.lang.problems import nearest
from corecast.model import Layer, LayerTable, count, format_table
from corecast.model.files import first_objection
from corecast.plan import Plan, PlanError, describe, format_plan
from corecast.plan import diff as compare
from corecast.plan import plan as make_plan
from corecast.report import Reporter, counts_table, layers_table

EmitPath = Annotated[
    Path | None, typer.Option("--emit", help="For Relay: write the conversion here, as a script for that TVM.")
]
Ops = Annotated[list[str] | None, typer.Option("--op", help="Only this operator. Repeatable.")]


def count_layers(
    model: ModelPath,
    op: Ops = None,
    weights: Weights = None,
    shape: Shapes = None,
    function: FunctionName = None,
    ir: IrName = None,
    json_: Json = False,
) -> None:
    """Count the calls of each operator, and how many of them stand one after another."""
    reporter = Reporter()
    table = survey_of(model, weights, shape, function, ir, reporter)
    _check_operators(op or (), table)
    ops = op or sorted(table.by_op, key=lambda name: -len(table.by_op[name]))
    counts = [count(table, [name]) for name in ops]
    if op and len(op) > 1:
        counts.append(count(table, op))
    if json_:
        reporter.json(json.dumps([item.model_dump() for item in counts], indent=2))
    else:
        reporter.show(counts_table(counts))


def layers(
    model: ModelPath,
    op: Ops = None,
    weights: Weights = None,
    shape: Shapes = None,
    function: FunctionName = None,
    text: Annotated[bool, typer.Option("--text", help="Print the table as the cases of a recipe have it.")] = False,
    values: Annotated[
        bool, typer.Option("--values", help="With --json or --text: what rules may ask of each weight's values too.")
    ] = False,
    ir: IrName = None,
    json_: Json = False,
) -> None:
    """List the layers of a model as recipes name them: ids, weights, nodes of the source model, shapes, cost."""
    reporter = Reporter()
    table = survey_of(model, weights, shape, function, ir, reporter)
    _check_operators(op or (), table)
    if values:
        if not (json_ or text):
            raise UsageError(Problem("wrong-arguments", "`--values` goes with `--json` or `--text`", help="add one"))
        table = table.with_weights()
    if json_:
        reporter.json(table.model_dump_json(indent=2))
    elif text:
        reporter.json(format_table(table))
    else:
        reporter.show(layers_table(layer for layer in table.layers if not op or layer.op in op))


def plan(
    rules: RulesPath,
    model: ModelPath,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write the plan here, as YAML to be committed.")
    ] = None,
    diff: Annotated[
        Path | None,
        typer.Option("--diff", help="Show what differs from this plan instead, and exit with 1 if anything does."),
    ] = None,
    overlay: Annotated[
        Path | None,
        typer.Option("--overlay", help="Write a copy of an ONNX model with the plan on its nodes, for graph viewers."),
    ] = None,
    target: TargetName = None,
    param: Params = None,
    packs: Packs = None,
    weights: Weights = None,
    shape: Shapes = None,
    function: FunctionName = None,
    ir: IrName = None,
    json_: Json = False,
) -> None:
    """Show every decision about a model, and the line that made it. Nothing is changed."""
    reporter = Reporter()
    older = plan_in(diff) if diff else None
    table, read = _read(model, weights, shape, function, ir, reporter)
    try:
        decided = make_plan(
            read_recipe(rules, table, params=parse_params(param), packs=packs or ()), table, target_of(target)
        )
    except PlanError as error:
        if not json_:
            reporter.text(str(compare(older, error.plan)) if older else describe(error.plan, table))
        raise
    if read:
        for warning in read.adapter.warnings(read.model, table, decided):
            reporter.note(str(warning))
    if output:
        _write_plan(output, format_plan(decided))
    if overlay:
        _write_overlay(model, table, decided, overlay, reporter)
    difference = compare(older, decided) if older else None
    if json_:
        reporter.json((difference or decided).model_dump_json(indent=2))
    else:
        reporter.text(str(difference) if difference else describe(decided, table))
    if difference and not difference.is_empty:
        raise typer.Exit(1)


def _write_overlay(model: str, table: LayerTable, decided: Plan, path: Path, reporter: Reporter) -> None:
    from corecast.adapters.onnx.overlay import write_overlay

    if not model.endswith(".onnx") or path.resolve() == Path(model).resolve():
        help = "give the ONNX file, and another name for its copy"
        message = "a plan is written on a copy of an ONNX model"
        raise UsageError(Problem("no-overlay", message, help=help, place=str(path)))
    with writing(path):
        written = write_overlay(model, table, decided, path)
    reporter.note(f"{path}: the plan stands on {written} nodes")


def _write_plan(path: Path, text: str) -> None:
    """Write a plan in place of an older one; anything else that stands there is left alone."""
    if path.is_file() and "corecast_plan:" not in path.read_text(encoding="utf-8", errors="replace"):
        help = "name another file; corecast overwrites nothing but older plans"
        raise UsageError(Problem("output-exists", "it exists already and is no plan", help=help, place=str(path)))
    write_whole(path, text)


def compile_(
    rules: RulesPath,
    model: ModelPath,
    target: TargetName = None,
    param: Params = None,
    packs: Packs = None,
    weights: Weights = None,
    shape: Shapes = None,
    function: FunctionName = None,
    ir: IrName = None,
    emit: EmitPath = None,
    json_: Json = False,
) -> None:
    """Print the passes that a recipe compiles to for a model, or write them as a script for Relay."""
    reporter = Reporter()
    table = survey_of(model, weights, shape, function, ir, reporter)
    _check_ir(table, ir, emit)
    decided = make_plan(
        read_recipe(rules, table, params=parse_params(param), packs=packs or ()), table, target_of(target)
    )
    if emit:
        from corecast.adapters.relay import emit as script_of

        write_whole(emit, script_of(decided))
        reporter.text(f"wrote {emit}: run it where TVM has Relay, `python {emit} module.json converted.json`")
        return
    refuse_other_ir(table.ir, f"{table.model} is a {table.ir.capitalize()} module")
    passes = list(find_adapter(table.ir).compile(decided))
    if json_:
        printed = [PrintedPass(name=item.name, text=str(item)) for item in passes]
        reporter.json(json.dumps([item.model_dump() for item in printed], indent=2))
    else:
        reporter.text("\n".join(map(str, passes)))


def _check_ir(table: LayerTable, ir: str | None, emit: Path | None) -> None:
    """What a layer table was made of decides; a script is written for Relay alone."""
    if emit and emit.exists():
        raise UsageError(Problem("output-exists", "it exists already", help="name another file", place=str(emit)))
    wanted = ir or ("relay" if emit else table.ir)
    if emit and wanted != "relay":
        raise UsageError(Problem("relay-script", "a script is written for Relay only: leave `--emit` or `--ir` away"))
    if table.ir != wanted:
        help = (
            "save a table where TVM has Relay: `corecast layers MODEL --json > layers.json`"
            if wanted == "relay"
            else "leave `--ir` away"
        )
        found = f"the layers of {table.model} are those of a {table.ir.capitalize()} module"
        message = f"{found}, not of a {wanted.capitalize()} one"
        raise UsageError(Problem("other-ir", message, help=help))


def find_layer(text: str, table: LayerTable) -> Layer:
    """The layer that a person means. Raises `UsageError` with the closest names."""
    layer = table.find(text)
    if layer is None:
        names = [name for item in table.layers for name in (item.id, item.source, item.name) if name]
        help = nearest(text, names) or "`corecast layers MODEL` lists the ids, weights and nodes"
        raise UsageError(Problem("unknown-layer", f"the model has no layer {text}", help=help))
    return layer


def survey_of(
    model: str, weights: str | None, shapes: list[str] | None, function: str | None, ir: str | None, reporter: Reporter
) -> LayerTable:
    """The layers of a model; a file that `corecast layers --json` has printed is read without TVM."""
    return _read(model, weights, shapes, function, ir, reporter)[0]


def _read(
    model: str, weights: str | None, shapes: list[str] | None, function: str | None, ir: str | None, reporter: Reporter
) -> tuple[LayerTable, _Read | None]:
    """The layers of a model, and the prepared model itself where it is at hand."""
    read = None
    table = saved_table(Path(model))
    if table is None:
        read = _Read(*load_prepared(model, weights, shapes, function, ir, reporter))
        table = read.adapter.survey(read.model)
    if ir:
        _check_ir(table, ir, None)
    return table, read


class _Read(NamedTuple):
    adapter: Adapter[Any]
    model: Any


def saved_table(path: Path) -> LayerTable | None:
    """The layer table in a JSON file, or None where the file is something else. Raises `UsageError`."""
    if path.suffix != ".json" or not path.is_file():
        return None
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return None  # what reads models says what is wrong with it
    except RecursionError as error:
        raise _no_table(path, "it is nested without end") from error
    if not isinstance(data, dict) or "returns" not in data:
        return None
    try:
        return LayerTable.model_validate_json(json.dumps(data))
    except ValidationError as error:
        raise _no_table(path, first_objection(error)) from error


def _no_table(path: Path, reason: str) -> UsageError:
    help = "print it anew: `corecast layers --json`"
    return UsageError(Problem("damaged-table", f"this is no layer table: {reason}", help=help, place=str(path)))


def _check_operators(names: Iterable[str], table: LayerTable) -> None:
    """Raise `UsageError` for operators that the model does not have."""
    help = f"it has {', '.join(sorted(table.by_op))}"
    unknown = [name for name in names if name not in table.by_op]
    if unknown:
        raise UsageError([Problem("unknown-operator", f"the model has no {name}", help=help) for name in unknown])
