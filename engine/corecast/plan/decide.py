"""A recipe and a layer table in, a plan out: the cascade. Pure, and free of any IR.

For each property of each layer, the last request in file order that matches decides; a request never touches a skipped
layer unless it insists; one that does not apply leaves the property as the model had it. Schedules are decided after
all layouts and dtypes, as whether there is one depends on the dtype that the last rule gave.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from corecast.lang import nodes
from corecast.lang.problems import CorecastError, Problem
from corecast.lang.source import Span
from corecast.lang.spell import format_selector
from corecast.model import Layer, LayerTable, Target
from corecast.model.collector import collecting_seldom
from corecast.plan.computed import computed
from corecast.plan.ids import compress, shorten
from corecast.plan.named import ask, named_operators
from corecast.plan.partial import Misses
from corecast.plan.plan import (
    IN_A_SENTENCE,
    Anchor,
    Because,
    Decision,
    Expected,
    ModelId,
    Plan,
    PlannedLayer,
    RequestOutcome,
    RuleOutcome,
    place_text,
    recipe_id,
)
from corecast.plan.predict import computed_on_integers, predict, told_of
from corecast.plan.progress import OnProgress, Steps
from corecast.plan.select import Matches, Selection
from corecast.recipe import PROPERTIES, Declined, Edit, Expectation, Keep, Property, Recipe, Request, Rule


class PlanError(CorecastError):
    """A contract of the recipe that this model does not keep: a rule without effect, an `expect`, an `else fail`.

    `plan` is what was decided all the same, for the reader; it must not be applied.
    """

    exit_status = 1

    def __init__(self, problems: list[Problem], plan: Plan):
        super().__init__(problems)
        self.plan = plan


@collecting_seldom()
def plan(
    recipe: Recipe, table: LayerTable, target: Target | None = None, *, progress: OnProgress | None = None
) -> Plan:
    """Decide every property of every layer.

    Args:
        recipe: a resolved recipe.
        table: the layers of a prepared model.
        target: whose capabilities the dtypes are checked against; without one, only what the IR can express counts.
        progress: called before each rule and before the prediction; it may raise, which ends the planning.

    Raises:
        PlanError: where a rule matched or realised nothing, an `expect` is not met, or an `else fail` was reached.
    """
    return _Cascade(recipe, table, target).plan(Steps(len(recipe.rules) + 1, progress))


def trial(recipe: Recipe, table: LayerTable, target: Target | None = None) -> tuple[Plan, list[Problem]]:
    """What is decided, whether the model keeps the contracts of the recipe or not; and all that it shows of them."""
    cascade = _Cascade(recipe, table, target)
    try:
        decided = cascade.plan(Steps(len(recipe.rules) + 1, None))
    except PlanError as error:
        decided = error.plan
    return decided, cascade.problems + cascade.warnings


# In which order properties are decided.
ROUNDS: tuple[tuple[Property, ...], ...] = (("layout", "dtype", "channels", "batch"), ("schedule",))

# Which decision holds for each layer. Those of one request are the same object, by which they are known.
Decided = dict[Property, dict[int, Decision]]


@dataclass(frozen=True, eq=False)
class _Stop:
    """A skip clause, and what is told of a request that it stops; known by its identity."""

    clause: nodes.Skip
    reason: str


Skips = Mapping[int, _Stop]


@dataclass
class _Tally:
    """What a request came to on each layer it was asked of (by index): a decision, or the reason for none.

    `named` are the operators that the rule names.
    """

    rule: Rule
    request: Request
    layers: tuple[int, ...]
    named: frozenset[str]
    skipped: dict[int, str] = field(default_factory=dict)
    passed_over: dict[int, tuple[Declined, ...]] = field(default_factory=dict)
    declined: dict[int, tuple[Declined, ...]] = field(default_factory=dict)
    decided: Decided = field(default_factory=dict)
    decisions: dict[Edit, Decision] = field(default_factory=dict)

    def decision(self, edit: Edit, file: str | None) -> Decision:
        """The decision of this request for an edit: one, however many layers it is for."""
        if edit not in self.decisions:
            self.decisions[edit] = Decision(edit=edit, rule=self.rule.name, line=self.request.span.line, file=file)
        return self.decisions[edit]


@dataclass(frozen=True)
class _Applied:
    """A rule with its matches and the tallies of its requests."""

    rule: Rule
    matches: Matches
    tallies: tuple[_Tally, ...]


class _Cascade:
    def __init__(self, recipe: Recipe, table: LayerTable, target: Target | None):
        self.recipe = recipe
        self.table = table
        self.target = target
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []
        self.ids = [layer.id for layer in table.layers]
        self.decided: Decided = {name: {} for name in PROPERTIES}
        self.effective_skips: set[int] = set()  # the identities of the skip clauses that stopped a request
        self.told_excepts: set[Span] = set()  # where the excepts stand that were told to remove nothing
        plain = Selection(recipe, table)
        self.skips = self._skipped_by(recipe.skips, plain)
        self._warn_of_excepts(plain)
        self.selection = plain.skipping(self.skips)

    def plan(self, begin: Steps) -> Plan:
        self._pin_skipped()
        applied = []
        for rule in self.recipe.rules:
            begin(rule.name)
            applied.append(self._apply(rule))
        for properties in ROUNDS:
            for item in applied:
                for tally in item.tallies:
                    self._decide(tally, properties)
        begin("predict")
        self._warn_of_unused()
        layers = self._planned_layers()
        by_id = {layer.id: layer for layer in layers}
        found = computed_on_integers(self.table, by_id)
        plan = Plan(
            model=ModelId(
                name=self.table.model,
                fingerprint=self.table.fingerprint,
                weights=dict(self.selection.weights_read),
            ),
            recipe=recipe_id(self.recipe),
            target=self.target.name if self.target else None,
            expects=tuple(self._expected(item) for item in self.recipe.expectations),
            layers=layers,
            untouched=self._untouched(),
            rules=tuple(self._outcome(item) for item in applied),
            predicted=predict(self.table, by_id, found),
            integers=told_of(found),
            warnings=tuple(str(warning) for warning in self.warnings),
        )
        for item, outcome in zip(applied, plan.rules, strict=True):
            self._check_contract(item, outcome)
        if self.problems:
            raise PlanError(self.problems, plan)
        return plan

    def _expected(self, item: Expectation) -> Expected:
        span = item.node.span
        return Expected(**dict(item.bound), line=span.line, file=self.recipe.file_of(span))

    # ── skip clauses ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _skipped_by(self, clauses: Iterable[nodes.Skip], selection: Selection) -> dict[int, _Stop]:
        """For each skipped layer, the first clause that names it."""
        skipped: dict[int, _Stop] = {}
        for clause in clauses:
            stop = _Stop(clause, f"`{_quote(clause)}`, {self._place(clause)}")
            skipped = {**dict.fromkeys(selection.layers(clause.selector), stop), **skipped}
        return skipped

    def _pin_skipped(self) -> None:
        for clause in [stop.clause for stop in dict.fromkeys(self.skips.values())]:
            indices = [index for index, first in self.skips.items() if first.clause is clause]
            file = self.recipe.file_of(clause.span)
            for name in PROPERTIES:
                decision = Decision(edit=Keep(property=name), rule=_quote(clause), line=clause.span.line, file=file)
                self.decided[name].update(dict.fromkeys(indices, decision))

    # ── one rule ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _apply(self, rule: Rule) -> _Applied:
        selection, skips = self.selection, self.skips
        if rule.skips:
            skips = {**self._skipped_by(rule.skips, selection), **skips}
            self._warn_of_excepts(selection)
            selection = selection.skipping(skips)
        matches = selection.matches(rule.match.selector)
        tallies = tuple(self._ask(rule, request, matches, selection, skips) for request in rule.requests)
        self._warn_of_excepts(selection)
        return _Applied(rule, matches, tallies)

    def _ask(self, rule: Rule, request: Request, matches: Matches, selection: Selection, skips: Skips) -> _Tally:
        # Chains may end in the same layer, which is asked once.
        layers = tuple(dict.fromkeys(matches.column(request.step)))
        reasons: dict[int, str] = {}
        if request.unless is not None:
            guarded = selection.layers(request.unless)
            reasons |= dict.fromkeys(guarded, f"`unless {format_selector(request.unless)}`")
        if not request.insist:
            stops = {index: skips[index] for index in layers if index in skips}
            self.effective_skips.update(id(stop.clause) for stop in set(stops.values()))
            reasons |= {index: stop.reason for index, stop in stops.items()}
        named = named_operators(rule.match.selector, self.recipe.lets, request.step)
        return _Tally(rule, request, layers, named, {index: reasons[index] for index in layers if index in reasons})

    def _decide(self, tally: _Tally, properties: Sequence[Property]) -> None:
        """Put a request to its layers, for some of the properties that it is about."""
        if not set(tally.request.alternatives[0].properties).intersection(properties):
            return
        known = [self.decided[name] for name in ROUNDS[0]] if "schedule" in properties else []
        alike: defaultdict[tuple[int, tuple[Edit, ...]], list[int]] = defaultdict(list)
        for index in tally.layers:
            if index not in tally.skipped:
                edits = tuple([decided[index].edit for decided in known if index in decided])
                alike[self.table.kinds[index], edits].append(index)
        for (_, edits), indices in alike.items():
            self._put(tally, indices, computed(self.table.layers[indices[0]], edits), properties)

    def _put(self, tally: _Tally, indices: list[int], layer: Layer, properties: Sequence[Property]) -> None:
        """Put a request to layers that are all like one: an action answers equal layers equally."""
        declined: list[Declined] = []
        file = self.recipe.file_of(tally.request.span)
        for action in tally.request.alternatives:
            answer = ask(action, layer, self.target, tally.named)
            if isinstance(answer, Declined):
                declined.append(answer)
                continue
            for edit in answer:
                if edit.property in properties:
                    decided = dict.fromkeys(indices, tally.decision(edit, file))
                    tally.decided.setdefault(edit.property, {}).update(decided)
                    self.decided[edit.property].update(decided)
            if declined:
                tally.passed_over.update(dict.fromkeys(indices, tuple(declined)))
            return
        tally.declined.update(dict.fromkeys(indices, tuple(declined)))
        # What does not apply leaves the property as the model had it, whatever an earlier rule wanted.
        for name in properties:
            if name in tally.request.alternatives[0].properties:
                earlier = [index for index in indices if index in self.decided[name]]
                self.decided[name].update(dict.fromkeys(earlier, tally.decision(Keep(property=name), file)))

    def _in_force(self, tally: _Tally) -> set[int]:
        """The layers on which a decision of this request is the last one."""
        return {
            index
            for name, decided in tally.decided.items()
            for index, decision in decided.items()
            if self.decided[name][index] is decision
        }

    def _overridden(self, tally: _Tally, in_force: set[int]) -> dict[int, str]:
        """The layers on which every decision of this request gave way, with what decides there."""
        reasons = {}
        for name, decided in tally.decided.items():
            for index in decided.keys() - in_force:
                last = self.decided[name][index]
                reasons[index] = f"{last.rule}, {last.place}"
        return {index: reasons[index] for index in tally.layers if index in reasons}

    # ── what came of it ──────────────────────────────────────────────────────────────────────────────────────────────

    def _planned_layers(self) -> tuple[PlannedLayer, ...]:
        return tuple(
            [
                PlannedLayer(
                    id=self.ids[index],
                    parameter=self.table.layers[index].name,
                    hash=self.table.layers[index].hash,
                    **{name: decided.get(index) for name, decided in self.decided.items()},
                )
                for index in sorted(set().union(*self.decided.values()))
            ]
        )

    def _untouched(self) -> tuple[Anchor, ...]:
        touched = set().union(*self.decided.values())
        return tuple(
            [
                Anchor(id=self.ids[layer.index], parameter=layer.name, hash=layer.hash)
                for _, layers in sorted(self.table.by_op.items())
                for layer in layers
                if layer.index not in touched
            ]
        )

    def _outcome(self, applied: _Applied) -> RuleOutcome:
        in_force = [self._in_force(tally) for tally in applied.tallies]
        # The layers that the requests are about: those of several steps together, where they differ.
        columns = [applied.matches.column(tally.request.step) for tally in applied.tallies]
        asked = set(zip(*columns, strict=True))
        realised = [layers for layers in asked if all(map(set.__contains__, in_force, layers))]
        return RuleOutcome(
            rule=applied.rule.name,
            line=applied.rule.span.line,
            file=self.recipe.file_of(applied.rule.span),
            matched=len(applied.matches),
            realised=len(realised),
            requests=tuple(
                self._request_outcome(tally, layers) for tally, layers in zip(applied.tallies, in_force, strict=True)
            ),
        )

    def _request_outcome(self, tally: _Tally, in_force: set[int]) -> RequestOutcome:
        passed_over = {index: reasons for index, reasons in tally.passed_over.items() if index in in_force}
        return RequestOutcome(
            request=tally.request.text,
            line=tally.request.span.line,
            file=self.recipe.file_of(tally.request.span),
            applied=self._ids([index for index in tally.layers if index in in_force]),
            passed_over=self._because(_texts(passed_over)),
            skipped=self._because(tally.skipped),
            overridden=self._because(self._overridden(tally, in_force)),
            not_applicable=self._because(_texts(tally.declined)),
        )

    def _because(self, reasons: Mapping[int, str]) -> tuple[Because, ...]:
        groups: defaultdict[str, list[int]] = defaultdict(list)
        for index, reason in reasons.items():
            groups[reason].append(index)
        return tuple(Because(reason=reason, layers=self._ids(indices)) for reason, indices in groups.items())

    def _ids(self, indices: Iterable[int]) -> tuple[str, ...]:
        return tuple([self.ids[index] for index in indices])

    # ── contracts ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _check_contract(self, applied: _Applied, outcome: RuleOutcome) -> None:
        rule = applied.rule
        for tally, request in zip(applied.tallies, outcome.requests, strict=True):
            if tally.request.otherwise == "fail" and request.not_applicable:
                reasons = "; ".join(
                    f"{shorten(compress(item.layers))}: {item.reason}" for item in request.not_applicable
                )
                message = f"`{request.request}` does not apply to every layer that it must"
                self._fail("not-applicable", message, tally.request, reasons)
        if not outcome.matched:
            if not rule.optional:
                reason = Misses(self.selection).why_empty(rule.match.selector)
                help = f"{reason}; a rule that may match nothing says `optional`"
                self._fail("unmatched-rule", f"rule {rule.name} matches no layer of this model", rule.match, help)
        elif not any(request.applied for request in outcome.requests):
            message = f"rule {rule.name} matches {outcome.matched} layers and changes none of them"
            self._fail("nothing-realised", message, rule.match, _reasons(outcome))
        expect = rule.expect
        if expect and not _meets(outcome.realised, expect):
            message = (
                f"rule {rule.name} expects {expect.operator} {expect.count} layers and realises {outcome.realised}"
            )
            self._fail("expectation", message, expect, _reasons(outcome))

    def _warn_of_excepts(self, selection: Selection) -> None:
        """Tell each `except` that removed nothing once, though a named set may have been looked at several times."""
        for node in selection.unused_excepts:
            if node.span not in self.told_excepts:
                self.told_excepts.add(node.span)
                message = f"`except {format_selector(node.removed)}` removes nothing"
                self._warn("unused-except", message, node, "take it away, or widen what it names")
        selection.unused_excepts.clear()

    def _warn_of_unused(self) -> None:
        clauses = [*self.recipe.skips, *(clause for rule in self.recipe.rules for clause in rule.skips)]
        for clause in clauses:
            if id(clause) in self.effective_skips:
                continue
            if self.selection.layers(clause.selector):
                help = "no request asks for its layers, another skip names them first, or all requests insist"
                self._warn("unused-skip", f"`{_quote(clause)}` stops no request", clause, help)
            else:
                help = Misses(self.selection).why_empty(clause.selector)
                self._warn("unused-skip", f"`{_quote(clause)}` names no layer", clause, help)

    def _place(self, node: nodes.Node) -> str:
        return place_text(node.span.line, self.recipe.file_of(node.span))

    def _fail(self, slug: str, message: str, node: nodes.Node | Request, help: str | None) -> None:
        self.problems.append(Problem(slug, message, node.span, help))

    def _warn(self, slug: str, message: str, node: nodes.Node, help: str | None) -> None:
        self.warnings.append(Problem(slug, message, node.span, help, severity="warning"))


def _quote(clause: nodes.Skip) -> str:
    return f"skip {format_selector(clause.selector)}"


def _texts(declined: Mapping[int, tuple[Declined, ...]]) -> dict[int, str]:
    return {index: "; ".join(dict.fromkeys(map(str, reasons))) for index, reasons in declined.items()}


def _reasons(outcome: RuleOutcome) -> str:
    """Why a rule realised less than it matched, request by request."""
    return "; ".join(
        f"`{request.request}` {IN_A_SENTENCE[kind]} {because.reason} on {shorten(compress(because.layers))}"
        for request in outcome.requests
        for kind, because in request.undone
    )


def _meets(count: int, expect: nodes.Expect) -> bool:
    wanted = nodes.settled(expect.count)
    return {
        "==": count == wanted,
        "!=": count != wanted,
        "<": count < wanted,
        "<=": count <= wanted,
        ">": count > wanted,
        ">=": count >= wanted,
    }[expect.operator]
