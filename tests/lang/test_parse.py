"""Parsing: what a Markdown case cannot hold (odd characters, spans, the tree) and what must not bring it down."""

from __future__ import annotations

import time

import pytest

from corecast.lang import RulesError, Source, nodes, parse

HEAD = "match nn.conv2d\n"


def only_rule(text: str) -> nodes.Rule:
    (rule,) = parse(text).statements
    assert isinstance(rule, nodes.Rule)
    return rule


def matched(text: str) -> nodes.Selector:
    match = only_rule(f"match {text}\nkeep").clauses[0]
    assert isinstance(match, nodes.Match)
    return match.selector


def condition(text: str) -> nodes.Expression:
    selector = matched(f"* where {text}")
    assert isinstance(selector, nodes.Filter)
    return selector.condition


def problems(text: str) -> list[tuple[str, str]]:
    """The slugs of a text's problems, each with the text that it points at."""
    with pytest.raises(RulesError) as caught:
        parse(text)
    return [(problem.slug, problem.span.text) for problem in caught.value.problems if problem.span]


# ── odd characters ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("ending", ["", "\n", "\r\n", "  ", "\n\n\n", "\t", "\f", " # end", "\r\n# end"])
def test_the_end_of_a_file_does_not_matter(ending: str) -> None:
    assert parse(f"{HEAD}  keep{ending}").statements[0] is not None


def test_line_endings_do_not_matter() -> None:
    text = '# one\nmatch nn.conv2d # two\n  where name == "x"\n  set layout (\n'.replace("(\n", "NHWC\n")
    assert parse(text.replace("\n", "\r\n")) == parse(text)


def test_tabs_and_form_feeds_are_blanks() -> None:
    assert parse("match\tnn.conv2d\t#k\n\f\tkeep\t# why") == parse("match nn.conv2d #k\n  keep # why")


@pytest.mark.parametrize("odd", ["\x00", "\ud800", "\u00a0", "\u2028", "\ufeff", "\x0b", "é", "😀", "\\", "`"])
def test_odd_characters_are_problems(odd: str) -> None:
    assert problems(f"{HEAD}keep\nset x{odd}y\n{odd}\n") == [("syntax", odd), ("syntax", odd)]


@pytest.mark.parametrize("odd", ["\x00", "\ud800", "\u00a0", "é", "😀", "#", "("])
def test_odd_characters_in_text_and_comments_are_kept(odd: str) -> None:
    file = parse(f'# a{odd}b\n{HEAD}  note "a{odd}b"')
    match, note = only_rule(file.span.source.text).clauses
    assert match.above == (f"a{odd}b",)
    assert isinstance(note, nodes.Request)
    assert note.alternatives[0].words[0].value == f"a{odd}b"


# ── spans ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_spans_cover_what_was_read() -> None:
    source = Source(
        "a.rules", "rule r\n  match (a or b #0) where k in {3..5}\n  cast int4 else int8 unless skipped # why\n"
    )
    (rule,) = parse(source).statements
    assert isinstance(rule, nodes.Rule)
    match, cast = rule.clauses
    assert rule.span.text == source.text[: source.text.index(" # why")]
    assert isinstance(match, nodes.Match)
    assert match.span.text == "match (a or b #0) where k in {3..5}"
    assert isinstance(match.selector, nodes.Filter)
    assert match.selector.selector.span.text == "a or b #0"
    assert match.selector.condition.span.text == "k in {3..5}"
    assert isinstance(cast, nodes.Request)
    assert [str(cast.verb.span), cast.verb.span.text] == ["a.rules:3:3", "cast"]
    assert [alternative.span.text for alternative in cast.alternatives] == ["int4", "int8"]
    assert cast.unless is not None
    assert cast.unless.span.text == "skipped"


def test_spans_are_true_after_comments_in_a_clause() -> None:
    match = only_rule("match a # (\n  # or\n  where b # c\n  and d\nkeep").clauses[0]
    assert isinstance(match, nodes.Match)
    assert isinstance(match.selector, nodes.Filter)
    assert isinstance(match.selector.condition, nodes.And)
    assert [part.span.text for part in match.selector.condition.parts] == ["b", "d"]
    assert (match.above, match.beside) == (("(", "or", "c"), None)


def test_a_rule_without_a_name_is_called_after_its_line() -> None:
    assert only_rule("\n\n# why\nmatch a\nkeep").label == "line-4"


# ── the tree ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_request_without_words_has_one_empty_alternative() -> None:
    keep = only_rule("match a\nkeep").clauses[1]
    assert isinstance(keep, nodes.Request)
    assert [(alternative.words, alternative.arrow) for alternative in keep.alternatives] == [((), ())]
    assert keep.alternatives[0].span.column == 5


def test_single_parts_collapse() -> None:
    assert isinstance(matched("((a))"), nodes.Reference)
    assert isinstance(matched("(c: a)"), nodes.Chain)
    assert isinstance(condition("((a))"), nodes.Name)


def test_a_minus_after_a_name_subtracts() -> None:
    assert isinstance(condition("x -1 == 0"), nodes.Compare)
    difference = condition("x -1 == 0").operands[0]  # type: ignore[union-attr]
    assert isinstance(difference, nodes.Arithmetic)
    assert difference.operator == "-"


def test_words_that_read_as_numbers_are_numbers() -> None:
    request = only_rule('match a\nset 64 -1 0.5 1e-3 "64" 64x64 1.2.3').clauses[1]
    assert isinstance(request, nodes.Request)
    values = [word.value for word in request.alternatives[0].words]
    assert repr(values) == "[64, -1, 0.5, 0.001, '64', '64x64', '1.2.3']"


def test_constants_have_their_types() -> None:
    compare = condition("1 < 1.0 < true < 'true'")
    assert isinstance(compare, nodes.Compare)
    values = [operand.value for operand in compare.operands if isinstance(operand, nodes.Constant)]
    assert repr(values) == "[1, 1.0, True, 'true']"


# ── problems ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_problems_point_at_the_offending_word() -> None:
    text = f"{HEAD}  cast int8 else\n  set x = 1\nskip a exept b\nlet a = b\nlet a = c\n#no\n  keep 'x"
    assert problems(text) == [
        ("syntax", ""),
        ("syntax", "="),
        ("syntax", "exept"),
        ("duplicate-name", "let a = c"),
        ("comment-needs-space", "#no"),
        ("unclosed-string", "'x"),
    ]


def test_a_swallowed_rule_is_not_blamed_for_what_could_not_be_read() -> None:
    assert problems("rule r\n  mtch a #\n  keep (\n") == [("unknown-word", "mtch"), ("unclosed-bracket", "(")]


# ── nothing brings it down ───────────────────────────────────────────────────────────────────────────────────────────

HOSTILE = {
    "opening brackets": "(" * 100_000,
    "opening brackets on lines": "(\n" * 10_000,
    "closing brackets": HEAD + ")" * 100_000,
    "nested brackets": f"match {'(' * 20_000}a{')' * 20_000}\nkeep",
    "mixed brackets": "({[" * 20_000 + "]})" * 10_000 + "}])" * 10_000,
    "not": f"match a where {'not ' * 10_000}b\nkeep",
    "minus": f"match a where {'-' * 10_000}b\nkeep",
    "sums": f"match a where {'b + ' * 10_000}b\nkeep",
    "except": f"match a{' except a' * 10_000}\nkeep",
    "quotes": "'" * 100_001,
    "escapes": '"' + "\\" * 100_001,
    "tildes": "~ " * 20_000 + "/",
    "digits": f"match a where k == {'9' * 100_000}\nkeep",
    "long word": f"{'a' * 100_000} {'b' * 100_000}",
    "hashes": "#" * 100_000 + "\n#a" * 10_000,
    "regex": f"match a where b ~ /{'(' * 20_000}/\nkeep",
    "one long line": "match a, " * 5_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_text_is_a_problem_and_no_crash(text: str) -> None:
    start = time.perf_counter()
    assert problems(text)
    assert time.perf_counter() - start < 20  # seconds: far from what it takes, and far below what quadratic work would


def test_many_clauses_and_many_parts_are_no_problem() -> None:
    parts = " or ".join(f"nn.conv2d #{number}" for number in range(2_000))
    assert parse(f"skip {parts}\n{HEAD}" + "  set layout NHWC\n" * 2_000).statements
