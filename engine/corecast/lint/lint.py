"""A recipe in, findings out: what no model could ever make of it, and what one model does not make of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from corecast.lang import Problem, nodes
from corecast.lint.finding import Finding
from corecast.lint.guards import guards
from corecast.lint.on_model import on_model
from corecast.lint.requests import requests
from corecast.lint.sets import Sets
from corecast.lint.shadows import shadows
from corecast.lint.unused import unused
from corecast.model import LayerTable, Target, known_targets
from corecast.recipe import Recipe


def lint(
    written: nodes.RuleFile,
    recipe: Recipe,
    table: LayerTable | None = None,
    targets: Sequence[Target] = (),
    *,
    is_shared: bool = False,
) -> list[Finding]:
    """Look for what a recipe says in vain. What is in the recipes that it uses is theirs.

    Args:
        written: the file as it stands.
        recipe: what it was resolved to, with all that it uses.
        table: the layers of a model, on which the contracts of the recipe are looked at too.
        targets: those that the recipe is for; all that are known, where none are given.
        is_shared: whether others use the file, with the sets and parameters that it does not use itself.

    Returns:
        Warnings, in the order of their places; with a model also the errors that planning would raise.
    """
    sets = Sets(recipe.catalogue, recipe.lets)
    found = [
        *(finding for selector in _selectors(recipe) for finding in guards(selector, sets)),
        *shadows(recipe, sets),
        *requests(recipe, sets, targets or known_targets(), written),
        *unused(written, recipe, sets, is_shared=is_shared),
    ]
    found = [finding for finding in found if _is_own(finding, written)]
    if table:
        shown = on_model(recipe, table, targets[0] if len(targets) == 1 else None)
        found += [item for item in shown if _is_own(item, written) and not _is_told(item.problem, found)]
    return sorted(found, key=lambda finding: finding.problem.span.start if finding.problem.span else -1)


# What a model shows, and what is told of it where no model could do otherwise.
_REASONS = {
    "unmatched-rule": {"never-true"},
    "unused-except": {"unused-except", "never-true"},
    "unused-skip": {"unused-skip", "never-true"},
    "nothing-realised": {"shadowed-rule", "never-applies"},
    "shadowed-request": {"shadowed-request", "never-applies"},
}


def _is_told(problem: Problem, found: Sequence[Finding]) -> bool:
    """Whether what a model shows is so in every model, and told already."""
    reasons, place = _REASONS.get(problem.slug, set()), problem.span
    return any(
        place and span and place.start <= span.start and span.end <= place.end
        for finding in found
        for span in [finding.problem.span]
        if finding.problem.slug in reasons
    )


def _is_own(finding: Finding, written: nodes.RuleFile) -> bool:
    span = finding.problem.span
    return span is not None and span.source is written.span.source


def _selectors(recipe: Recipe) -> Iterator[nodes.Selector]:
    yield from (let.selector for let in recipe.lets.values())
    yield from (skip.selector for skip in recipe.skips)
    for rule in recipe.rules:
        yield rule.match.selector
        yield from (skip.selector for skip in rule.skips)
        yield from (request.unless for request in rule.requests if request.unless is not None)
