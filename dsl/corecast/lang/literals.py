"""The tokens of a clause in, the numbers, ranges and texts that they stand for out; what is none is a problem."""

from __future__ import annotations

import math
import re
import warnings

from lark import Token, Transformer_NonRecursive
from lark.tree import Meta

from corecast.lang import nodes
from corecast.lang.problems import Problem
from corecast.lang.ranges import empty_range, is_empty
from corecast.lang.source import Span

_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_MOST_DIGITS = 18  # what fits into 64 bits whatever the digits are
_ESCAPE = re.compile(r"\\(.)")


class Literals(Transformer_NonRecursive[Token, nodes.Node]):
    """What a builder of nodes reads of its tokens; `problems` gathers what the grammar could not see in them."""

    def __init__(self, clause: Span):
        super().__init__(visit_tokens=False)
        self.clause = clause
        self.problems: list[Problem] = []

    def _span(self, place: Meta | Token) -> Span:
        if place.start_pos is None or place.end_pos is None:
            return self.clause
        return Span(self.clause.source, self.clause.start + place.start_pos, self.clause.start + place.end_pos)

    def _complain(self, slug: str, message: str, span: Span, help: str) -> None:
        self.problems.append(Problem(slug, message, span, help))

    def _bare_value(self, word: Token) -> str | int | float:
        """A bare word that reads as a number is one."""
        return self._number(word, self._span(word)) if _NUMBER.fullmatch(word) else str(word)

    def _number(self, text: str, span: Span) -> int | float:
        if text.lstrip("-").isdigit():
            return self._integer(text, span)
        value = float(text)
        if math.isinf(value):
            self._complain("bad-number", "this number is too large", span, "the largest is about 1.8e308")
        return value

    def _integer(self, text: str, span: Span) -> int:
        if len(text.lstrip("-")) <= _MOST_DIGITS:
            return int(text)
        help = f"whole numbers have up to {_MOST_DIGITS} digits"
        self._complain("bad-number", "this number is too large", span, help)
        return 0

    def _whole(self, text: str, span: Span) -> int | nodes.Parameter:
        return nodes.Parameter(span=span, name=text[1:]) if text.startswith("$") else self._integer(text, span)

    def _count(self, text: Token, objection: str) -> int | nodes.Parameter:
        """A number that says how many there are."""
        count = self._whole(text, self._span(text))
        if count == 0:
            self._complain("bad-count", objection, self._span(text), "counts begin with 1")
        return count

    def _range(self, first: str, last: str, span: Span) -> tuple[int | nodes.Parameter, int | nodes.Parameter]:
        if not all(end.startswith("$") or end.lstrip("-").isdigit() for end in (first, last)):
            help = "write whole numbers at both ends, as in `3..5`"
            self._complain("bad-range", f"`{first}..{last}` is no range of whole numbers", span, help)
            return 0, 0
        low, high = self._whole(first, span), self._whole(last, span)
        if isinstance(low, int) and isinstance(high, int) and is_empty(low, high):
            self.problems.append(empty_range(low, high, span))
        return low, high

    def _text(self, text: Token) -> str:
        """What a quoted string stands for."""
        for escape in _ESCAPE.finditer(text[1:-1]):
            if escape[1] not in "\"'\\":
                start = self._span(text).start + 1 + escape.start()
                place = Span(self.clause.source, start, start + 2)
                help = "only quotes and `\\` are written with a `\\` before them; a `\\` itself is written `\\\\`"
                self._complain("bad-escape", f"`{escape[0]}` means nothing in a quoted string", place, help)
        return _ESCAPE.sub(r"\1", text[1:-1])

    def _check_regex(self, regex: Token) -> None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Python's warnings on doubtful sets are not for the reader of rules
                re.compile(regex[1:-1])
        except (re.error, OverflowError, RecursionError) as error:
            place = self._span(regex)
            if isinstance(error, re.error) and error.pos is not None:
                start = place.start + 1 + error.pos
                place = Span(place.source, start, min(start + 1, place.end))
            help = "regular expressions are those of Python's `re`"
            self._complain("bad-regex", f"this is no regular expression: {error}", place, help)
