"""The rules of a file in, findings out: requests that decide nothing in any model, since another always decides.

The last request that matches decides, even where it then does not apply; a skip stops every request that does not
insist; `unless` takes layers out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from corecast.lang import Problem, nodes
from corecast.lang.spell import format_selector
from corecast.lint.finding import Finding, Notes, Place, unless_given
from corecast.lint.sets import Sets
from corecast.recipe import Property, Recipe, Request, Rule
from corecast.recipe.scope import SKIPPED, references

_Asked = tuple[Rule, Request]


def shadows(recipe: Recipe, sets: Sets) -> Iterator[Finding]:
    """Requests that another one, a skip or their own guard always comes before."""
    asked = [(rule, request) for rule in recipe.rules for request in rule.requests]
    for rule in recipe.rules:
        if sets.is_empty(rule.match.selector):
            continue  # that is told where it stands
        found = [(request, _why(recipe, sets, (rule, request), asked)) for request in rule.requests]
        shadowed = [(request, why) for request, why in found if why]
        if len(shadowed) == len(found):
            reasons = tuple(dict.fromkeys(note for _, (_, notes) in shadowed for note in notes))
            message = f"rule {rule.name} never decides anything: {shadowed[0][1][0]}"
            help = "put it behind what comes before it, make it narrower, or take it away"
            yield Finding(Problem("shadowed-rule", message, rule.match.span, help, "warning", notes=reasons))
        else:
            for request, (why, notes) in shadowed:
                message = f"`{request.text}` never decides anything: {why}"
                help = "put it behind what comes before it, or take it away"
                yield Finding(Problem("shadowed-request", message, request.span, help, "warning", notes=notes))
        yield from _guards(rule, sets)


def _why(recipe: Recipe, sets: Sets, one: _Asked, asked: Sequence[_Asked]) -> tuple[str, Notes] | None:
    """What always decides instead of a request, with its places; None where it may decide itself."""
    rule, request = one
    if request.otherwise == "fail":
        return None  # it says something of the model all the same
    if not request.insist:
        for skip in (*recipe.skips, *rule.skips):
            if request.step == 0 and sets.is_within(rule.match.selector, skip.selector):
                return f"`skip {format_selector(skip.selector)}` stops it on every layer", (("skipped", skip.span),)
    if request.unless is not None and request.step == 0 and sets.is_within(rule.match.selector, request.unless):
        return f"`unless {format_selector(request.unless)}` names all of its layers", ()
    later = asked[asked.index(one) + 1 :]
    stronger = [other for other in later if _comes_before(recipe, sets, other, one)]
    missing = set(_asked_of(request))
    places: list[tuple[str, object]] = []
    for other_rule, other in stronger:
        if missing & set(_decided_by(other)):
            missing -= set(_decided_by(other))
            places.append((f"rule {other_rule.name}", other.span))
    if missing:
        return None
    names = " and ".join(dict.fromkeys(str(name) for name, _ in places))
    return f"{names} decides later about all of its layers", tuple(("decided here", span) for _, span in places)  # type: ignore[misc]


def _asked_of(request: Request) -> set[Property]:
    return {name for action in request.alternatives for name in action.properties}


def _decided_by(request: Request) -> set[Property]:
    """What a request decides whichever alternative is taken, and where none is."""
    return set.intersection(*(set(action.properties) for action in request.alternatives))


def _comes_before(recipe: Recipe, sets: Sets, stronger: _Asked, weaker: _Asked) -> bool:
    """Whether one request is asked of every layer that another one is asked of."""
    (other_rule, other), (rule, request) = stronger, weaker
    if other_rule.span.source is not rule.span.source:
        return False  # whoever uses a recipe means to decide otherwise
    if request.insist and not other.insist and (recipe.skips or other_rule.skips):
        return False
    if not other.insist and any(skip not in rule.skips for skip in other_rule.skips):
        return False
    if (rule.skips or other_rule.skips) and _speaks_of_skipped((rule, request), (other_rule, other)):
        return False
    if other_rule is rule and other.step == request.step:
        covers = True
    elif other.step or request.step:
        return False
    else:
        covers = sets.is_within(rule.match.selector, other_rule.match.selector)
    return covers and _passes(sets, other, request, rule)


def _passes(sets: Sets, other: Request, request: Request, rule: Rule) -> bool:
    """Whether the stronger request's own guard lets all through that the weaker one's does."""
    if other.unless is None:
        return True
    if isinstance(other.unless, nodes.Reference) and other.unless.name == SKIPPED:
        return not request.insist
    if request.unless is not None and sets.is_within(other.unless, request.unless):
        return True
    return request.step == 0 and sets.are_apart(rule.match.selector, other.unless)


def _is_skipped(selector: nodes.Selector | None) -> bool:
    return isinstance(selector, nodes.Reference) and selector.name == SKIPPED


def _speaks_of_skipped(*asked: _Asked) -> bool:
    """Whether a selector depends on what a rule itself skips; `unless skipped` alone says what holds anyway."""
    for rule, request in asked:
        selectors = [rule.match.selector]
        if request.unless is not None and not _is_skipped(request.unless):
            selectors.append(request.unless)
        if any(reference.name == SKIPPED for selector in selectors for reference in references(selector)):
            return True
    return False


def _guards(rule: Rule, sets: Sets) -> Iterator[Finding]:
    """`unless` that takes no layer out in any model."""
    for request in rule.requests:
        guard = request.unless
        if guard is None or request.step or sets.is_empty(guard) or not sets.are_apart(rule.match.selector, guard):
            continue
        message = f"`unless {format_selector(guard)}` takes no layer out, in any model"
        problem = Problem("always-true", message, guard.span, "take it away", severity="warning")
        is_safe = unless_given(guard, rule.match) is not None and "$" not in guard.span.text
        yield Finding(problem, Place.of(guard) if is_safe else None)
