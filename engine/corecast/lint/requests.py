"""The requests of a file in, findings out: what applies to no layer that its rule can match, or on no target."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from corecast.lang import Problem, nodes
from corecast.lint.finding import Finding, Place
from corecast.lint.sets import Sets
from corecast.model import Target
from corecast.recipe import Action, Recipe, Request, Rule


def requests(recipe: Recipe, sets: Sets, targets: Sequence[Target], written: nodes.RuleFile) -> Iterator[Finding]:
    """Alternatives that can never be taken.

    Args:
        recipe: its requests.
        sets: the sets of the recipe.
        targets: those that the recipe is for.
        written: the file itself, in which the alternatives stand as nodes.
    """
    nodes_by_start = {
        clause.span.start: clause
        for rule in written.statements
        if isinstance(rule, nodes.Rule)
        for clause in rule.clauses
        if isinstance(clause, nodes.Request)
    }
    for rule in recipe.rules:
        for request in rule.requests:
            clause = nodes_by_start.get(request.span.start) if request.span.source is written.span.source else None
            if clause and not sets.is_empty(rule.match.selector):
                yield from _alternatives(rule, request, clause, sets, targets)


def _alternatives(
    rule: Rule, request: Request, clause: nodes.Request, sets: Sets, targets: Sequence[Target]
) -> Iterator[Finding]:
    operators = sets.operators(_step(rule.match.selector, request.step))
    found = list(zip(request.alternatives, clause.alternatives, strict=False))
    dead = [(action, place, why) for action, place in found if (why := _never(action, operators))]
    for _, place, why in dead:
        # What is left must still be a request, and the word before its first alternative must stay.
        is_last = len(dead) == len(found)
        help = "ask for another one" if is_last else "take it away: the next one is always taken"
        removable = None if is_last or place is clause.alternatives[0] or "$" in clause.span.text else Place.of(place)
        yield Finding(Problem("never-applies", why, place.span, help, severity="warning"), removable)
    if not dead and targets:
        reasons = [_on_no_target(action, targets) for action, _ in found]
        if all(reasons):
            places = f"{len(targets)} known targets" if len(targets) > 1 else targets[0].name
            message = f"none of its dtypes can be computed on {places}: {reasons[0]}"
            help = "add one that a target computes: `else float16`, `else int8`"
            yield Finding(Problem("impossible-dtype", message, clause.alternatives[0].span, help, severity="warning"))


def _step(selector: nodes.Selector, step: int) -> nodes.Selector:
    """What the layers of one step of a match are selected by."""
    while isinstance(selector, nodes.Filter | nodes.Except | nodes.Pick):
        if not step:
            return selector
        selector = selector.selector
    return selector.steps[step].selector if isinstance(selector, nodes.Chain) else selector


def _never(action: Action, operators: frozenset[str] | None) -> str | None:
    """Why an action applies to no call of any of these operators; of those that are not known, none is ruled out."""
    if operators is None:
        return None if (why := action.excluded(None)) is None else str(why)
    reasons = [action.excluded(operator) for operator in sorted(operators)]
    return str(reasons[0]) if reasons and all(reasons) else None


def _on_no_target(action: Action, targets: Sequence[Target]) -> str | None:
    reasons = [action.objection(target) for target in targets]
    return reasons[0] if all(reasons) else None
