"""Cases: a Markdown file and the recipe beside it in, what holds and what does not out. No IR in here."""

from corecast.cases.decisions import DecisionsError, Expected, compare, format_decisions, parse_decisions
from corecast.cases.markdown import Block, Case, CaseFileError, read_cases, with_texts
from corecast.cases.result import CaseResult, Finding
from corecast.cases.run import EXPECTATIONS, INPUTS, SMOKE, Outcome, check_kinds, judge

__all__ = [
    "EXPECTATIONS",
    "INPUTS",
    "SMOKE",
    "Block",
    "Case",
    "CaseFileError",
    "CaseResult",
    "DecisionsError",
    "Expected",
    "Finding",
    "Outcome",
    "check_kinds",
    "compare",
    "format_decisions",
    "judge",
    "parse_decisions",
    "read_cases",
    "with_texts",
]
