"""A prepared model, its plan and what was made of it in, the error of each layer out, the worst first.

Layers are matched by the names of their bindings, which no conversion changes. What the converted model gives is
brought back to the form that the original has: transposed as `plan.carry` says that it was, in the original's dtype.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from corecast.adapters.relax import Model, emulate, emulated_dtypes, observed, survey
from corecast.api.comparing import HOST, Run, runner
from corecast.model import Layer, LayerTable
from corecast.model.orders import Order, inverse
from corecast.plan import Plan
from corecast.plan.carry import carry
from corecast.recipe import ChangeLayout
from corecast.verify import LayerError, compare_layers, layer_errors
from corecast.verify.evidence import Batch

Array = NDArray[np.generic]


def errors_of_layers(plan: Plan, prepared: Model, converted: Model, batches: Iterable[Batch]) -> tuple[LayerError, ...]:
    """Run both models with what every layer gives as a further output, and compare layer by layer.

    Args:
        plan: what was carried out.
        prepared: the model that it was made for.
        converted: what came of it.
        batches: what both are run on.

    Raises:
        BuildError: where one of the two cannot be compiled with these outputs.
    """
    before, after = survey(prepared), survey(converted)
    pairs = dict(_pairs(before, after))
    orders = _orders(plan, before)
    original, other = observed(prepared, pairs), observed(converted, pairs.values())
    models = [original.model, other.model]
    if any(emulated_dtypes(model) for model in models):
        models = [emulate(model) for model in models]
    run_original, run_other = (
        _run(model, what) for model, what in zip(models, ("the original", "the converted model"), strict=True)
    )

    def restored(inputs: Mapping[str, Array]) -> dict[str, Array]:
        values = other.named(run_other(inputs))
        return {value: _as_it_was(values[pair], orders.get(value)) for value, pair in pairs.items()}

    found = compare_layers(lambda inputs: original.named(run_original(inputs)), restored, batches)
    return layer_errors(plan, before, found)


def _run(model: Model, what: str) -> Run:
    return runner(model, HOST, f"{what}, with every layer as an output")(model.parameters)


def _pairs(before: LayerTable, after: LayerTable) -> Iterator[tuple[str, str]]:
    """The values that both models have and that are numbers: by their names in the one, those in the other."""
    now = {layer.source: layer for layer in after.layers}
    for layer in before.layers:
        if layer.source in now:
            for place, kind in enumerate(layer.results):
                if "float" in kind.dtype:
                    yield _value(layer, place), _value(now[layer.source], place)


def _value(layer: Layer, place: int) -> str:
    return f"{layer.id}:{place}" if place else layer.id


def _orders(plan: Plan, before: LayerTable) -> dict[str, Order]:
    """The values that the converted model gives with their axes in another order."""
    layouts = {layer: edit for layer, edit in plan.decided("layout").items() if isinstance(edit, ChangeLayout)}
    return {
        _value(before.layers[index], place): order
        for index, run in carry(before, layouts).runs.items()
        for place, order in enumerate(run.results)
        if order
    }


def _as_it_was(values: Array, order: Order | None) -> Array:
    return values if order is None else values.transpose(inverse(order))
