"""A recipe and a model in, findings out: contracts that the model does not keep, and what is said in vain for it."""

from __future__ import annotations

from collections.abc import Iterator

from corecast.lang import Problem
from corecast.lint.finding import Finding
from corecast.model import LayerTable, Target
from corecast.plan import RequestOutcome, trial
from corecast.recipe import Recipe


def on_model(recipe: Recipe, table: LayerTable, target: Target | None) -> Iterator[Finding]:
    """What planning tells of a model, and requests that others override on all of their layers."""
    decided, problems = trial(recipe, table, target)
    yield from map(Finding, problems)
    for rule, outcome in zip(recipe.rules, decided.rules, strict=True):
        found = list(zip(rule.requests, outcome.requests, strict=True))
        if any(request.applied for _, request in found):  # else it is told of the rule
            for request, result in found:
                if _is_overridden(result):
                    reasons = "; ".join(item.reason for item in result.overridden)
                    message = f"`{request.text}` decides nothing about this model: {reasons}"
                    help = "other models may show otherwise"
                    yield Finding(Problem("shadowed-request", message, request.span, help, severity="warning"))


def _is_overridden(result: RequestOutcome) -> bool:
    return bool(result.overridden) and not (result.applied or result.skipped or result.not_applicable)
