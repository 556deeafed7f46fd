"""A model and names of its values in, the same model with those values as further outputs out.

A value is an input, by its name, or what a layer gives, by the layer's id: `nn.relu#3`, and `split#0:1` for the second
of several results. Nothing else changes: not what is computed, not the ids of the layers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tvm import relax
from tvm.ir import Tuple, TupleGetItem

from corecast.adapters.relax.model import Array, Model
from corecast.adapters.relax.rebuild import Rebuild
from corecast.adapters.relax.survey import enumerate_calls
from corecast.lang.problems import CorecastError, Problem
from corecast.recipe.words import unknown


class ObserveError(CorecastError):
    """A value that the model does not have."""


@dataclass(frozen=True)
class Observed:
    """A model that returns one flat tuple: its own results and then the values, in their order.

    Attributes:
        model: takes what the original takes; it may be emulated or compiled like every other.
        values: the names of what is observed.
        own: how many tensors the original returns.
    """

    model: Model
    values: tuple[str, ...]
    own: int

    def outputs(self, results: Sequence[Array]) -> Sequence[Array]:
        """The original's own outputs among the results of a run."""
        return results[: self.own]

    def named(self, results: Sequence[Array]) -> dict[str, Array]:
        """The observed values among the results of a run, each under its name."""
        return dict(zip(self.values, results[self.own :], strict=True))


def observed(model: Model, values: Iterable[str]) -> Observed:
    """The model with further outputs.

    Args:
        model: whose layers are named as `survey` of it names them.
        values: names of inputs and of results of layers; each counts once.

    Raises:
        ObserveError: with every name that the model has no tensor for.
    """
    rebuild = Rebuild(model)
    for line in rebuild.lines:
        rebuild.keep(line)
    places = _places(model)
    names = tuple(dict.fromkeys(values))
    if problems := [_unknown(name, places) for name in names if name not in places]:
        raise ObserveError(problems)
    result = model.main.body.body
    own = [_item(rebuild, result, path) for path in _paths(result.ty)]
    values = [_item(rebuild, *places[name]) for name in names]
    return Observed(rebuild.finish(Tuple([*own, *values])), names, len(own))


_Place = tuple[relax.Var, tuple[int, ...]]


def _places(model: Model) -> dict[str, _Place]:
    """For each value its variable, and the way to it through the tuples that this holds."""
    variables = [(var.name, var) for var in model.inputs]
    variables += [(layer, binding.var) for layer, binding in enumerate_calls(model.main)]
    return {
        f"{name}:{number}" if number else str(name): (var, path)
        for name, var in variables
        for number, path in enumerate(_paths(var.ty))
    }


def _paths(ty: Any) -> Iterator[tuple[int, ...]]:
    """The ways to the tensors of a type, in the order in which a layer table counts results."""
    if isinstance(ty, relax.TensorType):
        yield ()
    elif isinstance(ty, relax.TupleType):
        for place, field in enumerate(ty.fields):
            yield from ((place, *rest) for rest in _paths(field))


def _item(rebuild: Rebuild, expr: Any, path: tuple[int, ...]) -> Any:
    """The tensor at the end of a way into a tuple or a variable that holds one."""
    for place in path:
        if isinstance(expr, Tuple):
            expr = expr.fields[place]
        else:
            expr = rebuild.emit(TupleGetItem(expr, place), rebuild.fresh(f"{expr.name}_{place}"))
    return expr


def _unknown(name: str, places: Iterable[str]) -> Problem:
    return Problem("unknown-value", f"the model has no value `{name}`", help=unknown("values", name, list(places)))
