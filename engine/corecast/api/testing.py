"""`corecast test`: the cases beside recipes, run, judged, and accepted where that is asked for."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from corecast.adapters.toolchain import refuse_other_ir
from corecast.api.library import library, read_text
from corecast.api.options import Json, Packs, UsageError, write_whole
from corecast.api.reading import survey_of
from corecast.api.recipes import read_recipe
from corecast.cases import (
    SMOKE,
    Case,
    CaseFileError,
    CaseResult,
    Finding,
    Outcome,
    check_kinds,
    judge,
    read_cases,
    with_texts,
)
from corecast.lang import CorecastError, Problem, Source
from corecast.model import LayerTable, TableError, Target, TargetError, find_target, parse_table
from corecast.plan import PlanError, plan
from corecast.recipe.packs import SUFFIX
from corecast.report import Reporter, cases_page

TESTS = ".test.md"

# Verdicts that `--accept` writes down: what fails, or shows nothing, is for a person to look at.
ACCEPTED = ("pass", "hard-cast", "cannot-run-here")


def run_tests(
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH...", help="Recipes, packs, or folders with NAME.test.md files.")
    ],
    accept: Annotated[bool, typer.Option("--accept", help="Write what came out into the cases.")] = False,
    smoke: Annotated[
        bool, typer.Option("--smoke", help="Convert and verify the models of the cases with a `smoke` block, too.")
    ] = False,
    packs: Packs = None,
    json_: Json = False,
) -> None:
    """Run the cases beside recipes: what they expect of which layer, and what is decided instead."""
    reporter = Reporter()
    files = {file.resolve(): file for path in paths for file in find_tests(path, packs or ())}.values()
    runner = CaseRunner(packs or (), smoke, reporter)
    results: list[CaseResult] = []
    for file in files:
        if accept:
            runner.accept(file)
        results += runner.run(file)
    if smoke and not any(result.smoke for result in results):
        help = "a case with a block `smoke` that holds `pass` is built, converted and verified"
        raise UsageError(Problem("no-tests", "`--smoke` is given, and no case has a `smoke` block", help=help))
    if json_:
        reporter.json(json.dumps([result.model_dump() for result in results], indent=2))
    else:
        reporter.show(cases_page(results, runner.smoke_left_out))
    if not all(result.passed for result in results):
        raise typer.Exit(1)


def find_tests(path: str, packs: Sequence[Path] = ()) -> list[Path]:
    """The files of cases that a path or the name of a pack stands for. Raises `UsageError` where there are none."""
    place = Path(path)
    if not place.exists() and (pack := library(packs).find(path)):
        place = pack.folder
    if place.is_dir():
        found = sorted(place.rglob(f"*{TESTS}"))
    else:
        found = [place if place.name.endswith(TESTS) else place.with_name(place.name.removesuffix(SUFFIX) + TESTS)]
    missing = [file for file in found if not file.is_file()]
    if missing or not found:
        message = f"there is no {missing[0]}" if missing else f"no file in {path} is called NAME{TESTS}"
        help = f"the cases of NAME{SUFFIX} stand beside it, in NAME{TESTS}; `corecast new` writes both"
        raise UsageError(Problem("no-tests", message, help=help))
    return found


class CaseRunner:
    """Runs files of cases, each with the recipe of its name beside it; `smoke_left_out` counts checks not asked for."""

    def __init__(self, packs: Sequence[Path], smoke: bool, reporter: Reporter):
        self.packs = packs
        self.smoke = smoke
        self.reporter = reporter
        self.smoke_left_out = 0
        self.surveyed: dict[tuple[Path, str], LayerTable] = {}
        self.verdicts: dict[tuple[str, str], tuple[str, str]] = {}

    def run(self, file: Path) -> list[CaseResult]:
        """Judge every case of a file. Raises `CaseFileError` where the file cannot be read."""
        recipe = _recipe_beside(file)
        return [self._result(case, recipe) for case in read_cases(read_text(file)).values()]

    def accept(self, file: Path) -> None:
        """Write into a file what its cases come to. Raises `CaseFileError`, and writes nothing then."""
        recipe, source = _recipe_beside(file), read_text(file)
        text = source.text
        for case in read_cases(source).values():
            texts = self._outcome(case, recipe).texts(case)
            if self.smoke and SMOKE in case.blocks and (verdict := self._smoke(case, recipe)[0]) in ACCEPTED:
                texts[SMOKE] = f"{verdict}\n"
            text = with_texts(text, case.name, texts)
        if text != source.text:
            write_whole(file, text)
            self.reporter.error(f"{file}: accepted what came out")

    def _result(self, case: Case, recipe: Source) -> CaseResult:
        findings = list(judge(case, self._outcome(case, recipe)))
        verdict = None
        if SMOKE in case.blocks and self.smoke:
            verdict, reason = self._smoke(case, recipe)
            expected = case.blocks[SMOKE].text.strip()
            if verdict != expected:
                text = f"the numeric check says `{verdict}`, not `{expected}`"
                line = case.blocks[SMOKE].first + 1
                findings.append(Finding(kind="smoke", text=text, line=line, because=reason))
        self.smoke_left_out += SMOKE in case.blocks and not self.smoke
        file = case.source.name
        return CaseResult(file=file, case=case.title, line=case.line, findings=tuple(findings), smoke=verdict)

    def _outcome(self, case: Case, recipe: Source) -> Outcome:
        check_kinds(case)
        return outcome_of(case, recipe, self.packs, self._surveyed(case))

    def _surveyed(self, case: Case) -> LayerTable | None:
        """The layers of the model that a case names; each model is read once."""
        if "model" not in case.blocks:
            return None
        line = _ModelLine.of(case)
        key = line.path, case.blocks["model"].text
        if key not in self.surveyed:
            self.surveyed[key] = survey_of(
                str(line.path), line.weights, line.shapes, line.function, None, self.reporter
            )
        return self.surveyed[key]

    def _smoke(self, case: Case, recipe: Source) -> tuple[str, str]:
        """The verdict on the model of a case, converted, and the reason for it."""
        refuse_other_ir("relax", "the numeric check of a case")
        from corecast.adapters.relax import build_model, load
        from corecast.api.options import parse_shapes
        from corecast.api.smoke import check

        def convert() -> tuple[str, str]:
            if "layers" in case.blocks:
                table = _written_table(case)
                return check(build_model(table), recipe, params, target, self.packs, table)
            line = _ModelLine.of(case)
            model = load(line.path, weights=line.weights, shapes=parse_shapes(line.shapes), function=line.function)
            return check(model, recipe, params, target, self.packs)

        params, target = _params(case), _target(case)
        key = case.source.name, case.name
        if key not in self.verdicts:
            with self.reporter.step(f"convert and verify {case.source.name}: {case.title}"):
                try:
                    self.verdicts[key] = convert()
                except CorecastError as error:
                    self.verdicts[key] = error.problems[0].slug, error.problems[0].message
        return self.verdicts[key]


def outcome_of(case: Case, recipe: Source, packs: Sequence[Path], surveyed: LayerTable | None = None) -> Outcome:
    """What a recipe comes to on the layers that a case has, or on those that were surveyed for it."""
    table, target = surveyed or _written_table(case), _target(case)
    try:
        resolved = read_recipe(recipe, table, params=_params(case), packs=packs)
        return Outcome(table, plan(resolved, table, target), None)
    except PlanError as error:
        return Outcome(table, error.plan, error)
    except CorecastError as error:
        return Outcome(table, None, error)


def _recipe_beside(file: Path) -> Source:
    """The recipe of a file of cases, cited by its name alone, so that no expectation depends on where it is run."""
    path = file.with_name(file.name.removesuffix(TESTS) + SUFFIX)
    if not path.is_file():
        help = f"the cases of NAME{SUFFIX} stand beside it, in NAME{TESTS}"
        raise CaseFileError(Problem("no-rules", f"{file} stands beside no {path.name}", help=help))
    return Source(path.name, read_text(path).text, path)


def _written_table(case: Case) -> LayerTable:
    block = case.blocks["layers"]
    try:
        return parse_table(block.text)
    except TableError as error:
        raise CaseFileError(Problem("bad-case", error.message, case.span(block.first + error.line))) from error


@dataclass(frozen=True)
class _ModelLine:
    """What a block `model` says: a path beside the case, and how to load it, as the command line has it."""

    path: Path
    weights: str | None
    shapes: list[str]
    function: str | None

    @classmethod
    def of(cls, case: Case) -> _ModelLine:
        words = shlex.split(case.blocks["model"].text)
        given = list(zip(words[1::2], words[2::2], strict=False))
        if len(words) % 2 == 0 or not {name for name, _ in given} <= {"--weights", "--shape", "--function"}:
            help = "write a path, and then what the command line takes: `model.onnx --weights random:0`"
            raise CaseFileError(Problem("bad-case", "this block names no model", case.place("model"), help))
        once = dict(given)
        shapes = [value for name, value in given if name == "--shape"]
        folder = case.source.path.parent if case.source.path else Path()
        return cls(folder / words[0], once.get("--weights"), shapes, once.get("--function"))


def _params(case: Case) -> dict[str, str | int | float | bool]:
    """`trials = 64`, a line for each parameter."""
    lines = case.blocks["params"].text.splitlines() if "params" in case.blocks else []
    pairs = [line.partition("=") for line in lines if line.strip()]
    if not all(mark for _, mark, _ in pairs):
        help = "write a line for each parameter: `trials = 64`"
        raise CaseFileError(Problem("bad-case", "a line here gives no value", case.place("params"), help))
    return {name.strip(): value.strip() for name, _, value in pairs}


def _target(case: Case) -> Target | None:
    try:
        return find_target(case.blocks["target"].text.strip()) if "target" in case.blocks else None
    except TargetError as error:
        (problem,) = error.problems
        raise CaseFileError(replace(problem, span=case.place("target"))) from error
