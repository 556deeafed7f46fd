"""One layer in, the reasons out: what it got and from which line, and for every other rule how near it came.

A rule that does not match says what of it holds for the layer, and the first condition that does not, with its value; a
request that took a later alternative says why the earlier ones do not apply.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from corecast.model import Layer, LayerTable
from corecast.model.record import Record
from corecast.plan.partial import Misses
from corecast.plan.plan import Placed, Plan, RequestOutcome, RuleOutcome
from corecast.plan.select import Selection
from corecast.recipe import PROPERTIES, Recipe, Rule

Outcome = Literal["applied", "skipped", "overridden", "not applicable"]


class Answer(Placed):
    """What became of one request on the layer, and why."""

    request: str
    outcome: Outcome
    reason: str | None = None


class RuleAnswer(Placed):
    """What a rule did to the layer.

    `declined` says why it asks nothing of it, `held` what of its selector holds for the layer all the same.
    """

    rule: str
    declined: str | None = None
    held: tuple[str, ...] = ()
    answers: tuple[Answer, ...] = ()


class Explanation(Record):
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
            if rule.held:
                yield f"  what holds: {'; '.join(rule.held)}"
            for answer in rule.answers:
                reason = f": {answer.reason}" if answer.reason else ""
                yield f"  {answer.request} ({answer.place}): {answer.outcome}{reason}"


def explain(recipe: Recipe, table: LayerTable, plan: Plan, layer: Layer) -> Explanation:
    """Say why a layer got what it got. `plan` is the plan of this recipe on this table."""
    planned = plan.by_id.get(layer.id)
    decisions = tuple(
        f"{decision.edit} ({decision.rule}, {decision.place})"
        for name in PROPERTIES
        if planned and (decision := planned.decision(name))
    )
    if plan.integers and layer.id in plan.integers.carried:
        decisions = (*decisions, "on integers, as what it reads is made by quantized layers and read by others")
    answers = _Answers(recipe, table, layer)
    return Explanation(
        layer=layer.id,
        parameter=layer.name,
        source=layer.source,
        decisions=decisions or ("untouched: no request decides anything about it",),
        rules=tuple(map(answers.of_rule, recipe.rules, plan.rules)),
    )


class _Answers:
    """What each rule has to say about one layer."""

    def __init__(self, recipe: Recipe, table: LayerTable, layer: Layer):
        self.layer = layer
        self.plain = Selection(recipe, table)

    def of_rule(self, rule: Rule, outcome: RuleOutcome) -> RuleAnswer:
        answers = tuple(filter(None, map(self.of_request, outcome.requests)))
        declined: str | None = None
        held: tuple[str, ...] = ()
        if not answers:
            miss = Misses(self._selection(rule)).of(rule.match.selector, self.layer.index)
            declined = f"does not match, {miss.failed}" if miss else "its requests go to other steps of the chain"
            held = miss.held if miss else ()
        return RuleAnswer(
            rule=rule.name, line=outcome.line, file=outcome.file, declined=declined, held=held, answers=answers
        )

    def _selection(self, rule: Rule) -> Selection:
        """What the rule saw: `skipped` stands for what the file and the rule itself skip."""
        clauses = (*self.plain.recipe.skips, *rule.skips)
        return self.plain.skipping({index for clause in clauses for index in self.plain.layers(clause.selector)})

    def of_request(self, outcome: RequestOutcome) -> Answer | None:
        kind, reason = next(self._outcomes(outcome), (None, None))
        if kind is None:
            return None
        return Answer(request=outcome.request, line=outcome.line, file=outcome.file, outcome=kind, reason=reason)

    def _outcomes(self, outcome: RequestOutcome) -> Iterator[tuple[Outcome, str | None]]:
        """The one outcome of a request on the layer; none, where it was not asked of it."""
        if self.layer.id in outcome.applied:
            passed_over = (because.reason for because in outcome.passed_over if self.layer.id in because.layers)
            yield "applied", next((f"an earlier alternative does not apply, {reason}" for reason in passed_over), None)
        yield from ((kind, because.reason) for kind, because in outcome.undone if self.layer.id in because.layers)
