"""A case and what came of its recipe in, findings out."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass

from corecast.cases.decisions import DecisionsError, Expected, compare, format_decisions, parse_decisions
from corecast.cases.markdown import Case, CaseFileError
from corecast.cases.result import Finding
from corecast.lang import CorecastError, Problem
from corecast.lang.problems import nearest
from corecast.model import LayerTable
from corecast.plan import Plan, describe

INPUTS = ("layers", "model", "params", "target")
EXPECTATIONS = ("decisions", "plan", "problems")
SMOKE = "smoke"


def check_kinds(case: Case) -> None:
    """Refuse a case whose blocks are none that are known, or do not say what it is about. Raises `CaseFileError`."""
    known = (*INPUTS, *EXPECTATIONS, SMOKE)
    for kind in case.blocks:
        if kind not in known:
            help = nearest(kind, known) or f"blocks are {', '.join(known)}; one without a name is prose"
            raise CaseFileError(Problem("bad-case", f"no block is called `{kind}`", case.place(kind), help))
    if ("layers" in case.blocks) == ("model" in case.blocks):
        help = "give it a block `layers` with a layer table, or a block `model` with the path of a model"
        raise CaseFileError(Problem("bad-case", "a case is about layers or about a model", case.place("model"), help))


@dataclass(frozen=True)
class Outcome:
    """What came of a recipe on the model of a case: a plan where it could be read, and what was wrong."""

    table: LayerTable
    plan: Plan | None
    error: CorecastError | None

    def texts(self, case: Case) -> dict[str, str]:
        """What the case would have to expect; `todo` lines stay. Raises `CaseFileError` where those cannot be read."""
        texts = {"problems": f"{self.error}\n" if self.error else ""}
        if self.plan:
            texts["plan"] = describe(self.plan, self.table)
            texts["decisions"] = format_decisions(self.plan, _expected(case))
        wanted = [kind for kind in EXPECTATIONS if kind in case.blocks]
        if not wanted and SMOKE not in case.blocks:
            wanted = ["problems" if self.error else "decisions"]
        return {kind: texts[kind] for kind in wanted if kind in texts}


def judge(case: Case, outcome: Outcome) -> Iterator[Finding]:
    """Compare what came of a case with what it expects. Raises `CaseFileError` where that cannot be read."""
    blocks = case.blocks
    if not any(kind in blocks for kind in (*EXPECTATIONS, SMOKE)):
        text = "this case expects nothing: write a block `decisions`, or let `--accept` do it"
        yield Finding(kind="problem", text=text, line=case.line)
    if outcome.error and "problems" not in blocks:
        for problem in outcome.error.problems:
            yield Finding(kind="problem", text=_in_a_line(problem), line=case.line)
    if "problems" in blocks:
        yield from _difference(case, "problems", f"{outcome.error}\n" if outcome.error else "")
    if outcome.plan is None:
        return
    if "decisions" in blocks:
        yield from compare(_expected(case), outcome.plan, outcome.table, blocks["decisions"].first + 1)
    if "plan" in blocks:
        yield from _difference(case, "plan", describe(outcome.plan, outcome.table))


def _expected(case: Case) -> list[Expected]:
    if "decisions" not in case.blocks:
        return []
    block = case.blocks["decisions"]
    try:
        return parse_decisions(block.text)
    except DecisionsError as error:
        raise CaseFileError(Problem("bad-case", str(error), case.span(block.first + error.line + 1))) from error


def _difference(case: Case, kind: str, actual: str) -> Iterator[Finding]:
    block = case.blocks[kind]
    if block.text != actual:
        lines = difflib.unified_diff(block.text.splitlines(), actual.splitlines(), "expected", "actual", lineterm="")
        yield Finding(kind="differs", text="\n".join([f"`{kind}` is another:", *lines]), line=block.first + 1)


def _in_a_line(problem: Problem) -> str:
    place = f"{problem.span}: " if problem.span else ""
    return f"{place}{problem.severity}[{problem.slug}]: {problem.message}" + (
        f"; {problem.help}" if problem.help else ""
    )
