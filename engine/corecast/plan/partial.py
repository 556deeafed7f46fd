"""A selector and a layer in, out how much of it fits and the first part that does not; or why it names no layer at all.

Of several ways in which a layer could have matched, the one that came furthest is told: of `A or B` the better half, of
a chain the step that the layer fits best and how far the chain goes on from there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from corecast.lang import nodes
from corecast.lang.problems import nearest
from corecast.lang.spell import format_expression, format_pick, format_selector
from corecast.model import Layer
from corecast.plan.conditions import Conditions, NoWeightDataError, show
from corecast.plan.ids import compress, shorten
from corecast.plan.select import Matches, Selection


@dataclass(frozen=True)
class Partial:
    """How near a selector came to a layer: the parts of it that hold, and why the first other one does not.

    `steps` counts the steps of a chain that hold.
    """

    held: tuple[str, ...]
    failed: str
    steps: int = 0

    @property
    def reached(self) -> tuple[int, int]:
        """How far it came: what holds more than another is nearer."""
        return self.steps, len(self.held)


def nearest_of(partials: Iterable[Partial]) -> Partial:
    """The one that came furthest, the first of equals."""
    return max(partials, key=lambda partial: partial.reached)


class Misses:
    """Says of the layers that a selector does not name how near it came to them."""

    def __init__(self, selection: Selection):
        self.selection = selection
        self.table = selection.table

    def of(self, selector: nodes.Selector, index: int) -> Partial | None:
        """How near a selector came to a layer; None where the layer is a step of one of its matches."""
        if index in self.selection.matches(selector).layers:
            return None
        match selector:
            case nodes.Reference(name=name) if name in self.selection.recipe.lets:
                inner = self._of(self.selection.recipe.lets[name].selector, index)
                return Partial(inner.held, f"it is not in `{name}`: {inner.failed}", inner.steps)
            case nodes.Reference():
                return self._of_operator(selector, index)
            case nodes.Filter():
                return self.of(selector.selector, index) or self._of_conditions(selector, index)
            case nodes.Except(selector=inner, removed=removed):
                gone = Partial((format_selector(inner),), f"`except {format_selector(removed)}` removes it", 1)
                return self.of(inner, index) or gone
            case nodes.Union(parts=parts):
                return self._of_union(parts, index)
            case nodes.Intersection(parts=parts):
                misses = [self.of(part, index) for part in parts]
                fits = [format_selector(part) for part, miss in zip(parts, misses, strict=True) if miss is None]
                first = next(filter(None, misses), Partial((), "it is a later step of a chain"))
                return Partial((*fits, *first.held), first.failed, first.steps)
            case nodes.Complement(selector=inner):
                return Partial((), f"it is in `{format_selector(inner)}`")
            case nodes.Pick(selector=inner):
                return self.of(inner, index) or self._of_pick(selector, index)
            case nodes.Chain(steps=steps):
                return nearest_of(self._of_chain(steps, place, index) for place in range(len(steps)))

    def _of(self, selector: nodes.Selector, index: int) -> Partial:
        """The same for a layer that is known not to be named."""
        return self.of(selector, index) or Partial((format_selector(selector),), "it is a later step of a chain")

    def _of_operator(self, reference: nodes.Reference, index: int) -> Partial:
        layer = self.table.layers[index]
        is_it = layer.op == reference.name
        itself = layer.id if is_it else _article(layer.op)
        return Partial((layer.op,) if is_it else (), f"it is {itself}, not `{format_selector(reference)}`")

    def _of_union(self, parts: Sequence[nodes.Selector], index: int) -> Partial:
        misses = [self._of(part, index) for part in parts]
        best = nearest_of(misses)
        as_near = dict.fromkeys(miss.failed for miss in misses if miss.reached == best.reached)
        return Partial(best.held, "; ".join(as_near), best.steps)

    def _of_pick(self, pick: nodes.Pick, index: int) -> Partial:
        """Where a layer comes in a set from which others are picked."""
        found, text = self.selection.matches(pick.selector), format_pick(pick)
        match = next(steps for steps in found.holding(index))
        of_set = (format_selector(pick.selector),)
        if pick.key is None:
            place = list(found.first).index(match[0]) + 1
            return Partial(of_set, f"it is number {place} of {len(found)}, and `{text}` takes others", len(match))
        return Partial(of_set, self._why_not_ranked(pick, found, match[0]), len(match))

    def _why_not_ranked(self, pick: nodes.Pick, found: Matches, index: int) -> str:
        assert pick.key is not None, "there is nothing to pick by"
        key, text = format_expression(pick.key), format_pick(pick)
        [value] = self.selection.keys(pick, found.only([index]))
        ranked = self.selection.ranked(pick, found)
        if index not in ranked:
            return f"it has no {key}" if value is None else f"{key} is {show(value)}, and `{text}` ranks numbers"
        last = ranked[nodes.settled(pick.count) - 1]
        [least] = self.selection.keys(pick, found.only([last]))
        place = f"number {ranked.index(index) + 1} of {len(ranked)}"
        return f"{key} is {show(value)}, {place}, and the last that `{text}` takes has {show(least)}"

    # ── conditions ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _of_conditions(self, selector: nodes.Filter, index: int) -> Partial:
        found = self.selection.matches(selector.selector)
        return nearest_of(self._of_match(selector, steps) for steps in found.holding(index))

    def _of_match(self, selector: nodes.Filter, steps: Sequence[int]) -> Partial:
        """How many of the conditions hold for a match of what stands before `where`, and the first that does not."""
        conditions = self.selection.conditions(selector.selector)
        failed = [(part, _objection(conditions, part, steps)) for part in _parts(selector.condition)]
        held = [format_expression(part) for part, objection in failed if objection is None]
        part, objection = next((part, objection) for part, objection in failed if objection is not None)
        if related := self._where_related(part, steps[0]):
            objection += f": {related}"
        return Partial((format_selector(selector.selector), *held), objection, len(steps))

    def _where_related(self, part: nodes.Expression, index: int) -> str | None:
        """What there is to say of a relation that fails, or fails to fail; None of other conditions."""
        match part:
            case nodes.Relation(word="inside") | nodes.Relation(within=1):
                return self._related(part, index)
            case nodes.Relation() | nodes.Not(operand=nodes.Relation(word="feeds" | "fed_by")):
                relation = part if isinstance(part, nodes.Relation) else part.operand
                assert isinstance(relation, nodes.Relation), "that was asked"
                return self._distance(relation, index)
        return None

    def _distance(self, relation: nodes.Relation, index: int) -> str:
        forward = relation.word == "feeds"
        if found := self.selection.distance(relation, index):
            other, steps = found
            return f"the nearest is {self._id(other)}, {_many(steps, 'step')} {'on' if forward else 'back'}"
        return f"none comes {'after' if forward else 'before'} it"

    def _related(self, relation: nodes.Relation, index: int) -> str:
        """What a layer is related to instead of what a relation asks for; the nearest of them, where one comes near."""
        if relation.word == "inside":
            return self._of(relation.selector, index).failed
        words = self.selection.words
        feeds = relation.word == "feeds"
        others = (words.consumers if feeds else words.producers)[index]
        if not others:
            return "nothing reads its results" if feeds else "it reads the result of no layer"
        best, other = max(
            ((self._of(relation.selector, other), other) for other in others), key=lambda item: item[0].reached
        )
        verb = "it feeds" if feeds else "it is fed by"
        return f"{verb} {self._id(other)}: {best.failed}" if best.held else f"{verb} {self._ids(others)}"

    # ── chains ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _of_chain(self, steps: Sequence[nodes.Step], place: int, index: int) -> Partial:
        """How far a chain goes when a layer is its step at `place`."""
        if miss := self._unless_named(steps[place], index):
            return Partial(miss.held, miss.failed)
        before, why_not_before = self._back(steps[:place], index)
        after, why_not_after = self._on(steps[place + 1 :], index)
        walked = [*before, index, *after]
        first = place - len(before)
        held = [f"{format_selector(steps[first + n].selector)} ({self._id(at)})" for n, at in enumerate(walked)]
        return Partial(tuple(held), why_not_before or why_not_after, len(held))

    def _on(self, steps: Sequence[nodes.Step], index: int) -> tuple[list[int], str]:
        """The layers behind one that are the next steps, and why the chain does not go on behind them."""
        walked: list[int] = []
        for step in steps:
            at = walked[-1] if walked else index
            reader = self.selection.words.followers[at]
            if reader < 0:
                return walked, self._no_only_reader(at)
            if miss := self._unless_named(step, reader):
                return walked, f"{self._id(at)} feeds {self._id(reader)}: {miss.failed}"
            walked.append(reader)
        return walked, ""

    def _back(self, steps: Sequence[nodes.Step], index: int) -> tuple[list[int], str]:
        """The layers before one that are the steps before it, in order, and why there are no more."""
        if not steps:
            return [], ""
        words = self.selection.words
        ways: list[tuple[list[int], str]] = []
        for producer in dict.fromkeys(words.producers[index]):
            if miss := self._unless_named(steps[-1], producer):
                ways.append(([], f"{self._id(index)} is fed by {self._id(producer)}: {miss.failed}"))
            elif words.followers[producer] != index:
                ways.append(([], self._no_only_reader(producer)))
            else:
                walked, why = self._back(steps[:-1], producer)
                ways.append(([*walked, producer], why))
        # A way without an objection is a whole one: then the chain breaks behind the layer.
        return max(ways, key=lambda way: (len(way[0]), not way[1]), default=([], "it reads the result of no layer"))

    def _unless_named(self, step: nodes.Step, index: int) -> Partial | None:
        """How near a step came to a layer; None where it names it."""
        return None if index in self.selection.layers(step.selector) else self._of(step.selector, index)

    def _no_only_reader(self, index: int) -> str:
        readers = self.selection.words.consumers[index]
        if len(readers) > 1:
            return f"{self._id(index)} feeds {self._ids(readers)}, and a chain goes on to the only reader"
        what = "a result of the model, and a chain goes on to the only reader" if readers else "where the model ends"
        return f"{self._id(index)} is {what}"

    # ── selectors that name nothing ──────────────────────────────────────────────────────────────────────────────────

    def why_empty(self, selector: nodes.Selector) -> str:
        """What a selector that names nothing could have named: the layers that came nearest, or what there is."""
        match selector:
            case nodes.Filter(selector=inner):
                found = self.selection.matches(inner)
                if not found:
                    return self.why_empty(inner)
                first = self._nearest(selector, found)
                failed = self._of_match(selector, found.steps(first)).failed
                return f"{_many(len(found))} were looked at; for {self._id(first)}, {failed}"
            case nodes.Except(selector=inner, removed=removed):
                if not self.selection.matches(inner):
                    return self.why_empty(inner)
                return f"`except {format_selector(removed)}` removes all {len(self.selection.matches(inner))} layers"
            case nodes.Reference(name=name) if name in self.selection.recipe.lets:
                return self.why_empty(self.selection.recipe.lets[name].selector)
            case nodes.Reference(name=name, ordinal=ordinal):
                return self._why_no_reference(name, ordinal)
            case nodes.Union(parts=parts) | nodes.Intersection(parts=parts):
                return "; ".join(self.why_empty(part) for part in parts if not self.selection.matches(part)) or (
                    f"no layer is in all of `{format_selector(selector)}`"
                )
            case nodes.Complement(selector=inner):
                return f"`{format_selector(inner)}` names every layer"
            case nodes.Pick(selector=inner):
                if not self.selection.matches(inner):
                    return self.why_empty(inner)
                count = _many(len(self.selection.matches(inner)))
                return f"none of {count} has a number to pick by, `{format_pick(selector)}`"
            case nodes.Chain(steps=steps):
                for part in steps:
                    if not self.selection.matches(part.selector):
                        return self.why_empty(part.selector)
                ways = (self._on(steps[1:], index) for index in sorted(self.selection.layers(steps[0].selector)))
                walked, why = max(ways, key=lambda way: len(way[0]))
                return f"at most {len(walked) + 1} of the {len(steps)} steps follow one another: {why}"

    def _nearest(self, selector: nodes.Filter, found: Matches) -> int:
        """The first of the matches for which most conditions hold; all of them are looked at together."""
        conditions = self.selection.conditions(selector.selector)
        held = dict.fromkeys(found.first, 0)
        for part in _parts(selector.condition):
            with suppress(NoWeightDataError):  # planning has not asked; then this is no place to insist
                for index in conditions.kept(part, found.columns)[0]:
                    held[index] += 1
        return max(held, key=lambda index: held[index])

    def _why_no_reference(self, name: str, ordinal: nodes.Ordinal | None) -> str:
        layers = self.table.by_op.get(name, ())
        if layers and ordinal:
            return f"the model has {len(layers)} {name}, #0..{len(layers) - 1}"
        counts = ", ".join(f"{op} ({len(items)})" for op, items in self._most_common())
        close = nearest(name, self.table.by_op)
        return f"the model has no {name}; " + (f"{close} It has {counts}" if close else f"it has {counts}")

    def _most_common(self) -> list[tuple[str, tuple[Layer, ...]]]:
        return sorted(self.table.by_op.items(), key=lambda item: -len(item[1]))[:8]

    def _id(self, index: int) -> str:
        return self.table.layers[index].id

    def _ids(self, indices: Iterable[int]) -> str:
        return shorten(compress(map(self._id, indices)))


def _objection(conditions: Conditions, part: nodes.Expression, steps: Sequence[int]) -> str | None:
    """Why a condition does not hold, or that nobody can know."""
    try:
        return conditions.objection(part, steps)
    except NoWeightDataError as error:
        return error.problems[0].message


def _parts(condition: nodes.Expression) -> Sequence[nodes.Expression]:
    return condition.parts if isinstance(condition, nodes.And) else (condition,)


def _article(op: str) -> str:
    return f"{'an' if op[0] in 'aeiou' or op.startswith('nn.') else 'a'} {op}"


def _many(count: int, what: str = "layer") -> str:
    return f"{count} {what}" + ("" if count == 1 else "s")
