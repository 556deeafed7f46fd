"""One layer in, the reasons out: what it got and from which line, and for every other rule the part that declined."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import BaseModel, ConfigDict

from corecast.model import Layer, LayerTable
from corecast.plan.plan import Because, Placed, Plan, RequestOutcome, RuleOutcome
from corecast.plan.select import Selection
from corecast.recipe import PROPERTIES, Recipe, Rule

Outcome = Literal["applied", "skipped", "overridden", "not applicable"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Answer(Placed):
    """What became of one request on the layer, and why."""

    request: str
    outcome: Outcome
    reason: str | None = None


class RuleAnswer(Placed):
    """What a rule did to the layer; `declined` says why it asks nothing of it."""

    rule: str
    declined: str | None = None
    answers: tuple[Answer, ...] = ()


class Explanation(_Part):
    """Everything the recipe has to say about one layer."""

    layer: str
    parameter: str | None
    source: str | None
    decisions: tuple[str, ...]
    rules: tuple[RuleAnswer, ...]

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        names = [f"weight {self.parameter}"] if self.parameter else []
        names += [f"node {self.source}"] if self.source else []
        yield self.layer + (f" ({', '.join(names)})" if names else "")
        yield from (f"  {decision}" for decision in self.decisions)
        for rule in self.rules:
            yield f"{rule.rule} ({rule.place})" + (f": {rule.declined}" if rule.declined else "")
            for answer in rule.answers:
                reason = f": {answer.reason}" if answer.reason else ""
                yield f"  {answer.request} ({answer.place}): {answer.outcome}{reason}"


def explain(recipe: Recipe, table: LayerTable, plan: Plan, layer: Layer) -> Explanation:
    """Say why a layer got what it got. `plan` is the plan of this recipe on this table."""
    planned = plan.by_id.get(layer.id)
    plain = Selection(recipe, table)
    decisions = tuple(
        f"{decision.edit} ({decision.rule}, {decision.place})"
        for name in PROPERTIES
        if planned and (decision := planned.decision(name))
    )
    return Explanation(
        layer=layer.id,
        parameter=layer.name,
        source=layer.source,
        decisions=decisions or ("untouched: no request decides anything about it",),
        rules=tuple(
            _rule(rule, outcome, _selection(plain, rule), layer)
            for rule, outcome in zip(recipe.rules, plan.rules, strict=True)
        ),
    )


def _selection(plain: Selection, rule: Rule) -> Selection:
    """What the rule saw: `skipped` stands for what the file and the rule itself skip."""
    skipped = {index for clause in (*plain.recipe.skips, *rule.skips) for index in plain.layers(clause.selector)}
    return plain.skipping(skipped)


def _rule(rule: Rule, outcome: RuleOutcome, selection: Selection, layer: Layer) -> RuleAnswer:
    asked = [answer for request in outcome.requests if (answer := _answer(request, layer.id))]
    declined = None
    if not asked:
        reason = selection.why_not(rule.match.selector, layer)
        declined = f"does not match, {reason}" if reason else "its requests go to other steps of the chain"
    return RuleAnswer(rule=rule.name, line=outcome.line, file=outcome.file, declined=declined, answers=tuple(asked))


def _answer(request: RequestOutcome, layer: str) -> Answer | None:
    if layer in request.applied:
        return Answer(request=request.request, line=request.line, file=request.file, outcome="applied")
    declined: tuple[tuple[Outcome, tuple[Because, ...]], ...] = (
        ("skipped", request.skipped),
        ("overridden", request.overridden),
        ("not applicable", request.not_applicable),
    )
    for outcome, items in declined:
        for item in items:
            if layer in item.layers:
                return Answer(
                    request=request.request,
                    line=request.line,
                    file=request.file,
                    outcome=outcome,
                    reason=item.reason,
                )
    return None
