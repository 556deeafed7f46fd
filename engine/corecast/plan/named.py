"""A selector in, the operators out that it names: `nn.softmax` is named by its own name, not by `nn.*` or `*`.

What a rule names, it means; what it reaches with a star, it may not have thought of. A name counts wherever it says
what is taken, in a set too; behind `not` or `except` it says what is left out, and in a condition something else.
"""

from __future__ import annotations

from collections.abc import Mapping

from corecast.lang import nodes
from corecast.model import Layer
from corecast.model.target import Target
from corecast.recipe import Action, Declined, Edit


def named_operators(selector: nodes.Selector, lets: Mapping[str, nodes.Let], step: int = 0) -> frozenset[str]:
    """The operators that a selector names, as texts that nobody has looked up.

    Args:
        selector: of a rule's match.
        lets: the sets of the recipe.
        step: of a chain, whose names are asked for.
    """
    match selector:
        case nodes.Reference(name=name):
            return named_operators(lets[name].selector, lets, step) if name in lets else frozenset({name})
        case nodes.Union(parts=parts) | nodes.Intersection(parts=parts):
            return frozenset[str]().union(*(named_operators(part, lets, step) for part in parts))
        case nodes.Filter(selector=inner) | nodes.Except(selector=inner) | nodes.Pick(selector=inner):
            return named_operators(inner, lets, step)
        case nodes.Chain(steps=steps):
            return named_operators(steps[step].selector, lets) if step < len(steps) else frozenset()
        case nodes.Complement():
            return frozenset()


def ask(action: Action, layer: Layer, target: Target | None, named: frozenset[str]) -> tuple[Edit, ...] | Declined:
    """What an action answers for a layer in a rule that names these operators."""
    answer = action.propose(layer, target)
    if isinstance(answer, Declined) or layer.op in named:
        return answer
    return action.unless_named(layer) or answer
