"""A rules file in, a recipe out: names looked up, arguments typed, all problems gathered."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath
from typing import Literal

from pydantic import ValidationError

from corecast.lang import nodes
from corecast.lang.format import format_request
from corecast.lang.problems import Problem, RulesError
from corecast.lang.source import Span
from corecast.recipe.flatten import Flat
from corecast.recipe.metrics import Expectation, read_expectation
from corecast.recipe.recipe import Recipe, Request, Rule
from corecast.recipe.scope import Scope, captures
from corecast.recipe.versions import bounds_text, installed_outside
from corecast.recipe.words import Action, Catalogue, unknown


def resolve(flat: Flat, catalogue: Catalogue) -> Recipe:
    """Give a syntax tree its meaning.

    Args:
        flat: what `flatten` returned.
        catalogue: the words that exist; with a model's operators and attributes added where one is at hand.

    Raises:
        RulesError: with every unknown word, wrong argument and unmet requirement of the file.
    """
    return _Resolver(flat, catalogue).recipe()


def _has_match(rule: nodes.Rule) -> bool:
    """Whether the rule can be looked at; its `match` may be among what could not be read."""
    return any(isinstance(clause, nodes.Match) for clause in rule.clauses)


class _HalfNameError(Exception):
    """An argument's name of several words that is not read to its end; it has been reported."""


class _Resolver:
    def __init__(self, flat: Flat, catalogue: Catalogue):
        self.file = file = flat.file
        self.flat = flat
        self.catalogue = catalogue
        self.problems: list[Problem] = []
        self.lets = {item.name: item for item in file.statements if isinstance(item, nodes.Let)}
        self.scope = Scope(catalogue, self.lets, flat.has_param, self.problems)

    def recipe(self) -> Recipe:
        statements = self.file.statements
        header = next((item for item in statements if isinstance(item, nodes.Header)), None)
        requires = tuple(item for item in statements if isinstance(item, nodes.Requires))
        skips = tuple(item for item in statements if isinstance(item, nodes.Skip))
        for requirement in requires:
            self._check_requirement(requirement)
        self.scope.check_lets()
        for skip in skips:
            self.scope.check(skip.selector)
        expectations = {found.bound.metric: found for item in statements if (found := self._expectation(item))}
        rules = tuple(self._rule(item) for item in statements if isinstance(item, nodes.Rule) and _has_match(item))
        if self.problems:
            raise RulesError(self.problems)
        source = self.file.span.source
        return Recipe(
            name=header.name if header else PurePath(source.name).stem,
            version=header.version if header else None,
            source=source,
            catalogue=self.catalogue,
            lets=self.lets,
            expectations=tuple(expectations.values()),
            skips=skips,
            rules=rules,
            requires=requires,
            parts=self.flat.parts,
        )

    def _check_requirement(self, requirement: nodes.Requires) -> None:
        bounds = bounds_text(requirement.bounds)
        try:
            installed = installed_outside(requirement.package, bounds)
        except ValueError:
            self._report("bad-version", f"{bounds} is not a version bound", requirement.span)
            return
        if installed:
            message = f"this recipe requires {requirement.package} {bounds}, and {installed} is installed"
            self._report("requires-not-met", message, requirement.span)

    def _expectation(self, item: nodes.FileStatement) -> Expectation | None:
        """What is expected of the answers; of two recipes that are used, the later one decides about a metric."""
        if not isinstance(item, nodes.Expectation):
            return None
        try:
            return read_expectation(item)
        except RulesError as error:
            self.problems += error.problems
            return None

    def _rule(self, rule: nodes.Rule) -> Rule:
        match = next(clause for clause in rule.clauses if isinstance(clause, nodes.Match))
        self.scope.check(match.selector)
        skips = tuple(clause for clause in rule.clauses if isinstance(clause, nodes.Skip))
        for skip in skips:
            self.scope.check(skip.selector)
        steps = captures(match.selector)
        requests = [
            request
            for clause in rule.clauses
            if isinstance(clause, nodes.Request) and (request := self._request(clause, steps))
        ]
        return Rule(
            name=rule.label,
            match=match,
            skips=skips,
            requests=tuple(requests),
            expect=next((clause for clause in rule.clauses if isinstance(clause, nodes.Expect)), None),
            optional=any(isinstance(clause, nodes.Optional) for clause in rule.clauses),
            span=rule.span,
        )

    def _request(self, clause: nodes.Request, steps: dict[str, int]) -> Request | None:
        if clause.unless is not None:
            self.scope.check(clause.unless)
        step = 0
        if clause.on is not None:
            name = str(clause.on.value)
            if name not in steps:
                help = f"this match captures {', '.join(steps) or 'nothing'}; write `{name}:` before a step"
                self._report("unknown-capture", f"no step of this match is called `{name}`", clause.on.span, help)
            step = steps.get(name, 0)
        first = clause.alternatives[0]
        head = first.words[0].value if first.words and not first.words[0].quoted else None
        found = self.catalogue.action(str(clause.verb.value), head if isinstance(head, str) else None)
        if found is None:
            self._unknown_action(clause, head)
            return None
        kind, took_first = found
        alternatives, otherwise = self._alternatives(clause, kind, took_first)
        if not alternatives:
            return None
        return Request(
            alternatives=alternatives,
            otherwise=otherwise,
            unless=clause.unless,
            insist=clause.even_if_skipped,
            step=step,
            text=format_request(clause),
            span=clause.span,
        )

    def _unknown_action(self, clause: nodes.Request, head: object) -> None:
        verbs = [verb.split()[0] for verb in self.catalogue.actions]
        verb = str(clause.verb.value)
        if verb in verbs:
            seconds = [name.split()[1] for name in self.catalogue.actions if name.startswith(f"{verb} ")]
            message = f"unknown action `{verb} {head}`" if head is not None else f"`{verb}` needs a word after it"
            self._report("unknown-action", message, clause.span, unknown(f"words after `{verb}`", str(head), seconds))
        else:
            self._report(
                "unknown-action", f"unknown action `{verb}`", clause.verb.span, unknown("actions", verb, verbs)
            )

    def _alternatives(
        self, clause: nodes.Request, kind: type[Action], took_first: bool
    ) -> tuple[tuple[Action, ...], Literal["keep", "fail"]]:
        actions: list[Action] = []
        otherwise: Literal["keep", "fail"] = "keep"
        for number, alternative in enumerate(clause.alternatives):
            words = alternative.words[1:] if number == 0 and took_first else alternative.words
            last = number == len(clause.alternatives) - 1
            if number and last and len(words) == 1 and words[0].value in ("keep", "fail") and not alternative.arrow:
                otherwise = "fail" if words[0].value == "fail" else "keep"
            elif action := self._action(kind, words, alternative):
                actions.append(action)
        return tuple(actions), otherwise

    def _action(
        self, kind: type[Action], words: tuple[nodes.Word, ...], alternative: nodes.Alternative
    ) -> Action | None:
        values: dict[str, nodes.Word] = {}
        try:
            for name, word in self._arguments(kind, words, alternative):
                if name in values:
                    self._report("duplicate-argument", f"`{_spelled(name)}` was given already", word.span)
                    return None
                values[name] = word
        except _HalfNameError:
            return None
        try:
            return kind(**{name: word.value for name, word in values.items()})
        except ValidationError as error:
            for item in error.errors(include_url=False):
                name = str(item["loc"][0]) if item["loc"] else ""
                given = values.get(name)
                place = given.span if given else alternative.span
                if item["type"] == "missing":
                    what = f"`{_spelled(name)} {_placeholder(kind, name)}`" if name in kind.keyed else f"a {name}"
                    self._report("missing-argument", f"`{kind.verb}` needs {what}", place, _usage(kind))
                else:
                    self._bad_argument(kind, item["msg"].removeprefix("Value error, "), place, given)
            return None

    def _bad_argument(self, kind: type[Action], message: str, place: Span, word: nodes.Word | None) -> None:
        help = _usage(kind)
        if word and place.text.startswith("$"):
            message += f" (`{place.text}` is {word.value})"
        elif word and self.flat.has_param(str(word.value), place):
            help = f"the value of the parameter is written `${word.value}`"
        self._report("bad-argument", message, place, help)

    def _arguments(
        self, kind: type[Action], words: tuple[nodes.Word, ...], alternative: nodes.Alternative
    ) -> Iterator[tuple[str, nodes.Word]]:
        """Pair the words of a request with the fields of its action."""
        positional = iter(kind.positional)
        rest = iter(words)
        for word in rest:
            if key := self._key(kind, word, rest):
                value = next(rest, None)
                if value is None:
                    self._report("missing-argument", f"`{_spelled(key)}` needs a value", word.span, _usage(kind))
                else:
                    yield key, value
            elif name := next(positional, None):
                yield name, word
            else:
                self._report("extra-argument", f"`{kind.verb}` takes no `{word.value}`", word.span, _usage(kind))
        for number, word in enumerate(alternative.arrow):
            if kind.arrow and number == 0:
                yield kind.arrow, word
            else:
                what = "only one word" if kind.arrow else "nothing"
                self._report("extra-argument", f"`{kind.verb}` takes {what} after `->`", word.span, _usage(kind))

    def _key(self, kind: type[Action], word: nodes.Word, rest: Iterator[nodes.Word]) -> str | None:
        """The argument whose name begins here, and is read to its end; a name may have several words (`at most`)."""
        if word.quoted:
            return None
        for key in kind.keyed:
            first, *others = key.split("_")
            if word.value == first:
                for other in others:
                    found = next(rest, None)
                    if found is None or found.value != other or found.quoted:
                        message = f"`{first}` is half of `{_spelled(key)}`"
                        self._report("bad-argument", message, word.span, _usage(kind))
                        raise _HalfNameError
                return key
        return None

    def _report(self, slug: str, message: str, span: Span, help: str | None = None) -> None:
        self.problems.append(Problem(slug, message, span, help))


def _spelled(key: str) -> str:
    """How a recipe writes the name of an argument."""
    return key.replace("_", " ")


def _placeholder(kind: type[Action], name: str) -> str:
    return kind.model_fields[name].title or name.upper()


def _usage(kind: type[Action]) -> str:
    words = [(name, _placeholder(kind, name)) for name in kind.positional]
    words += [(key, f"{_spelled(key)} {_placeholder(kind, key)}") for key in kind.keyed]
    if kind.arrow:
        words.append((kind.arrow, f"-> {kind.arrow.upper()}"))
    parts = [text if kind.model_fields[name].is_required() else f"[{text}]" for name, text in words]
    return f"write `{' '.join([kind.verb, *parts])}`"
