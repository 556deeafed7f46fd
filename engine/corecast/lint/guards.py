"""The selectors of a file in, findings out: conditions and exceptions that every layer passes, or none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from corecast.lang import Problem, nodes
from corecast.lang.spell import format_expression, format_selector
from corecast.lint.finding import Finding, unless_given
from corecast.lint.logic import Logic
from corecast.lint.sets import Sets
from corecast.recipe.scope import operands

Conditions = Sequence[nodes.Expression]


def guards(selector: nodes.Selector, sets: Sets) -> Iterator[Finding]:
    """What is wrong with the conditions and the sets inside a selector."""
    match selector:
        case nodes.Reference():
            return
        case nodes.Filter(selector=inner, condition=condition):
            yield from guards(inner, sets)
            if not sets.is_empty(inner):
                yield from _conditions(condition, sets.logic(inner), selector)
            for relation in _relations(condition):
                yield from guards(relation.selector, sets)
        case nodes.Except(selector=inner, removed=removed):
            yield from guards(inner, sets)
            yield from guards(removed, sets)
            yield from _exception(selector, sets)
        case nodes.Union(parts=parts) | nodes.Intersection(parts=parts):
            for part in parts:
                yield from guards(part, sets)
            if isinstance(selector, nodes.Intersection):
                yield from _intersection(selector, sets)
        case nodes.Chain(steps=steps):
            for step in steps:
                yield from guards(step.selector, sets)
        case nodes.Complement(selector=inner):
            yield from guards(inner, sets)
        case nodes.Pick(selector=inner):
            yield from guards(inner, sets)


def _exception(selector: nodes.Except, sets: Sets) -> Iterator[Finding]:
    inner, removed = selector.selector, selector.removed
    if sets.is_empty(inner) or sets.is_empty(removed):
        return  # that is told where it stands
    text = format_selector(removed)
    if sets.is_within(inner, removed):
        yield _finding("never-true", f"`except {text}` removes every layer", removed, "no model has a layer left here")
    elif sets.are_apart(inner, removed):
        message = f"`except {text}` removes nothing, in any model"
        yield _finding("unused-except", message, removed, "take it away", fix=selector)


def _intersection(selector: nodes.Intersection, sets: Sets) -> Iterator[Finding]:
    if sets.is_empty(selector) and not any(map(sets.is_empty, selector.parts)):
        message = f"`{format_selector(selector)}` names no layer of any model: its parts share none"
        yield _finding("never-true", message, selector, "write `or` for the layers of both")


# ── conditions ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _conditions(condition: nodes.Expression, logic: Logic, whole: nodes.Filter) -> Iterator[Finding]:
    parts = condition.parts if isinstance(condition, nodes.And) else (condition,)
    if not _may_hold(logic, parts):
        yield _never(parts, logic)
        return
    left = list(parts)
    for part in parts:
        others = [other for other in left if other is not part]
        if not logic.may_hold([*((other, True) for other in others), (part, False)]):
            left = others
            yield _always(part, logic, whole, others)
    for part in left:
        if isinstance(part, nodes.Or):
            yield from _choices(part, logic, [other for other in left if other is not part], whole)


def _may_hold(logic: Logic, parts: Conditions) -> bool:
    return logic.may_hold([(part, True) for part in parts])


def _never(parts: Conditions, logic: Logic) -> Finding:
    """The part that can never hold; or the first two that cannot hold together, told at the second."""
    for part in parts:
        if not _may_hold(logic, [part]):
            message = f"no layer can meet `{format_expression(part)}`{_because(part, logic)}"
            return _finding("never-true", message, part, "correct it: as it is, no layer of any model is selected")
    for number, second in enumerate(parts):
        for first in parts[:number]:
            if not _may_hold(logic, [first, second]):
                message = f"no layer can meet `{format_expression(second)}` and `{format_expression(first)}`"
                return _finding("never-true", message, second, "correct one of the two, or write `or`")
    message = "no layer can meet these conditions together"
    return _finding("never-true", message, parts[-1], "correct them: as they are, no layer of any model is selected")


def _because(part: nodes.Expression, logic: Logic) -> str:
    """Whose words the layers in question do not have."""
    names = [name for name in _names(part) if logic.is_absent(name)]
    if not names or logic.operators is None:
        return ""
    operators = " or ".join(sorted(logic.operators))
    return f": {operators} has no {' and no '.join(name.name for name in names)}"


def _always(part: nodes.Expression, logic: Logic, whole: nodes.Filter, others: Conditions) -> Finding:
    text = format_expression(part)
    if not logic.may_hold([(part, False)]):
        return _finding("always-true", f"every layer meets `{text}`", part, "take it away", fix=whole)
    reason = next((other for other in others if not logic.may_hold([(other, True), (part, False)])), None)
    given = f"`{format_expression(reason)}`" if reason else "the conditions beside it"
    message = f"every layer that meets {given} meets `{text}` too"
    return _finding("always-true", message, part, "take it away", fix=whole)


def _choices(part: nodes.Or, logic: Logic, others: Conditions, whole: nodes.Filter) -> Iterator[Finding]:
    """The choices of an `or` that no layer can take."""
    left = [choice for choice in part.parts if _may_hold(logic, [*others, choice])]
    for choice in part.parts:
        if choice not in left:
            message = f"no layer can meet `{format_expression(choice)}` here{_because(choice, logic)}"
            yield _finding("never-true", message, choice, "correct it, or take it away", fix=whole)


def _names(expression: nodes.Expression) -> list[nodes.Name]:
    if isinstance(expression, nodes.Name):
        return [expression]
    return [name for part in operands(expression) for name in _names(part)]


def _relations(expression: nodes.Expression) -> list[nodes.Relation]:
    if isinstance(expression, nodes.Relation):
        return [expression]
    return [relation for part in operands(expression) for relation in _relations(part)]


def _finding(slug: str, message: str, node: nodes.Node, help: str, fix: nodes.Node | None = None) -> Finding:
    """A finding about a node, which a fix takes out of the node `fix`."""
    problem = Problem(slug, message, node.span, help, severity="warning")
    return Finding(problem, unless_given(node, fix) if fix is not None else None)
