"""The parse tree of one clause in, its node out, with the problems that the grammar cannot see."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Literal, cast

from lark import Token, v_args
from lark.tree import Meta

from corecast.lang import nodes
from corecast.lang.assemble import repeated
from corecast.lang.literals import Literals
from corecast.lang.source import Span

_MODIFIERS = {"unless": "unless", "even_if_skipped": "even if skipped", "on": "on"}


@dataclass(frozen=True, slots=True)
class _Modifier:
    field: str
    span: Span
    value: nodes.Selector | nodes.Word | bool


@v_args(inline=True, meta=True)
class Builder(Literals):
    """Builds the node of one clause, one method for each shape of the grammar."""

    # ── statements ───────────────────────────────────────────────────────────────────────────────────────────────────

    def header(self, _: Meta, name: Token, version: Token | None) -> nodes.Header:
        if "." in name:
            self._complain("syntax", f"`{name}` has a dot", self._span(name), f"write `{name.replace('.', '-')}`")
        return nodes.Header(span=self.clause, name=str(name), version=self._text(version) if version else None)

    def requires(self, _: Meta, package: Token, *bounds: tuple[nodes.Comparator, str]) -> nodes.Requires:
        return nodes.Requires(span=self.clause, package=str(package), bounds=bounds)

    def bound(self, _: Meta, comparator: Token, version: Token) -> tuple[nodes.Comparator, str]:
        return _comparator(comparator), str(version)

    def use(self, _: Meta, recipe: Token, *others: tuple[nodes.Comparator, str] | nodes.Given | None) -> nodes.Use:
        is_file = recipe.type == "STRING"
        if not is_file and "." in recipe:
            help = f'a file is used by its path in quotes: `use "{recipe}"`'
            self._complain("syntax", f"`{recipe}` has a dot, and a pack has none", self._span(recipe), help)
        values = tuple(item for item in others if isinstance(item, nodes.Given))
        first: dict[str, nodes.Given] = {}
        for item in values:
            if first.setdefault(item.name, item) is not item:
                self.problems.append(repeated(f"a second value for `{item.name}`", item.span, first[item.name].span))
        return nodes.Use(
            span=self.clause,
            recipe=self._text(recipe) if is_file else str(recipe),
            is_file=is_file,
            bounds=tuple(item for item in others if isinstance(item, tuple)),
            values=values,
        )

    def given(self, meta: Meta, name: Token, value: nodes.Constant | nodes.Parameter) -> nodes.Given:
        return nodes.Given(span=self._span(meta), name=self._plain_name(name), value=value)

    def param(self, _: Meta, name: Token, default: nodes.Constant | nodes.Parameter) -> nodes.Param:
        if isinstance(default, nodes.Parameter):
            help = "write the value itself; whoever uses this recipe gives another one by `with`"
            self._complain("syntax", "a default is a value, not another parameter", default.span, help)
            default = nodes.Constant(span=default.span, value=0)
        return nodes.Param(span=self.clause, name=self._plain_name(name), default=default)

    def _plain_name(self, name: Token) -> str:
        if "." in name:
            help = f"write `{name.replace('.', '_')}`"
            self._complain("syntax", f"`{name}` has a dot, and a parameter has none", self._span(name), help)
        return str(name)

    def let(self, _: Meta, name: Token, selector: nodes.Selector) -> nodes.Let:
        return nodes.Let(span=self.clause, name=str(name), selector=selector)

    def rule(self, _: Meta, name: Token) -> nodes.Rule:
        return nodes.Rule(span=self.clause, name=str(name), clauses=())

    def skip(self, _: Meta, selector: nodes.Selector) -> nodes.Skip:
        return nodes.Skip(span=self.clause, selector=selector)

    def match(self, _: Meta, selector: nodes.Selector) -> nodes.Match:
        return nodes.Match(span=self.clause, selector=selector)

    def expect(self, _: Meta, comparator: Token | None, count: Token) -> nodes.Expect:
        operator = _comparator(comparator) if comparator else "=="
        return nodes.Expect(span=self.clause, operator=operator, count=self._whole(count, self._span(count)))

    def expectation(
        self, _: Meta, metric: nodes.Word, comparator: Token, bound: Token, unit: Token | None
    ) -> nodes.Expectation:
        place = self._span(bound)
        number = (
            nodes.Parameter(span=place, name=bound[1:]) if bound.type == "PARAMETER" else self._number(bound, place)
        )
        sign = _comparator(comparator)
        return nodes.Expectation(
            span=self.clause, metric=metric, operator=sign, bound=number, unit=None if unit is None else str(unit)
        )

    def metric(self, meta: Meta, *words: Token) -> nodes.Word:
        return nodes.Word(span=self._span(meta), value=" ".join(words))

    def optional(self, _: Meta) -> nodes.Optional:
        return nodes.Optional(span=self.clause)

    # ── requests ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def request(self, _: Meta, verb: Token, *parts: nodes.Alternative | _Modifier | None) -> nodes.Request:
        first, *others = parts
        place = self._span(verb)
        bare = nodes.Alternative(span=Span(place.source, place.end, place.end), words=())  # `keep`: no word at all
        request = nodes.Request(
            span=self.clause,
            verb=nodes.Word(span=place, value=str(verb)),
            alternatives=(
                first if isinstance(first, nodes.Alternative) else bare,
                *(part for part in others if isinstance(part, nodes.Alternative)),
            ),
        )
        return self._modified(request, [part for part in others if isinstance(part, _Modifier)])

    def _modified(self, request: nodes.Request, modifiers: list[_Modifier]) -> nodes.Request:
        first: dict[str, _Modifier] = {}
        for modifier in modifiers:
            earlier = first.setdefault(modifier.field, modifier)
            if earlier is not modifier:
                what = f"a second `{_MODIFIERS[modifier.field]}` in one request"
                self.problems.append(repeated(what, modifier.span, earlier.span))
        return replace(request, **{name: modifier.value for name, modifier in first.items()})  # type: ignore[arg-type]

    def alternative(self, meta: Meta, *parts: nodes.Word | tuple[nodes.Word, ...] | None) -> nodes.Alternative:
        arrow = parts[-1] if isinstance(parts[-1], tuple) else ()
        words = tuple(part for part in parts if isinstance(part, nodes.Word))
        return nodes.Alternative(span=self._span(meta), words=words, arrow=arrow)

    def arrow(self, _: Meta, *words: nodes.Word) -> tuple[nodes.Word, ...]:
        return words

    def bare(self, meta: Meta, word: Token) -> nodes.Word:
        if word != "unless" and get_close_matches(word.lower(), ["unless"], cutoff=0.85):
            help = f'did you mean `unless`? A word that only looks like it goes in quotes: `"{word}"`'
            self._complain("unknown-word", f"`{word}` reads as a word of the request", self._span(meta), help)
        return nodes.Word(span=self._span(meta), value=self._bare_value(word))

    def quoted(self, meta: Meta, text: Token) -> nodes.Word:
        return nodes.Word(span=self._span(meta), value=self._text(text), quoted=True)

    def given_word(self, meta: Meta, name: Token) -> nodes.Word:
        return nodes.Word(span=self._span(meta), value=self.parameter(meta, name))

    def parameter(self, meta: Meta, name: Token) -> nodes.Parameter:
        return nodes.Parameter(span=self._span(meta), name=name[1:])

    def unless(self, meta: Meta, selector: nodes.Selector) -> _Modifier:
        return _Modifier("unless", self._span(meta), selector)

    def even_if_skipped(self, meta: Meta) -> _Modifier:
        return _Modifier("even_if_skipped", self._span(meta), True)

    def on(self, meta: Meta, name: Token) -> _Modifier:
        return _Modifier("on", self._span(meta), nodes.Word(span=self._span(name), value=str(name)))

    # ── selectors ────────────────────────────────────────────────────────────────────────────────────────────────────

    def exception(self, meta: Meta, selector: nodes.Selector, removed: nodes.Selector) -> nodes.Except:
        return nodes.Except(span=self._span(meta), selector=selector, removed=removed)

    def filter(self, meta: Meta, selector: nodes.Selector, condition: nodes.Expression) -> nodes.Filter:
        return nodes.Filter(span=self._span(meta), selector=selector, condition=condition)

    def union(self, meta: Meta, *parts: nodes.Selector) -> nodes.Union:
        return nodes.Union(span=self._span(meta), parts=parts)

    def intersection(self, meta: Meta, *parts: nodes.Selector) -> nodes.Intersection:
        return nodes.Intersection(span=self._span(meta), parts=parts)

    def complement(self, meta: Meta, selector: nodes.Selector) -> nodes.Complement:
        return nodes.Complement(span=self._span(meta), selector=selector)

    def pick(self, meta: Meta, end: Token, count: Token | None, selector: nodes.Selector) -> nodes.Pick:
        return self._pick(meta, end, count, selector, None)

    def pick_by(
        self, meta: Meta, end: Token, count: Token | None, key: nodes.Expression, selector: nodes.Selector
    ) -> nodes.Pick:
        return self._pick(meta, end, count, selector, key)

    def _pick(
        self, meta: Meta, end: Token, count: Token | None, selector: nodes.Selector, key: nodes.Expression | None
    ) -> nodes.Pick:
        word = cast(Literal["first", "last", "largest", "smallest"], str(end))
        wanted = self._count(count, f"`{word} 0` names no layer") if count else 1
        return nodes.Pick(span=self._span(meta), end=word, count=wanted, selector=selector, key=key)

    def chain(self, meta: Meta, *parts: nodes.Step | nodes.Selector) -> nodes.Chain:
        steps = [part if isinstance(part, nodes.Step) else nodes.Step(span=part.span, selector=part) for part in parts]
        return nodes.Chain(span=self._span(meta), steps=tuple(steps))

    def captured(self, meta: Meta, name: Token, selector: nodes.Selector) -> nodes.Step:
        if not name.isidentifier():
            help = "write a name without dots and stars before the colon, as in `c: nn.conv2d`"
            self._complain("syntax", f"`{name}` cannot name a step of a chain", self._span(name), help)
        return nodes.Step(span=self._span(meta), selector=selector, capture=str(name))

    def reference(self, meta: Meta, name: Token, place: Token | None) -> nodes.Reference:
        reference = nodes.Reference(span=self._span(meta), name=str(name))
        if place is None:
            return reference
        if place.type == "BINDING":
            return replace(reference, binding=place[1:])
        return replace(reference, ordinal=self._ordinal(place))

    def _ordinal(self, place: Token) -> nodes.Ordinal:
        span = self._span(place)
        first, _, last = place[1:].partition("..")
        if not last:
            return nodes.Ordinal(span=span, first=self._whole(first, span))
        low, high = self._range(first, last, span)
        return nodes.Ordinal(span=span, first=low, last=high)

    # ── expressions ──────────────────────────────────────────────────────────────────────────────────────────────────

    def disjunction(self, meta: Meta, *parts: nodes.Expression) -> nodes.Or:
        return nodes.Or(span=self._span(meta), parts=parts)

    def conjunction(self, meta: Meta, *parts: nodes.Expression) -> nodes.And:
        return nodes.And(span=self._span(meta), parts=parts)

    def negation(self, meta: Meta, operand: nodes.Expression) -> nodes.Not:
        return nodes.Not(span=self._span(meta), operand=operand)

    def compare(self, meta: Meta, *parts: nodes.Expression | Token) -> nodes.Compare:
        operands = tuple(part for part in parts if not isinstance(part, Token))
        operators = tuple(_comparator(part) for part in parts if isinstance(part, Token))
        return nodes.Compare(span=self._span(meta), operands=operands, operators=operators)

    def membership(self, meta: Meta, operand: nodes.Expression, items: nodes.Braces) -> nodes.Membership:
        return nodes.Membership(span=self._span(meta), operand=operand, items=items)

    def absence(self, meta: Meta, operand: nodes.Expression, items: nodes.Braces) -> nodes.Membership:
        return nodes.Membership(span=self._span(meta), operand=operand, items=items, negated=True)

    def like(self, meta: Meta, operand: nodes.Expression, glob: Token) -> nodes.Like:
        is_text = glob.type == "STRING"
        pattern = self._text(glob) if is_text else nodes.Parameter(span=self._span(glob), name=glob[1:])
        return nodes.Like(span=self._span(meta), operand=operand, pattern=pattern, kind="like")

    def regex(self, meta: Meta, operand: nodes.Expression, regex: Token) -> nodes.Like:
        self._check_regex(regex)
        pattern = re.sub(r"\\(.)", lambda escape: "/" if escape[1] == "/" else escape[0], regex[1:-1])
        return nodes.Like(span=self._span(meta), operand=operand, pattern=pattern, kind="~")

    def relation(self, meta: Meta, word: Token, selector: nodes.Selector, steps: Token | None) -> nodes.Relation:
        within = self._count(steps, "`within 0` reaches no other layer") if steps else 1
        return nodes.Relation(span=self._span(meta), word=str(word), selector=selector, within=within)

    def inside(self, meta: Meta, selector: nodes.Selector) -> nodes.Relation:
        return nodes.Relation(span=self._span(meta), word="inside", selector=selector)

    def arithmetic(
        self, meta: Meta, left: nodes.Expression, operator: Token, right: nodes.Expression
    ) -> nodes.Arithmetic:
        sign = cast(Literal["+", "-", "*", "/", "//", "%"], str(operator))
        return nodes.Arithmetic(span=self._span(meta), operator=sign, left=left, right=right)

    def negative(self, meta: Meta, operand: nodes.Expression) -> nodes.Negative:
        return nodes.Negative(span=self._span(meta), operand=operand)

    def number(self, meta: Meta, number: Token) -> nodes.Constant:
        return nodes.Constant(span=self._span(meta), value=self._number(number, self._span(number)))

    def string(self, meta: Meta, text: Token) -> nodes.Constant:
        return nodes.Constant(span=self._span(meta), value=self._text(text))

    def boolean(self, meta: Meta, word: Token) -> nodes.Constant:
        return nodes.Constant(span=self._span(meta), value=word == "true")

    def name(self, meta: Meta, name: Token) -> nodes.Name:
        return nodes.Name(span=self._span(meta), name=str(name))

    def call(self, meta: Meta, function: Token, *arguments: nodes.Expression | None) -> nodes.Call:
        given = tuple(argument for argument in arguments if argument is not None)
        return nodes.Call(span=self._span(meta), function=str(function), arguments=given)

    def listed(self, meta: Meta, *items: nodes.Constant | nodes.Parameter | None) -> nodes.Listed:
        return nodes.Listed(span=self._span(meta), items=tuple(item for item in items if item is not None))

    def braces(self, meta: Meta, *items: nodes.Constant | nodes.Parameter | nodes.Range) -> nodes.Braces:
        return nodes.Braces(span=self._span(meta), items=items)

    def bare_item(self, meta: Meta, word: Token) -> nodes.Constant:
        truth = {"true": True, "false": False}.get(word)
        return nodes.Constant(span=self._span(meta), value=self._bare_value(word) if truth is None else truth)

    def range(self, meta: Meta, first: Token, last: Token) -> nodes.Range:
        low, high = self._range(first, last, self._span(meta))
        return nodes.Range(span=self._span(meta), first=low, last=high)


def _comparator(token: Token) -> nodes.Comparator:
    """`name = "x"` compares as `==` does; `format` writes `==`."""
    return cast(nodes.Comparator, "==" if token == "=" else str(token))
