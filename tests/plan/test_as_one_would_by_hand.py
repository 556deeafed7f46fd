"""Planning looks at columns of layers and at equal layers once; the plan must be what one layer after another gives.

`Reader` below does what the language says, word by word and layer by layer, with none of the engine's evaluation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import translate

from hypothesis import event, given, settings
from hypothesis import strategies as st
from made_up import rules, selectors, tables

from corecast.api.recipes import read_recipe
from corecast.lang import Source, nodes
from corecast.model import Layer, LayerTable
from corecast.plan import PlanError, Selection, plan
from corecast.recipe import PROPERTIES, Action, Declined, Edit, Keep, Recipe, Rule

# ── the reader ───────────────────────────────────────────────────────────────────────────────────────────────────────


class Reader:
    """Reads selectors and rules as the documentation does, for one layer at a time."""

    def __init__(self, recipe: Recipe, table: LayerTable):
        self.recipe = recipe
        self.table = table
        self.skipped: set[int] = set()

    def names(self, selector: nodes.Selector) -> dict[int, tuple[Layer, ...]]:
        """The matches of a selector by their first layers."""
        found = {layer.index: steps for layer in self.table.layers if (steps := self.match(selector, layer))}
        return found

    def match(self, selector: nodes.Selector, layer: Layer) -> tuple[Layer, ...] | None:
        match selector:
            case nodes.Reference():
                return self.reference(selector, layer)
            case nodes.Union(parts=parts):
                found = [steps for part in parts if (steps := self.match(part, layer))]
                return found[-1] if found else None
            case nodes.Intersection(parts=parts):
                found = [self.match(part, layer) for part in parts]
                return found[0] if all(found) else None
            case nodes.Except(selector=inner, removed=removed):
                return None if self.match(removed, layer) else self.match(inner, layer)
            case nodes.Filter(selector=inner, condition=condition):
                steps = self.match(inner, layer)
                return steps if steps and self.value(condition, steps, inner) is True else None
            case nodes.Complement(selector=inner):
                return None if self.match(inner, layer) else (layer,)
            case nodes.Pick(selector=inner):
                return self.match(inner, layer) if layer.index in self.picked(selector) else None
            case nodes.Chain(steps=wanted):
                steps = (layer,) if self.match(wanted[0].selector, layer) else ()
                for step in wanted[1:] if steps else ():
                    last = steps[-1]
                    returned = any(operand.layer == last.index for operand in self.table.returns)
                    if returned or len(last.consumers) != 1:
                        return None
                    steps = (*steps, self.table.layers[last.consumers[0]])
                    if not self.match(step.selector, steps[-1]):
                        return None
                return steps or None

    def picked(self, pick: nodes.Pick) -> list[int]:
        """One after another: the best of those that are left, the first in the graph of equally good ones."""
        left = self.names(pick.selector)
        if pick.key is None:
            order = sorted(left, reverse=pick.end == "last")
            return order[: pick.count]
        values = {index: self.value(pick.key, steps, pick.selector) for index, steps in left.items()}
        ranks = {index: value for index, value in values.items() if number(value)}
        found: list[int] = []
        while ranks and len(found) < pick.count:
            best = max(ranks.values()) if pick.end == "largest" else min(ranks.values())
            found.append(min(index for index, value in ranks.items() if value == best))
            del ranks[found[-1]]
        return found

    def distance(self, word: str, layer: Layer, other: Layer) -> int | None:
        """The steps on the shortest way from one layer to another, along or against the data."""
        ways = [
            self.distance(word, self.table.layers[near], other)
            for near in (layer.consumers if word == "feeds" else layer.producers)
        ]
        found = [way for way in ways if way is not None]
        return 0 if layer is other else min(found) + 1 if found else None

    def reference(self, reference: nodes.Reference, layer: Layer) -> tuple[Layer, ...] | None:
        name = reference.name
        if name == "skipped":
            return (layer,) if layer.index in self.skipped else None
        if name in self.recipe.lets:
            return self.match(self.recipe.lets[name].selector, layer)
        if name not in ("*", layer.op) and not (name.endswith(".*") and layer.op.startswith(name[:-1])):
            return None
        if ordinal := reference.ordinal:
            ends = (ordinal.first, ordinal.first if ordinal.last is None else ordinal.last)
            count = len(self.table.by_op[layer.op])
            first, last = (end + count if end < 0 else end for end in ends)
            return (layer,) if first <= layer.ordinal <= last else None
        return (layer,)

    def value(self, expression: nodes.Expression, steps: tuple[Layer, ...], selector: nodes.Selector) -> object:
        def value(part: nodes.Expression) -> object:
            return self.value(part, steps, selector)

        match expression:
            case nodes.Constant(value=constant):
                return constant
            case nodes.Name(name="k"):
                return steps[0].ordinal
            case nodes.Name(name=name):
                capture, _, word = name.rpartition(".")
                layer = steps["cr".index(capture)] if capture else steps[0]
                predicate = self.recipe.catalogue.predicates.get(word)
                return predicate.value(layer) if predicate else layer.attributes.get(word)
            case nodes.Listed(items=items):
                return tuple(item.value for item in items)
            case nodes.Call(function=function):
                known = self.table.weights[steps[0].name] if steps[0].name else None
                return known and self.recipe.catalogue.functions[function].value(known)
            case nodes.And(parts=parts):
                return all(value(part) is True for part in parts)
            case nodes.Or(parts=parts):
                return any(value(part) is True for part in parts)
            case nodes.Not(operand=inner):
                return value(inner) is not True
            case nodes.Compare(operands=parts, operators=operators):
                links = zip(parts, operators, parts[1:], strict=False)
                return all(compare(value(left), operator, value(right)) for left, operator, right in links)
            case nodes.Arithmetic(operator=operator, left=left, right=right):
                a, b = value(left), value(right)
                if not (number(a) and number(b)) or (b == 0 and operator in "/%"):
                    return None
                return {"+": a + b, "-": a - b, "*": a * b}[operator] if operator in "+-*" else divide(a, operator, b)
            case nodes.Negative(operand=inner):
                return -value(inner) if number(value(inner)) else None
            case nodes.Membership(operand=inner, items=items, negated=negated):
                found = value(inner)
                if found is None:
                    return False
                bound = isinstance(inner, nodes.Name) and inner.name == "k"
                also = found - len(self.table.by_op[steps[0].op]) if bound else found
                return any(within(found, item) or within(also, item) for item in items.items) is not negated
            case nodes.Like(operand=inner, pattern=pattern):
                texts = value(inner) if isinstance(value(inner), tuple) else (value(inner),)
                return any(isinstance(text, str) and re.fullmatch(translate(pattern), text) for text in texts)
            case nodes.Relation(word="inside", selector=other):
                return any(steps[0] in match for match in self.names(other).values())
            case nodes.Relation(word=word, selector=other, within=most):
                named = [self.table.layers[index] for index in self.names(other)]
                ways = [self.distance(word, steps[0], layer) for layer in named]
                return any(way is not None and 1 <= way <= most for way in ways)
        raise AssertionError(expression)

    def decisions(self) -> Iterator[tuple[str, int, object, str]]:
        """What is decided, in the order of the file: property, layer, edit, and the rule or the skip that decided."""
        by_file = self.stops(self.recipe.skips)
        self.skipped = set(by_file)
        for index in by_file:
            yield from ((name, index, Keep(property=name), "skip") for name in PROPERTIES)
        decided: set[tuple[str, int]] = {(name, index) for index in by_file for name in PROPERTIES}
        for rule in self.recipe.rules:
            self.skipped = set(by_file)
            self.skipped |= set(self.stops(rule.skips))
            matches = self.names(rule.match.selector)
            for request in rule.requests:
                for index, steps in matches.items():
                    layer = steps[request.step]
                    guarded = request.unless is not None and self.match(request.unless, layer)
                    if guarded or (index in self.skipped and not request.insist):
                        continue
                    answers = [self.answer(action, layer, rule) for action in request.alternatives]
                    edits = next((answer for answer in answers if not isinstance(answer, Declined)), None)
                    if edits is None:
                        names = request.alternatives[0].properties
                        edits = [Keep(property=name) for name in names if (name, index) in decided]
                    for edit in edits:
                        decided.add((edit.property, index))
                        yield edit.property, index, edit, rule.name

    def answer(self, action: Action, layer: Layer, rule: Rule) -> tuple[Edit, ...] | Declined:
        """What an action says of a layer; the rules here name an operator in one place only, or none."""
        answer = action.propose(layer, None)
        if isinstance(answer, Declined) or layer.op in str(rule.match.span.text):
            return answer
        return action.unless_named(layer) or answer

    def stops(self, clauses: tuple[nodes.Skip, ...]) -> list[int]:
        return [layer.index for layer in self.table.layers if any(self.match(c.selector, layer) for c in clauses)]


def number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def compare(left: object, operator: str, right: object) -> bool:
    if left is None or right is None or not (type(left) is type(right) or (number(left) and number(right))):
        return False
    if isinstance(left, tuple) and operator[0] in "<>":
        return False
    equal, less = left == right, operator[0] in "<>" and left < right
    return {"=": equal, "!": not equal, "<": less or (equal and operator == "<="), ">": not less}[operator[0]] and not (
        operator == ">" and equal
    )


def divide(left: float, operator: str, right: float) -> float:
    return left / right if operator == "/" else left % right


def within(value: object, item: nodes.Constant | nodes.Range) -> bool:
    if isinstance(item, nodes.Range):
        return isinstance(value, int) and item.first <= value <= item.last
    return value == item.value


# ── the properties ───────────────────────────────────────────────────────────────────────────────────────────────────

QUICK = settings(max_examples=150, deadline=None, derandomize=True)


@QUICK
@given(tables(), st.lists(selectors(), min_size=8, max_size=8))
def test_a_selector_names_what_it_names_layer_by_layer(table: LayerTable, selectors: list[str]) -> None:
    """The same matches, in binding order, with the same layers in each."""
    lets = "let some = nn.conv2d where users == 1\nlet chain = nn.conv2d -> nn.relu\n"
    text = "".join(f"rule r{number}\n  match {selector}\n  keep\n" for number, selector in enumerate(selectors))
    recipe = read_recipe(Source("made-up.rules", lets + text), table)
    reader, selection = Reader(recipe, table), Selection(recipe, table)
    for rule in recipe.rules:
        found, wanted = selection.matches(rule.match.selector), reader.names(rule.match.selector)
        assert [found.steps(index) for index in found.first] == [
            tuple(layer.index for layer in steps) for steps in wanted.values()
        ], rule.match.span.text
        event(f"{min(3, len(wanted))} or more matches")


@QUICK
@given(tables(), rules())
def test_a_plan_decides_what_its_rules_decide_layer_by_layer(table: LayerTable, text: str) -> None:
    """For each property of each layer the same edit, and the same rule behind it."""
    recipe = read_recipe(Source("made-up.rules", text), table)
    try:
        made = plan(recipe, table)
    except PlanError as error:
        made = error.plan
    wanted = {(name, index): (edit, rule) for name, index, edit, rule in Reader(recipe, table).decisions()}
    found = {
        (name, table.by_id[layer.id].index): (decision.edit, decision.rule.split()[0])
        for layer in made.layers
        for name in PROPERTIES
        if (decision := layer.decision(name))
    }
    assert found == wanted
    event(f"{min(5, len(wanted))} or more decisions")
