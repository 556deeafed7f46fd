"""The commands that read rules files alone: check, which can fix what it finds, and fmt."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from corecast.api.catalogue import standard_catalogue
from corecast.api.library import find_recipe, library
from corecast.api.options import (
    FunctionName,
    IrName,
    Json,
    Packs,
    Params,
    Shapes,
    TargetName,
    UsageError,
    Weights,
    parse_params,
    target_of,
    write_whole,
)
from corecast.api.printed import Finding
from corecast.api.reading import survey_of
from corecast.api.recipes import read_flat, read_recipe
from corecast.lang import CorecastError, Problem, Source, parse, parse_readable
from corecast.lang.format import format
from corecast.lang.nodes import RuleFile, Scalar, Use
from corecast.lint import Finding as Linted
from corecast.lint import fixed, lint
from corecast.model import LayerTable, Target
from corecast.recipe import resolve
from corecast.recipe.packs import SUFFIX
from corecast.report import Reporter

FINDINGS = 1
"""The exit status where files can be read, and say something in vain."""


def check(
    rules: Annotated[list[str], typer.Argument(metavar="RULES...")],
    fix: Annotated[
        bool, typer.Option("--fix", help="Take away what changes no decision; comments stay. The others are told.")
    ] = False,
    model: Annotated[
        str | None, typer.Option("--model", help="Look for what this model shows, too.", metavar="MODEL")
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
    """Report every problem in rules files and in all that they use, and what they say in vain."""
    reporter = Reporter()
    table = survey_of(model, weights, shape, function, ir, reporter) if model else None
    checker = Checker(parse_params(param), packs or (), table, target_of(target))
    problems: list[Problem] = []
    findings: list[Linted] = []
    for name in rules:
        try:
            found, count = checker.fix(name) if fix else (checker.lint(name), 0)
        except CorecastError as error:
            problems += error.problems
            continue
        findings += found
        if count:
            reporter.note(f"{name}: fixed, {count} of its findings")
    if json_:
        told = [Finding.of(problem) for problem in problems]
        told += [Finding.of(item.problem, fixable=item.removable is not None) for item in findings]
        reporter.json(json.dumps([item.model_dump() for item in told], indent=2))
    elif problems or findings:
        reporter.error("\n".join(map(str, [*problems, *(item.problem for item in findings)])))
        _tell_of_fixes(findings, reporter)
    else:
        reporter.text(f"{len(rules)} rules files, no problems")
    if problems:
        raise typer.Exit(CorecastError.exit_status)
    if findings:
        raise typer.Exit(FINDINGS)


def _tell_of_fixes(findings: Sequence[Linted], reporter: Reporter) -> None:
    if count := sum(item.removable is not None for item in findings):
        which = "it" if count == len(findings) == 1 else f"{count} of the {len(findings)}"
        reporter.note(f"`--fix` takes {which} away")


@dataclass(frozen=True)
class Checker:
    """Reads recipes with the same parameters and packs, for the same model and target."""

    params: Mapping[str, Scalar]
    packs: Sequence[Path]
    table: LayerTable | None
    target: Target | None

    def lint(self, rules: str | Source) -> list[Linted]:
        """What a recipe says in vain. Raises `RulesError` where it cannot be read."""
        return self._looked_at(rules)[1]

    def fix(self, rules: str) -> tuple[list[Linted], int]:
        """Write a file without what it can do without; gives what is left, and how many findings are gone.

        Raises `RulesError` where it cannot be read; then nothing is written.
        """
        source = find_recipe(rules, library(self.packs))[0]
        if source.path is None or not Path(rules).exists():
            message, help = f"{rules} is no file of yours", "copy it, and check the copy"
            raise UsageError(Problem("not-yours", message, help=help, place=rules))
        fixed_source, found, count = self.fixed(source)
        if count:
            write_whole(source.path, fixed_source.text)
        return found, count

    def fixed(self, source: Source) -> tuple[Source, list[Linted], int]:
        """The same without writing: the text that would be written first. A fix may show what another one can take."""
        written, found = self._looked_at(source)
        count = 0
        while removable := [item.removable for item in found if item.removable]:
            count += len(removable)
            source = Source(source.name, fixed(written, removable), source.path)
            written, found = self._looked_at(source)
        return source, found, count

    def _looked_at(self, rules: str | Source) -> tuple[RuleFile, list[Linted]]:
        read_recipe(rules, self.table, params=self.params, packs=self.packs)  # which tells all that is wrong
        catalogue = standard_catalogue()
        flat, _ = read_flat(rules, self.params, self.packs)
        recipe = resolve(flat, catalogue.for_model(self.table) if self.table else catalogue)
        written, _ = parse_readable(flat.file.span.source)
        targets = [self.target] if self.target else []
        is_shared = flat.parts[-1].pack is not None or _is_used(flat.file.span.source.path)
        return written, lint(written, recipe, self.table, targets, is_shared=is_shared)


def _is_used(path: Path | None) -> bool:
    """Whether another file, beside this one or in a folder around it, uses it by its path."""
    if path is None:
        return False
    others = [other for folder in path.resolve().parents[:3] for other in sorted(folder.glob(f"*{SUFFIX}"))]
    return any(_uses(other, path) for other in others if other != path.resolve())


def _uses(user: Path, path: Path) -> bool:
    try:
        statements = parse_readable(Source.read(user))[0].statements
    except (OSError, UnicodeDecodeError):
        return False
    named = [user.parent / item.recipe for item in statements if isinstance(item, Use) and item.is_file]
    return path.resolve() in [item.resolve() for item in named]


def fmt(
    rules: Annotated[list[str], typer.Argument(metavar="RULES...")],
    check_only: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit with 1 if a file would change.")
    ] = False,
) -> None:
    """Print rules files the one way that they are printed, and write them back."""
    reporter = Reporter()
    changed = []
    for name in rules:
        source, _ = find_recipe(name, library())
        text = format(parse(source))
        if text != source.text:
            changed.append(name)
            if not check_only:
                write_whole(source.path or Path(name), text)
            reporter.text(f"{name}: {'would be' if check_only else 'was'} reformatted")
    if check_only and changed:
        raise typer.Exit(1)
