"""A clause that the grammar refused in, a `Problem` out: what stands at the wrong place, in the words of the reader."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from lark import Lark, UnexpectedInput, UnexpectedToken
from lark.parsers.lalr_interactive_parser import InteractiveParser

from corecast.lang.assemble import WORDS, meant, mistyped
from corecast.lang.clauses import CONTINUATION, ClauseText
from corecast.lang.problems import Problem, nearest
from corecast.lang.source import Span

PHRASES = {
    "NAME": ["a name"],
    "SET": ["a name"],
    "REFERENCE": ["an operator such as `nn.conv2d`"],
    "TITLE": ["a name"],
    "VERB": ["a request"],
    "PACKAGE": ["the name of a package"],
    "WORD": ["a word", "a number"],
    "PARAMETER": ["a `$parameter`"],
    "ORDINAL": ["a place such as `#0`"],
    "BINDING": ["a binding such as `#k`"],
    "NUMBER": ["a number"],
    "COUNT": ["a whole number"],
    "VERSION": ["a version"],
    "STRING": ["a quoted text"],
    "REGEX": ["a regular expression such as `/conv[0-9]/`"],
    "COMPARATOR": ["a comparison"],
    "SUM_OPERATOR": ["arithmetic"],
    "PRODUCT_OPERATOR": ["arithmetic"],
    "RELATION": ["`feeds`", "`fed_by`"],
    "ENDS": ["`first`", "`last`"],
    "EXTREMES": ["`largest`", "`smallest`"],
    "BOOLEAN": ["`true`", "`false`"],
    "$END": ["the end of the clause"],
}
"""What the reader calls the terminals that are neither keywords nor punctuation."""

_HABITS = {
    "&": ("`and`", "write `and`"),
    "&&": ("`and`", "write `and`"),
    "|": ("`or`", "write `or`"),
    "||": ("`or`", "write `or`"),
    "!": ("`not`", "write `not`"),
    "=>": ("`->`", "write `->`"),
    "→": ("`->`", "write `->`"),
    "[": ("`{`", "a set is written in braces: `{0, 3..5}`"),
}
"""Signs of other languages, each with what must be accepted at its place for the advice to fit."""

_PICKS = {"first": "first", "last": "last", "largest": "largest 5 by flops", "smallest": "smallest 5 by flops"}

_COMPARATORS = ("==", "!=", "<", "<=", ">", ">=")
_END = PHRASES["$END"][0]

_OFFENDER = re.compile(
    r"""
      \$?[A-Za-z0-9_] (?: [A-Za-z0-9_] | [.-](?=[A-Za-z0-9_]) )*
    | \#[^\s,(){}]*
    | "(?:[^"\\\n]|\\[^\n])*" | '(?:[^'\\\n]|\\[^\n])*'
    | [-=<>!&|+*/%~]+
    | .
    """,
    re.VERBOSE | re.DOTALL,
)
_PLACE = re.compile(r"#(-?[0-9]|\$?[^\W\d_]|\$_)")


def syntax_problem(grammar: Lark, clause: ClauseText, error: UnexpectedInput) -> Problem:
    """Say what stands at the wrong place in a clause, and what could stand there."""
    word = meant(clause.first_word)
    if word and word != clause.first_word:
        return mistyped(clause.first_word, clause.span, word)
    accepted = _accepted(grammar, error)
    if isinstance(error, UnexpectedToken) and error.token.type == "$END":
        return _stops_short(clause, accepted)
    match = _OFFENDER.match(clause.code, error.pos_in_stream or 0)
    offender = match.group() if match else ""
    start = clause.span.start + (error.pos_in_stream or 0)
    return _wrong_word(offender, Span(clause.span.source, start, start + len(offender)), accepted, clause)


def _accepted(grammar: Lark, error: UnexpectedInput) -> list[str]:
    """What could have stood at the place of an error, as the reader calls it: descriptions first, the end last."""
    parser = error.interactive_parser
    assert isinstance(parser, InteractiveParser), "the LALR parser gives one with every error"
    terminals: set[str] = parser.accepts()  # type: ignore[no-untyped-call]  # lark leaves it unannotated
    phrases = {phrase for terminal in terminals for phrase in phrases_of(grammar, terminal)}
    return sorted(phrases, key=lambda phrase: (phrase == _END, phrase.startswith("`"), phrase))


def phrases_of(grammar: Lark, terminal: str) -> list[str]:
    """What the reader calls a terminal: keywords and punctuation are called what they are."""
    if terminal in PHRASES:
        return PHRASES[terminal]
    if terminal.startswith("_") and not terminal.startswith("__"):
        return [f"`{terminal[1:].lower()}`"]
    return [f"`{grammar.get_terminal(terminal).pattern.value}`"]


def _stops_short(clause: ClauseText, accepted: list[str]) -> Problem:
    end = clause.span.end
    return Problem(
        "syntax",
        f"this clause stops short after `{shorten(clause.code.split()[-1])}`",
        Span(clause.span.source, end, end),
        _may_stand(accepted),
    )


def _wrong_word(offender: str, span: Span, accepted: list[str], clause: ClauseText) -> Problem:
    if offender.startswith("#"):
        return _wrong_hash(offender, span, accepted)
    if CONTINUATION.fullmatch(offender) and span.start == clause.span.start:
        return Problem(
            "syntax",
            f"`{offender}` goes on with the clause before it, and none is open here",
            span,
            f"a comma ends a clause: leave out the one before `{offender}`, or write the clause that it goes on with",
        )
    if CONTINUATION.fullmatch(offender) and _END not in accepted:
        return Problem("syntax", f"`{offender}` is a word of the language, no name", span, _may_stand(accepted))
    name = clause.first_word
    if offender == "=" and name not in WORDS and clause.code[: span.start - clause.span.start].strip() == name:
        help = f"write `param {name} = ...` or `let {name} = ...`; the values behind a `with` are joined by `and`"
        return Problem("syntax", f"{_shown(offender)} cannot stand here", span, help)
    if span.start == clause.span.start and offender in _COMPARATORS:
        help = "a comma ends a clause: write the bounds of a version side by side, as in `>= 0.27 < 0.28`"
        return Problem("syntax", f"no clause begins with `{offender}`", span, help)
    help = _advice(offender, accepted) or _may_stand(accepted)
    before = clause.code[: span.start - clause.span.start].split()[-1:]
    if before and before[0] in _PICKS:
        help = f"write `{_PICKS[before[0]]} of` and the set to pick from"
        if _picks(before[0], offender):
            help = "a set that others are picked from reaches far: put the pick in parentheses"
    if offender.startswith("$") and PHRASES["PARAMETER"][0] in accepted:
        help = "a parameter stands for a whole word: write a blank before it"
    return Problem("syntax", f"{_shown(offender)} cannot stand here", span, help)


def _picks(word: str, offender: str) -> bool:
    """Whether a pick is written as one, and stands where none can."""
    return offender[:1].isdigit() or offender == ("of" if word in ("first", "last") else "by")


def _advice(offender: str, accepted: list[str]) -> str | None:
    phrase, advice = _HABITS.get(offender, ("", ""))
    if phrase in accepted:
        return advice
    return nearest(offender, [phrase.strip("`") for phrase in accepted if phrase.startswith("`")])


def _wrong_hash(offender: str, span: Span, accepted: list[str]) -> Problem:
    if not _PLACE.match(offender):
        help = "a comment needs a space before its `#`, a place among operators a number or name after it"
        return Problem("comment-needs-space", f"{_shown(offender)} is neither a comment nor a place", span, help)
    if PHRASES["ORDINAL"][0] in accepted:
        help = "a place is written `#0`, `#-1` or `#2..5`, a binding `#k`"
        return Problem("syntax", f"{_shown(offender)} is no place among operators", span, help)
    message = f"{_shown(offender)} reads as a place among operators, and none can stand here"
    help = "a comment needs a space after its `#`; a place stands right after the name of an operator"
    return Problem("comment-needs-space", message, span, help)


def _may_stand(accepted: Iterable[str]) -> str:
    *others, last = accepted
    return f"here may stand {', '.join(others)} or {last}" if others else f"here may stand {last}"


def _shown(offender: str) -> str:
    """The offender in quotes; a character from outside ASCII with its name, since it may look like another one."""
    text = f"`{shorten(offender)}`" if offender.isprintable() else ascii(offender)
    name = unicodedata.name(offender, "") if len(offender) == 1 and not offender.isascii() else ""
    return f"{text} ({name})" if name else text


def shorten(text: str) -> str:
    """As much of a long text as a message can carry."""
    return text if len(text) <= 40 else f"{text[:40]}..."
