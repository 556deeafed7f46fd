"""Results of cases in, a page for a terminal out: what passed, and what of the others is missing or noisy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from rich.console import Group, RenderableType
from rich.text import Text

from corecast.cases import CaseResult, Finding

_STYLES = {"todo": "yellow", "done": "yellow"}


def cases_page(results: Sequence[CaseResult], smoke_left_out: int = 0) -> RenderableType:
    """Each file with its cases, each case with its findings, and the sum of it all."""
    lines: list[Text] = []
    for file, cases in groupby(results, key=lambda result: result.file):
        lines.append(Text(file, style="bold"))
        for case in cases:
            lines += _case(case)
    return Group(*lines, Text(), _sum(results, smoke_left_out))


def _case(result: CaseResult) -> Iterator[Text]:
    smoke = f", numeric check: {result.smoke}" if result.smoke else ""
    if result.passed:
        yield Text.assemble("  ", ("ok    ", "green"), result.case, smoke)
    else:
        yield Text.assemble("  ", ("FAIL  ", "bold red"), result.case, smoke)
    width = max((len(finding.layers or "") for finding in result.findings), default=0)
    for finding in result.findings:
        yield from _finding(finding, result.file, min(width, 44))


def _finding(finding: Finding, file: str, width: int) -> Iterator[Text]:
    style = _STYLES.get(finding.kind, "red")
    layers = f"{finding.layers:<{width}}  " if finding.layers else ""
    because = f" ({finding.because})" if finding.because else ""
    hint = ": take the mark away" if finding.kind == "done" else ""
    first, *others = finding.text.splitlines()
    yield Text.assemble("        ", (f"{finding.kind:<8}", style), f"{layers}{first}{because}{hint}")
    yield from (Text(f"          {line}") for line in others)
    if finding.fails:
        yield Text(f"                at {file}:{finding.line}", style="dim")


def _sum(results: Sequence[CaseResult], smoke_left_out: int) -> Text:
    failed = sum(not result.passed for result in results)
    todo = sum(finding.kind == "todo" for result in results for finding in result.findings)
    parts = [_many(len(results), "case"), f"{failed} failed" if failed else "all passed"]
    if todo:
        parts.append(f"{todo} to do")
    if smoke_left_out:
        parts.append(f"{_many(smoke_left_out, 'numeric check')} left out, which `--smoke` runs")
    return Text(", ".join(parts), style="bold red" if failed else "bold")


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")
