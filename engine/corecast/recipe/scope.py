"""Selectors and conditions in, problems out: is every name in them one that means something where it stands?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from corecast.lang import nodes
from corecast.lang.problems import Problem, nearest
from corecast.lang.source import Span
from corecast.recipe.words import Catalogue, unknown

# The set of all layers that a skip clause names.
SKIPPED = "skipped"
# What the argument of a function is called: the first parameter of a layer.
WEIGHT = "weight"


class Scope:
    """Checks names against a catalogue and the `let` names of a file; appends to `problems`."""

    def __init__(
        self,
        catalogue: Catalogue,
        lets: Mapping[str, nodes.Let],
        is_param: Callable[[str, Span], bool],
        problems: list[Problem],
    ):
        self.catalogue = catalogue
        self.is_param = is_param
        self.lets = lets
        self.problems = problems

    def check_lets(self) -> None:
        """Check every `let`, and that none of them stands for itself."""
        for let in self.lets.values():
            self.check(let.selector)
            if let.name in (SKIPPED, "not") or let.name in self._operators:
                what = {SKIPPED: "the set of skipped layers", "not": "a word of the language"}.get(
                    let.name, "an operator"
                )
                self._report("reserved-name", f"`{let.name}` is {what}", let, "give the set another name")
            if let.name in self._reached(let.name):
                self._report("let-cycle", f"`{let.name}` is defined by itself", let)

    def _reached(self, name: str) -> set[str]:
        reached: set[str] = set()
        frontier = [name]
        while frontier:
            for reference in references(self.lets[frontier.pop()].selector):
                if reference.name in self.lets and reference.name not in reached:
                    reached.add(reference.name)
                    frontier.append(reference.name)
        return reached

    def check(self, selector: nodes.Selector) -> None:
        """Check every reference, binding and condition of a selector."""
        match selector:
            case nodes.Reference():
                self._reference(selector)
            case nodes.Union(parts=parts) | nodes.Intersection(parts=parts):
                for part in parts:
                    self.check(part)
            case nodes.Filter(selector=inner, condition=condition):
                self.check(inner)
                self._condition(condition, bindings(inner), set(captures(inner)))
            case nodes.Except(selector=inner, removed=removed):
                self.check(inner)
                self.check(removed)
            case nodes.Chain(steps=steps):
                for step in steps:
                    self.check(step.selector)
            case nodes.Complement(selector=inner):
                self.check(inner)
            case nodes.Pick(selector=inner, key=key):
                self.check(inner)
                if key is not None:
                    self._condition(key, bindings(inner), set(captures(inner)))

    def _reference(self, reference: nodes.Reference) -> None:
        name = reference.name
        is_set = name in self.lets or name == SKIPPED or name == "*" or name.endswith(".*")
        if is_set and (reference.ordinal or reference.binding):
            message = f"an ordinal counts the calls of one operator, and `{name}` stands for a set"
            self._report("ordinal-on-set", message, reference, "put the ordinal on the operator itself")
        prefix = name.removesuffix("*")
        known = is_set and not name.endswith(".*")
        known = known or any(op == name or (name.endswith(".*") and op.startswith(prefix)) for op in self._operators)
        if not known:
            help = unknown("operators and sets", name, self._operators | set(self.lets))
            self._report("unknown-operator", f"no operator or set is called `{name}`", reference, help)

    @property
    def _functions(self) -> list[str]:
        return sorted(self.catalogue.functions)

    @property
    def _operators(self) -> frozenset[str]:
        return self.catalogue.operators

    def _condition(self, expression: nodes.Expression, bound: set[str], captured: set[str]) -> None:
        match expression:
            case nodes.Name(name=name):
                self._name(expression, name, bound, captured)
            case nodes.Call():
                self._call(expression, captured)
            case nodes.Relation(selector=selector):
                self.check(selector)
            case _:
                for part in operands(expression):
                    self._condition(part, bound, captured)

    def _call(self, call: nodes.Call, captured: set[str]) -> None:
        """A function takes a weight: that of the layer, or of a step of its chain."""
        functions = self.catalogue.functions
        if call.function not in functions:
            help = unknown("functions", call.function, sorted(functions))
            self._report("unknown-function", f"no function is called `{call.function}`", call, help)
            return
        argument = call.arguments[0] if len(call.arguments) == 1 else None
        capture, _, word = argument.name.rpartition(".") if isinstance(argument, nodes.Name) else ("", "", "")
        if word != WEIGHT:
            help = f"write `{call.function}({WEIGHT})`, or `{call.function}(c.{WEIGHT})` for a step `c:` of a chain"
            self._report("bad-argument", f"`{call.function}` is asked of a weight, and of nothing else", call, help)
        elif capture and capture not in captured:
            self._report("unknown-capture", f"no step of this chain is called `{capture}`", call)

    def _name(self, node: nodes.Name, name: str, bound: set[str], captured: set[str]) -> None:
        capture, _, attribute = name.rpartition(".")
        if capture and capture not in captured:
            self._report("unknown-capture", f"no step of this chain is called `{capture}`", node)
        known = set(self.catalogue.predicates) | self.catalogue.attributes | (set() if capture else bound)
        if attribute not in known:
            help = nearest(attribute, known) or f"`#{attribute}` behind the operator binds it, quotes make it a text"
            if attribute == WEIGHT:
                help = f"functions tell of its values: {', '.join(f'`{name}({WEIGHT})`' for name in self._functions)}"
            if self.is_param(name, node.span):
                help = f"the value of the parameter is written `${name}`"
            self._report("unknown-attribute", f"a layer has no attribute `{attribute}`", node, help)

    def _report(self, slug: str, message: str, node: nodes.Node, help: str | None = None) -> None:
        self.problems.append(Problem(slug, message, node.span, help))


def references(selector: nodes.Selector) -> Iterator[nodes.Reference]:
    """Every operator and set that a selector names, those of the relations in its conditions included."""
    match selector:
        case nodes.Reference():
            yield selector
        case nodes.Union(parts=parts) | nodes.Intersection(parts=parts):
            for part in parts:
                yield from references(part)
        case nodes.Filter(selector=inner, condition=condition):
            yield from references(inner)
            for relation in _relations(condition):
                yield from references(relation.selector)
        case nodes.Except(selector=inner, removed=removed):
            yield from references(inner)
            yield from references(removed)
        case nodes.Chain(steps=steps):
            for step in steps:
                yield from references(step.selector)
        case nodes.Complement(selector=inner):
            yield from references(inner)
        case nodes.Pick(selector=inner, key=key):
            yield from references(inner)
            for relation in _relations(key) if key else ():
                yield from references(relation.selector)


def _relations(expression: nodes.Expression) -> Iterator[nodes.Relation]:
    if isinstance(expression, nodes.Relation):
        yield expression
    for part in operands(expression):
        yield from _relations(part)


def bindings(selector: nodes.Selector) -> set[str]:
    """The names that `#k` binds inside a selector."""
    match selector:
        case nodes.Reference(binding=binding):
            return {binding} if binding else set()
        case nodes.Union(parts=parts) | nodes.Intersection(parts=parts):
            return set().union(*(bindings(part) for part in parts))
        case nodes.Filter(selector=inner) | nodes.Except(selector=inner) | nodes.Pick(selector=inner):
            return bindings(inner)
        case nodes.Complement():
            return set()
        case nodes.Chain(steps=steps):
            return set().union(*(bindings(step.selector) for step in steps))


def captures(selector: nodes.Selector) -> dict[str, int]:
    """The names that a match gives to the steps of its chain, with the places of those steps."""
    while isinstance(selector, nodes.Filter | nodes.Except | nodes.Pick):
        selector = selector.selector
    steps = selector.steps if isinstance(selector, nodes.Chain) else ()
    return {step.capture: number for number, step in enumerate(steps) if step.capture}


def operands(expression: nodes.Expression) -> tuple[nodes.Expression, ...]:
    """The expressions directly inside another."""
    match expression:
        case nodes.And(parts=parts) | nodes.Or(parts=parts):
            return parts
        case nodes.Compare(operands=inner):
            return inner
        case nodes.Arithmetic(left=left, right=right):
            return (left, right)
        case nodes.Not(operand=operand) | nodes.Negative(operand=operand):
            return (operand,)
        case nodes.Membership(operand=operand) | nodes.Like(operand=operand):
            return (operand,)
        case nodes.Call(arguments=arguments):
            return arguments
        case _:
            return ()
