"""Printing and reading are inverse: properties over syntax trees that hypothesis makes up, and over damaged texts."""

from __future__ import annotations

import contextlib
import re
import warnings

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corecast.lang import (
    RulesError,
    Source,
    Span,
    format,
    format_expression,
    format_request,
    format_selector,
    nodes,
    parse,
)
from corecast.lang.format import WIDTH

PLACE = Span(Source("made up", ""), 0, 0)
QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])

# ── words ────────────────────────────────────────────────────────────────────────────────────────────────────────────

RESERVED = {"where", "except", "unless", "and", "or", "else"}
IN_CONDITIONS = {"not", "true", "false", "feeds", "fed_by", "inside"}
IN_SELECTORS = {"not"}
IN_REQUESTS = {"even", "on"}
NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")


def words(pattern: str, *taken: set[str]) -> st.SearchStrategy[str]:
    return st.from_regex(pattern, fullmatch=True).filter(
        lambda word: not any(word in some for some in (RESERVED, *taken))
    )


plain_names = words(r"[a-z_][a-z0-9_]{0,5}")
operators = words(
    r"nn\.[a-z]{1,4}|[A-Za-z_][A-Za-z0-9_]{0,5}(-[a-z]{1,2})?(\.[a-z0-9]{1,2})?|[a-z]{1,3}\.\*|\*|first|last|largest|of|by",
    IN_SELECTORS,
)
sets = words(r"[A-Za-z_][A-Za-z0-9_]{0,5}(-[a-z]{1,2})?(\.[a-z0-9]{1,2})?")
attributes = words(r"[a-z_][a-z0-9_]{0,5}(\.[a-z0-9_]{1,3})?", IN_CONDITIONS)
verbs = st.sampled_from(["set", "cast", "keep", "tune", "quantize", "pad", "acme.prune", "top-k"])
bare_words = words(r"[A-Za-z0-9_]{1,5}([.-][A-Za-z0-9_]{1,3})?", IN_REQUESTS).filter(
    lambda word: not NUMBER.fullmatch(word) and not word.lower().startswith("un")
)
names_of_recipes = words(r"[A-Za-z_][A-Za-z0-9_-]{0,6}")
titles = names_of_recipes | words(r"[a-z][a-z-]{0,4}\.[a-z-]{1,4}")
texts = st.text(st.characters(exclude_characters="\n", exclude_categories=[]), max_size=8)
comments = texts.map(str.strip)
whole = st.integers(0, 10**18 - 1)
counts = st.integers(1, 10**18 - 1)
signed = st.integers(-(10**18) + 1, 10**18 - 1)
positive_floats = st.floats(min_value=0, allow_infinity=False, allow_nan=False)
floats = st.floats(allow_infinity=False, allow_nan=False)
comparators = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
regexes = st.text("ab/\\.[]()*+|{}#\"' ,", max_size=8).filter(lambda text: "\\/" not in text and compiles(text))


def compiles(pattern: str) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            re.compile(pattern)
        except (re.error, FutureWarning):
            return False
    return True


def node(kind: type, /, **fields: object) -> st.SearchStrategy:
    strategies = {
        name: value if isinstance(value, st.SearchStrategy) else st.just(value) for name, value in fields.items()
    }
    return st.builds(kind, span=st.just(PLACE), **strategies)


def tuples(strategy: st.SearchStrategy, least: int = 0, most: int = 3) -> st.SearchStrategy[tuple]:
    return st.lists(strategy, min_size=least, max_size=most).map(tuple)


# ── selectors and conditions ─────────────────────────────────────────────────────────────────────────────────────────

parameters = node(nodes.Parameter, name=words(r"[A-Za-z_][A-Za-z0-9_]{0,5}"))
ends = st.tuples(signed | parameters, parameters) | st.tuples(parameters, signed)
ranges = ends | st.tuples(signed, signed).map(
    lambda ends: tuple(sorted(ends)) if (ends[0] < 0) == (ends[1] < 0) else ends
)
ordinals = node(nodes.Ordinal, first=signed | parameters) | ranges.flatmap(
    lambda ends: node(nodes.Ordinal, first=ends[0], last=ends[1])
)
references = (
    node(nodes.Reference, name=operators)
    | node(nodes.Reference, name=operators, ordinal=ordinals)
    | node(nodes.Reference, name=operators, binding=words(r"[a-z][a-z0-9_]{0,3}"))
)
items = (
    node(nodes.Constant, value=signed | floats | texts | st.booleans())
    | node(nodes.Constant, value=st.sampled_from(["true", "5", "NCHW16c", "or", "1e3", "x.y", ""]))
    | parameters
    | ranges.flatmap(lambda ends: node(nodes.Range, first=ends[0], last=ends[1]))
)
list_items = node(nodes.Constant, value=signed | floats | texts | st.booleans()) | parameters
braces = node(nodes.Braces, items=tuples(items, least=1))
selectors = st.deferred(lambda: references | joined_selectors)
expressions = st.deferred(lambda: values | joined_expressions)

joined_selectors = (
    node(nodes.Union, parts=tuples(selectors, least=2))
    | node(nodes.Intersection, parts=tuples(selectors, least=2))
    | node(nodes.Filter, selector=selectors, condition=expressions)
    | node(nodes.Except, selector=selectors, removed=selectors)
    | node(nodes.Chain, steps=tuples(node(nodes.Step, selector=selectors, capture=st.none() | plain_names), least=2))
    | node(nodes.Chain, steps=tuples(node(nodes.Step, selector=selectors, capture=plain_names), least=1, most=1))
    | node(nodes.Complement, selector=selectors)
    | node(nodes.Pick, end=st.sampled_from(["first", "last"]), count=counts | parameters, selector=selectors)
    | node(
        nodes.Pick,
        end=st.sampled_from(["largest", "smallest"]),
        count=counts | parameters,
        selector=selectors,
        key=expressions,
    )
)
values = (
    node(nodes.Constant, value=whole | positive_floats | texts | st.booleans())
    | node(nodes.Name, name=attributes)
    | parameters
)
chains_of_comparisons = st.integers(2, 3).flatmap(
    lambda size: node(
        nodes.Compare,
        operands=tuples(expressions, least=size, most=size),
        operators=tuples(comparators, least=size - 1, most=size - 1),
    )
)
joined_expressions = (
    node(nodes.Or, parts=tuples(expressions, least=2))
    | node(nodes.And, parts=tuples(expressions, least=2))
    | node(nodes.Not, operand=expressions)
    | node(nodes.Negative, operand=expressions)
    | node(
        nodes.Arithmetic, operator=st.sampled_from(["+", "-", "*", "/", "//", "%"]), left=expressions, right=expressions
    )
    | chains_of_comparisons
    | node(nodes.Membership, operand=expressions, items=braces, negated=st.booleans())
    | node(nodes.Like, operand=expressions, pattern=texts | parameters, kind="like")
    | node(nodes.Like, operand=expressions, pattern=regexes, kind="~")
    | node(nodes.Relation, word=st.sampled_from(["feeds", "fed_by"]), selector=selectors, within=counts | parameters)
    | node(nodes.Relation, word=st.just("inside"), selector=selectors)
    | node(nodes.Listed, items=tuples(list_items))
    | node(nodes.Call, function=attributes, arguments=tuples(expressions))
)

# ── clauses, rules, files ────────────────────────────────────────────────────────────────────────────────────────────

said = {"above": tuples(comments, most=2), "beside": st.none() | comments}
request_words = (
    node(nodes.Word, value=bare_words | signed | floats | parameters) | node(nodes.Word, value=texts, quoted=True)
)  # fmt: skip
alternatives = node(nodes.Alternative, words=tuples(request_words, least=1), arrow=tuples(request_words))
first_alternatives = node(nodes.Alternative, words=tuples(request_words), arrow=tuples(request_words))
requests = node(
    nodes.Request,
    verb=node(nodes.Word, value=verbs),
    alternatives=st.tuples(first_alternatives, tuples(alternatives, most=2)).map(lambda pair: (pair[0], *pair[1])),
    unless=st.none() | selectors,
    even_if_skipped=st.booleans(),
    on=st.none() | node(nodes.Word, value=plain_names),
    **said,
)
matches = node(nodes.Match, selector=selectors, **said)
skips = node(nodes.Skip, selector=selectors, **said)
lets = node(nodes.Let, name=sets, selector=selectors, **said)
versions = words(r"[0-9][A-Za-z0-9_.+!*-]{0,6}")
bounds = tuples(st.tuples(comparators, versions), most=2)
settings_of_uses = node(
    nodes.Given,
    name=plain_names,
    value=parameters | node(nodes.Constant, value=signed | floats | texts | st.booleans()),
)
uses = st.lists(settings_of_uses, max_size=3, unique_by=lambda given: given.name).flatmap(
    lambda values: st.one_of(
        node(nodes.Use, recipe=name, is_file=st.just(is_file), bounds=bounds, values=st.just(tuple(values)), **said)
        for name, is_file in ((names_of_recipes, False), (texts, True))
    )
)
params = node(
    nodes.Param, name=plain_names, default=node(nodes.Constant, value=signed | floats | texts | st.booleans()), **said
)
headers = node(nodes.Header, name=names_of_recipes, version=st.none() | texts, **said)
requirements = node(
    nodes.Requires,
    package=words(r"[a-z][a-z0-9_]{0,4}([.-][a-z0-9]{1,3})?"),
    bounds=tuples(st.tuples(comparators, versions), least=1, most=2),
    **said,
)
expectations = node(nodes.Expect, operator=comparators, count=whole | parameters, **said)
optionals = node(nodes.Optional, **said)
metrics = st.lists(plain_names, min_size=1, max_size=2).map(" ".join)
answers = node(
    nodes.Expectation,
    metric=node(nodes.Word, value=metrics, quoted=st.just(False)),
    operator=comparators,
    bound=st.integers(0, 999) | st.floats(0, 1e6, allow_nan=False) | parameters,
    unit=st.none() | st.just("%") | plain_names,
    **said,
)


@st.composite
def rules(draw: st.DrawFn) -> nodes.Rule:
    """A rule with a name and its match anywhere, or one without a name that begins with its match."""
    others = [draw(requests), *draw(st.lists(requests | skips, max_size=2))]
    others += [draw(strategy) for strategy in (expectations, optionals) if draw(st.booleans())]
    others = draw(st.permutations(others))
    name = draw(st.none() | titles)
    place = draw(st.integers(0, len(others))) if name else 0
    clauses = (*others[:place], draw(matches), *others[place:])
    if name is None:
        return nodes.Rule(span=PLACE, name=None, clauses=clauses)
    return draw(node(nodes.Rule, name=name, clauses=st.just(clauses), **said))


@st.composite
def files(draw: st.DrawFn) -> nodes.RuleFile:
    """A file whose skips stand before its rules, with at most one header and no name twice."""
    head = [
        *draw(st.lists(headers, max_size=1)),
        *draw(st.lists(requirements | uses | params | lets | skips | answers, max_size=3)),
    ]
    body = draw(st.lists(rules() | lets | requirements | uses | params, max_size=3))
    taken: set[tuple[type, str]] = set()
    statements = []
    for statement in [*draw(st.permutations(head)), *body]:
        name = statement.name if isinstance(statement, nodes.Rule | nodes.Let | nodes.Param) else None
        name = statement.metric.value if isinstance(statement, nodes.Expectation) else name
        if name is None or (type(statement), name) not in taken:
            statements.append(statement)
            taken.add((type(statement), name or ""))
    return nodes.RuleFile(span=PLACE, statements=tuple(statements), below=draw(tuples(comments, most=2)))


# ── what holds ───────────────────────────────────────────────────────────────────────────────────────────────────────


def same(one: nodes.Node, other: nodes.Node) -> bool:
    """Equal, and of equal types throughout: `1 == 1.0 == True` to Python."""
    return one == other and repr(one) == repr(other)


@QUICK
@given(files())
def test_a_file_reads_back_from_what_it_prints(file: nodes.RuleFile) -> None:
    text = format(file)
    again = parse(text)
    assert same(again, file)
    assert format(again) == text


@QUICK
@given(selectors)
def test_a_selector_reads_back(selector: nodes.Selector) -> None:
    (skip,) = parse(f"skip {format_selector(selector)}").statements
    assert isinstance(skip, nodes.Skip)
    assert same(skip.selector, selector)


@QUICK
@given(expressions)
def test_a_condition_reads_back(expression: nodes.Expression) -> None:
    (skip,) = parse(f"skip * where {format_expression(expression)}").statements
    assert isinstance(skip, nodes.Skip)
    assert isinstance(skip.selector, nodes.Filter)
    assert same(skip.selector.condition, expression)


@QUICK
@given(requests)
def test_a_request_prints_on_one_line_and_reads_back(request: nodes.Request) -> None:
    line = format_request(request)
    assert "\n" not in line
    (rule,) = parse(f"match *\n{line}").statements
    assert isinstance(rule, nodes.Rule)
    assert format_request(rule.clauses[1]) == line  # type: ignore[arg-type]


@QUICK
@given(selectors)
def test_a_clause_is_broken_only_where_it_is_too_wide(selector: nodes.Selector) -> None:
    skip = nodes.Skip(span=PLACE, selector=selector)
    lines = format(nodes.RuleFile(span=PLACE, statements=(skip,))).removesuffix("\n").split("\n")
    fits = len(f"skip {format_selector(selector)}") <= WIDTH
    assert not (fits and len(lines) > 1)
    assert all(line.startswith(("skip ", "    where ", "    except ", "    and ", "    or ")) for line in lines)


# ── what cannot be read is a problem, never a crash ──────────────────────────────────────────────────────────────────

SCRAPS = st.sampled_from(
    [
        *"()[]{},:#~/\\\"'=<>-+*%.\n\r\t\0 ",
        *[
            "match ",
            "rule ",
            "skip ",
            "let ",
            "recipe ",
            "expect ",
            "optional",
            "use ",
            "param ",
            "with ",
            "\n",
            "\n  ",
            "# x",
            "#k",
            "#-1",
        ],
        *[
            "where ",
            "except ",
            "unless ",
            " and ",
            " or ",
            " else ",
            "not ",
            " in ",
            " like ",
            "feeds ",
            " within ",
            " first ",
            "largest 5 by ",
            " of ",
            " on ",
            "even ",
        ],
        *[
            "nn.conv2d",
            "skipped",
            "set layout NHWC",
            "->",
            "==",
            "[2, 2]",
            "..",
            "3",
            "1e9",
            "$n",
            "#$n",
            "$",
            '"x"',
            "/x/",
            "\ud800",
            "é",
        ],
    ]
)


def read(text: str) -> None:
    """Only a `RulesError` may come of it, and what can be read must print and read back."""
    with contextlib.suppress(RulesError):
        file = parse(text)
        assert same(parse(format(file)), file)


@QUICK
@given(st.text())
def test_any_text_can_be_read_or_refused(text: str) -> None:
    read(text)


@settings(QUICK, max_examples=300)
@given(st.lists(SCRAPS, max_size=25).map("".join))
def test_any_scraps_of_the_language_can_be_read_or_refused(text: str) -> None:
    read(text)


@settings(QUICK, max_examples=40)
@given(files(), st.data())
def test_a_damaged_file_can_be_read_or_refused(file: nodes.RuleFile, data: st.DataObject) -> None:
    text = format(file)
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        end = min(len(text), start + data.draw(st.integers(0, 5)))
        text = text[:start] + data.draw(SCRAPS | st.just("")) + text[end:]
    read(text)
