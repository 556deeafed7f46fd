"""The language: a rules text in, its syntax tree out, and back; every problem with its place and a next step."""

from corecast.lang import nodes
from corecast.lang.format import format, format_request
from corecast.lang.parse import parse, parse_readable
from corecast.lang.problems import CorecastError, Problem, RulesError
from corecast.lang.source import Source, Span
from corecast.lang.spell import format_expression, format_selector, format_value

__all__ = [
    "CorecastError",
    "Problem",
    "RulesError",
    "Source",
    "Span",
    "format",
    "format_expression",
    "format_request",
    "format_selector",
    "format_value",
    "nodes",
    "parse",
    "parse_readable",
]
