"""The commands for what teams exchange: recipes, recipes show, recipes prove, lock."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from corecast.adapters.toolchain import refuse_other_ir
from corecast.api.library import library, pack_in
from corecast.api.options import (
    FunctionName,
    Json,
    ModelPath,
    Packs,
    Params,
    RulesPath,
    Shapes,
    UsageError,
    Weights,
    parse_params,
    parse_shapes,
    write_whole,
)
from corecast.api.printed import PrintedPack
from corecast.api.recipes import read_flat, read_recipe
from corecast.lang import Problem, RulesError, nodes
from corecast.lang.format import format_clause
from corecast.lang.spell import format_selector, format_value
from corecast.recipe import Flat, FolderShelf, Library, Pack
from corecast.recipe.lock import SUFFIX as LOCK
from corecast.recipe.lock import digest_of, format_lock, lock_of
from corecast.recipe.origins import format_resolved
from corecast.recipe.packs import PACK_FILE
from corecast.report import Reporter, rows_table

recipes_app = typer.Typer(help="List the packs that can be used here; `recipes show` prints one.")


@recipes_app.callback(invoke_without_command=True)
def recipes(context: typer.Context, packs: Packs = None, json_: Json = False) -> None:
    """List the packs that can be used here, with their versions, sources and licences."""
    if context.invoked_subcommand:
        return
    reporter = Reporter()
    found, problems = _all_packs(Library((FolderShelf(Path(), "here", Path()), *library(packs or ()).shelves)))
    if json_:
        reporter.json(json.dumps([PrintedPack.of(pack).model_dump() for pack in found], indent=2))
    else:
        rows = ((pack.name, pack.info.version, pack.origin, pack.info.licence, pack.info.description) for pack in found)
        reporter.show(rows_table(("recipe", "version", "source", "licence", "what it does"), rows))
    if problems:
        raise RulesError(problems)


def _all_packs(shelves: Library) -> tuple[list[Pack], list[Problem]]:
    """The pack that each name stands for, by name; one that cannot be read hides no other."""
    found = [_pack_or_problems(shelves, name) for name in sorted(shelves.names)]
    packs = [item for item in found if isinstance(item, Pack)]
    return packs, [problem for item in found if not isinstance(item, Pack) for problem in item]


def _pack_or_problems(shelves: Library, name: str) -> Pack | tuple[Problem, ...]:
    try:
        return shelves.find(name) or ()
    except RulesError as error:
        return error.problems


@recipes_app.command()
def show(
    rules: RulesPath,
    resolved: Annotated[
        bool, typer.Option("--resolved", help="Print it with all that it uses, and where every line comes from.")
    ] = False,
    param: Params = None,
    packs: Packs = None,
) -> None:
    """Say what a recipe offers: parameters, sets, rules, what it uses and what it was proven on."""
    reporter = Reporter()
    params = parse_params(param)
    read_recipe(rules, params=params, packs=packs or ())
    flat, _ = read_flat(rules, params, packs or ())
    reporter.text(format_resolved(flat) if resolved else "\n".join(_page(flat)))


def _page(flat: Flat) -> Iterator[str]:
    *used, own = flat.parts
    info = own.pack.info if own.pack else None
    yield f"{own.name}{f' {own.version}' if own.version else ''}" + (f": {info.description}" if info else "")
    if own.pack and info:
        yield f"  from     {own.pack.folder} ({own.pack.origin}), {info.licence}"
    for part in used:
        values = ", ".join(f"{name} = {format_value(value)}" for name, value in part.values.items())
        version = f" {part.version}" if part.version else ""
        yield f"  uses     {part.name}{version}, {part.source.name}" + (f", with {values}" if values else "")
    for name, value in own.values.items():
        yield f"  param    {name} = {format_value(value)}"
    for statement in flat.file.statements:
        match statement:
            case nodes.Let():
                yield f"  set      {statement.name} = {format_selector(statement.selector)}"
            case nodes.Skip():
                yield f"  skip     {format_selector(statement.selector)}"
            case nodes.Expectation():
                yield f"  expects  {format_clause(statement).removeprefix('expect ')}"
            case nodes.Rule():
                yield f"  rule     {statement.label}, {statement.span.source.name}:{statement.span.line}"
    for proof in info.validated_with if info else ():
        measured = f"error {proof.error:.2e}" + (f", {proof.seconds:g} s a run" if proof.seconds else "")
        changed = "" if proof.recipe == digest_of(flat) else "; what it says has changed since"
        yield f"  proven   on {proof.model} for {proof.target}, TVM {proof.tvm}: {measured}{changed}"


@recipes_app.command("prove")
def prove_(
    folder: Annotated[Path, typer.Argument(metavar="PACK", help="The folder of a pack.")],
    model: ModelPath,
    name: Annotated[str | None, typer.Option("--name", help="What the entry calls the model; its file's name.")] = None,
    packs: Packs = None,
    weights: Weights = None,
    shape: Shapes = None,
    function: FunctionName = None,
) -> None:
    """Convert a model as a pack says, verify it, and write what was measured into `validated_with` of pack.yaml."""
    reporter = Reporter()
    pack = pack_in(folder, folder)
    if pack is None:
        help = "name the folder that has pack.yaml; a pack is proven by whoever keeps it"
        raise UsageError(Problem("no-pack", "this is no folder of a pack", help=help, place=str(folder)))
    refuse_other_ir("relax", "the proof of a recipe")
    from corecast.adapters.relax import load, prepare, survey
    from corecast.api.proving import prove, with_validation

    with reporter.step(f"read {model}"):
        original = load(model, weights=weights, shapes=parse_shapes(shape), function=function)
        prepared = prepare(original)
    table = survey(prepared)
    with reporter.step(f"convert and verify {original.name}"):
        proof = prove(original, prepared, table, read_recipe(folder, table, packs=packs or ()))
    reporter.text(str(proof.verification))
    if proof.verification.verdict != "pass":
        raise typer.Exit(1)
    validation = proof.validation(name or original.name, read_flat(folder, packs=packs or ())[0])
    write_whole(folder / PACK_FILE, with_validation(pack.document, validation))
    reporter.text(f"{folder / PACK_FILE}: proven on {validation.model}")


def lock(rules: RulesPath, packs: Packs = None) -> None:
    """Pin the packs that a rules file uses, by their digests; from then on a changed one is refused."""
    reporter = Reporter()
    flat, problems = read_flat(rules, packs=packs or (), locked=False)
    if problems:
        raise RulesError(problems)
    source = flat.parts[-1].source
    if source.path is None or str(source.path) != source.name:
        help = "a pack is pinned by the rules that use it: lock those"
        raise UsageError(Problem("not-yours", f"{rules} is not a file of yours", help=help))
    path = source.path.with_suffix(LOCK)
    if path.is_file() and "corecast_lock" not in path.read_text(encoding="utf-8", errors="replace"):
        raise UsageError(Problem("output-exists", f"{path} exists already and is no lock", help="move it away"))
    lock = lock_of(flat)
    text = format_lock(lock, source.path.name)
    write_whole(path, text)
    pinned = ", ".join(f"{name} {pack.version}" for name, pack in lock.packs.items())
    reporter.text(f"{path}: {pinned or 'no packs are used'}")
