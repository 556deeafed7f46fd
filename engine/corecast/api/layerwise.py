"""A prepared model, its plan and what was made of it in, the error of each layer out, the worst first.

Layers are matched by the names of their bindings, which no conversion changes. What the converted model gives is
brought back to the form that the original has: transposed back where `plan.carry` says that it was transposed, without
what it was filled up with, and as the numbers that its integers stand for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from corecast.adapters.relax import Model, compile_plan, emulate, emulated_dtypes, observed, survey
from corecast.adapters.relax.forms import Form, forms_of
from corecast.adapters.relax.pad import PadAxes
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
    values = {value.name: value for value in _values(_orders(plan, prepared), before, after, forms_of(converted.main))}
    original = observed(prepared, values)
    other = observed(converted, dict.fromkeys(value.now for value in values.values()))
    models = [original.model, other.model]
    if any(emulated_dtypes(model) for model in models):
        models = [emulate(model) for model in models]
    run_original, run_other = _run(models[0], "the original"), _run(models[1], "the converted model")

    def restored(inputs: Mapping[str, Array]) -> dict[str, Array]:
        found = other.named(run_other(inputs))
        return {name: value.restored(found[value.now]) for name, value in values.items()}

    found = compare_layers(lambda inputs: original.named(run_original(inputs)), restored, batches)
    return layer_errors(plan, before, found)


@dataclass(frozen=True)
class _Value:
    """A value of the original: what stands for it now, with its axes in which order, and as integers of which scale.

    `shape` is what it had; what was filled up has zeros behind.
    """

    name: str
    now: str
    shape: tuple[int | str, ...] | None
    order: Order | None
    form: Form | None

    def restored(self, values: Array) -> Array:
        """As the original has it."""
        if self.form and self.form.scale is not None:
            values = (values.astype(np.float64) - self.form.zero_point) * self.form.scale
        values = values if self.order is None else values.transpose(inverse(self.order))
        if self.shape is None or len(self.shape) != values.ndim:
            return values
        return values[tuple(slice(size) if isinstance(size, int) else slice(None) for size in self.shape)]


def _run(model: Model, what: str) -> Run:
    return runner(model, HOST, f"{what}, with every layer as an output")(model.parameters)


def _values(
    orders: Mapping[tuple[str | None, int], Order],
    before: LayerTable,
    after: LayerTable,
    forms: Mapping[str, Form | None],
) -> Iterator[_Value]:
    """The values that both models have and that are numbers."""
    now = {layer.source: layer for layer in after.layers}
    for layer in before.layers:
        form = forms.get(layer.source or "")
        made = now.get(form.binding if form else layer.source)
        if made is None or (form is None and layer.source in forms):
            continue
        for place, kind in enumerate(layer.results):
            if "float" in kind.dtype:
                order = orders.get((layer.source, place))
                yield _Value(_value(layer, place), _value(made, place), kind.shape, order, form)


def _value(layer: Layer, place: int) -> str:
    return f"{layer.id}:{place}" if place else layer.id


def _orders(plan: Plan, prepared: Model) -> dict[tuple[str | None, int], Order]:
    """The results of layers, by the names of these, that the converted model gives with their axes in another order."""
    layouts = {layer: edit for layer, edit in plan.decided("layout").items() if isinstance(edit, ChangeLayout)}
    module: Any = prepared.module
    passes: list[Any] = [step for step in compile_plan(plan) if isinstance(step, PadAxes)]
    for step in passes:  # layouts are carried through what it made
        module = step(module)
    table = survey(module)
    return {
        (table.layers[index].source, place): order
        for index, run in carry(table, layouts).runs.items()
        for place, order in enumerate(run.results)
        if order
    }
