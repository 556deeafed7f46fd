"""The statements of a file in, findings out: sets, parameters and skips that nothing comes of, in any model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from corecast.lang import Problem, nodes
from corecast.lang.spell import format_selector
from corecast.lint.finding import Finding, Place
from corecast.lint.sets import Sets
from corecast.recipe import Recipe
from corecast.recipe.scope import references


def unused(written: nodes.RuleFile, recipe: Recipe, sets: Sets, *, is_shared: bool) -> Iterator[Finding]:
    """What a file could do without.

    Args:
        written: the file as it stands, without what it uses.
        recipe: what became of it.
        sets: the sets of the recipe.
        is_shared: whether others use it, and with it the sets and parameters that it does not use itself.
    """
    has_rules = any(isinstance(item, nodes.Rule) for item in written.statements)
    if has_rules and not is_shared:  # a file of sets alone is there for others
        yield from _lets(written)
    yield from _params(written, is_shared)
    yield from _skips(written, recipe, sets)


def _lets(written: nodes.RuleFile) -> Iterator[Finding]:
    lets = {item.name: item for item in written.statements if isinstance(item, nodes.Let)}
    used: set[str] = set()
    frontier = [name for selector in _selectors(written) for name in _named(selector)]
    while frontier:
        name = frontier.pop()
        if name in lets and name not in used:
            used.add(name)
            frontier += _named(lets[name].selector)
    for name, let in lets.items():
        if name not in used:
            message = f"no rule and no skip comes to the set `{name}`"
            yield _finding("unused-let", message, let, "use it, or take it away", removable=True)


def _selectors(written: nodes.RuleFile) -> Iterator[nodes.Selector]:
    """Those that layers are asked by, and not those of sets."""
    for item in written.statements:
        for clause in item.clauses if isinstance(item, nodes.Rule) else (item,):
            match clause:
                case nodes.Skip(selector=selector) | nodes.Match(selector=selector):
                    yield selector
                case nodes.Request(unless=selector) if selector is not None:
                    yield selector


def _named(selector: nodes.Selector) -> Iterable[str]:
    return [reference.name for reference in references(selector)]


def _params(written: nodes.RuleFile, is_shared: bool) -> Iterator[Finding]:
    used = {node.name for item in written.statements for node in _inside(item) if isinstance(node, nodes.Parameter)}
    for item in written.statements:
        if isinstance(item, nodes.Param) and item.name not in used:
            message = f"nothing takes the value of the parameter `{item.name}`"
            help = f"write `${item.name}` where its value is meant, or take it away"
            yield _finding("unused-param", message, item, help, removable=not is_shared)


def _inside(value: Any) -> Iterator[nodes.Node]:
    if isinstance(value, nodes.Node):
        yield value
        for name in value.__dataclass_fields__:
            if name != "span":
                yield from _inside(getattr(value, name))
    elif isinstance(value, tuple):
        for item in value:
            yield from _inside(item)


def _skips(written: nodes.RuleFile, recipe: Recipe, sets: Sets) -> Iterator[Finding]:
    """A skip of nothing, a skip of what is skipped already, and one that no request would reach anyway."""
    for rule, clauses in ((None, recipe.skips), *((rule, rule.skips) for rule in recipe.rules)):
        before = list(recipe.skips) if rule else []
        for clause in clauses:
            text = f"skip {format_selector(clause.selector)}"
            asked = [rule] if rule else list(recipe.rules)
            if clause.span.source is not written.span.source:
                pass
            elif sets.is_empty(clause.selector):
                yield _finding("unused-skip", f"`{text}` names no layer of any model", clause, "correct it")
            elif earlier := next((item for item in before if sets.is_within(clause.selector, item.selector)), None):
                message = f"`skip {format_selector(earlier.selector)}` names all the layers of `{text}` already"
                is_fixed = "$" not in clause.span.text and "$" not in earlier.span.text
                yield _finding("unused-skip", message, clause, "take one of the two away", removable=is_fixed)
            elif asked and all(_is_beside(item.match.selector, clause.selector, sets) for item in asked):
                message = f"no request comes to the layers of `{text}`"
                yield _finding("unused-skip", message, clause, "correct it, or take it away")
            before.append(clause)


def _is_beside(match: nodes.Selector, skipped: nodes.Selector, sets: Sets) -> bool:
    """Whether a match asks nothing of skipped layers; the later steps of a chain are any layers."""
    inner = match
    while isinstance(inner, nodes.Filter | nodes.Except | nodes.Pick):
        inner = inner.selector
    return sets.are_apart(match, skipped) and not isinstance(inner, nodes.Chain)


def _finding(slug: str, message: str, node: nodes.Node, help: str, *, removable: bool = False) -> Finding:
    problem = Problem(slug, message, node.span, help, severity="warning")
    return Finding(problem, Place.of(node) if removable else None)
