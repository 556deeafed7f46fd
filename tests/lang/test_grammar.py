"""The grammar: no conflict that lark would settle in silence, and none of its own names where a reader sees them."""

from __future__ import annotations

import re

import pytest

from corecast.lang import RulesError, parse
from corecast.lang.clauses import CONTINUATION
from corecast.lang.grammar import _ReservedWords, grammar
from corecast.lang.mistakes import PHRASES, phrases_of

CLAUSES = [
    'recipe resnet-int8 "1.0"',
    "requires tvm >= 0.27 < 0.28",
    'use "a.rules" >= 1.0 < 2 with trials = $trials and layout = "HWNC" and rate = -0.5',
    "use resnet-int8 with a = b",
    "param trials = 8",
    "let stem = nn.conv2d #0",
    "let stem = nn.conv2d #$first where k in {$a, $b..3} and x < $y and name like $z",
    "expect $count",
    "cast $dtype else int8 -> $sums",
    "rule convs",
    "skip c: (nn.conv2d #k or nn.*) -> add and * except nn.dense where not f(a, -b) <= 1 and x in {0, 3..5}",
    'match nn.conv2d where feeds (nn.relu) or name like "x" or name ~ /x/ or k not in {true} and a + b * c == 2.5',
    "skip first 3 of last of largest $n by a * f(weight) of smallest by b of not nn.conv2d -> not (add) where not a",
    "match not nn.relu where feeds not add within 3 or fed_by (a or b) within $n or inside c and strides == [2, $x, a]",
    "expect >= 1",
    "optional",
    "cast int4 else int8 -> int32 unless skipped even if skipped on c",
]
WRONG = [
    "",
    "(",
    ")",
    "{",
    "}",
    ",",
    ":",
    "=",
    "==",
    "->",
    "..",
    "~",
    "/",
    "+",
    "#0",
    "#k",
    "#$k",
    "#",
    "$",
    "$x",
    '"x"',
    "3",
    "x",
    "x.y",
]
WRONG += [
    "where",
    "except",
    "unless",
    "and",
    "or",
    "else",
    "not",
    "in",
    "like",
    "feeds",
    "within",
    "first",
    "largest",
    "of",
    "by",
    "true",
    "even",
    "if",
    "on",
    "with",
]


def test_strict_mode_finds_no_conflict() -> None:
    assert grammar(strict=True).parse("match nn.conv2d #k where groups == 1 or first except stem")


def test_every_terminal_has_a_name_for_the_reader() -> None:
    terminals = {terminal.name for terminal in grammar().terminals} - {"BLANK"}
    described = {phrase for phrases in PHRASES.values() for phrase in phrases}
    for terminal in terminals:
        for phrase in phrases_of(grammar(), terminal):
            assert phrase in described or re.fullmatch(r"`[a-z_]+`|`[^A-Za-z]+`", phrase), phrase
    assert PHRASES.keys() - {"$END"} <= terminals


def test_the_lexer_reserves_the_continuation_words() -> None:
    keywords = [terminal.name for terminal in grammar().terminals if terminal.name.startswith("_")]
    continuing = {keyword for keyword in keywords if CONTINUATION.fullmatch(keyword.strip("_").lower())}
    assert continuing == set(_ReservedWords.always_accept)


@pytest.mark.parametrize("clause", CLAUSES)
def test_messages_speak_no_lark(clause: str) -> None:
    """Whatever word a clause goes wrong at, the message is in words of the language."""
    names = {terminal.name for terminal in grammar().terminals} | {"$END", "ANON", "Token", "UnexpectedToken"}
    words = clause.split()
    for place in range(len(words) + 1):
        for wrong in WRONG:
            text = " ".join([*words[:place], wrong, *words[place + 1 :]])
            for problem in problems_of(text):
                said = set(re.findall(r"[A-Z$_]{2,}", f"{problem.message} {problem.help}"))
                assert not said & names, (text, str(problem))
                assert problem.help
                assert problem.span


def problems_of(text: str) -> tuple:
    try:
        parse(text)
    except RulesError as error:
        return error.problems
    return ()
