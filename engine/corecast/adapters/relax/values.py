"""A model and a plan in, warnings out: weights that are no numbers, and weights that a planned dtype cannot hold.

Neither stops a conversion: it does to such weights what the original does, or what was asked for. But nobody should
have to find them by their effect.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import ml_dtypes
import numpy as np

from corecast.adapters.relax.model import Array, Model
from corecast.adapters.relax.tensors import numpy_dtype
from corecast.lang.problems import Problem
from corecast.model import LayerTable
from corecast.plan import Plan, compress
from corecast.recipe import ChangeDType


def check_values(model: Model, table: LayerTable, plan: Plan | None = None) -> list[Problem]:
    """Look at every weight.

    Args:
        model: a prepared or a converted one.
        table: its layers.
        plan: made for them; without one, only what the weights are is told, and not what becomes of them.

    Returns:
        Warnings, in the order of the weights and of the plan.
    """
    return [*_not_finite(model, table), *(_overflowing(model, table, plan) if plan else ())]


def _not_finite(model: Model, table: LayerTable) -> Iterator[Problem]:
    readers = defaultdict(list)
    for layer in table.layers:
        for operand in layer.operands:
            if operand.parameter:
                readers[operand.parameter].append(layer.id)
    for name, array in model.parameters.items():
        if found := numbers_that_are_none(array):
            place = f"{model.name}: {compress(readers[name])}" if readers[name] else model.name
            help = "whatever reads it gives no numbers either: `verify` has nothing to compare then"
            message = f"of the {array.size} values of the weight {name}, {found}"
            yield Problem("not-finite", message, help=help, severity="warning", place=place)


def numbers_that_are_none(array: Array) -> str | None:
    """`2 are NaN and 1 is infinite`, or None where all are numbers."""
    if np.issubdtype(array.dtype, np.integer) or array.dtype == bool or str(array.dtype) in ("int4", "uint4"):
        return None
    nan, infinite = int(np.isnan(array).sum()), int(np.isinf(array).sum())
    parts = [(nan, "NaN"), (infinite, "infinite")]
    return " and ".join(f"{count} {'is' if count == 1 else 'are'} {what}" for count, what in parts if count) or None


def _overflowing(model: Model, table: LayerTable, plan: Plan) -> Iterator[Problem]:
    for planned in plan.layers:
        decision = planned.dtype
        if decision is None or not isinstance(decision.edit, ChangeDType):
            continue
        low, high = _bounds(decision.edit.dtype)
        for operand in table.by_id[planned.id].operands:
            array = model.parameters.get(operand.parameter or "")
            if array is None:
                continue
            beyond = int(((array < low) | (array > high)).sum() - np.isinf(array).sum())
            if beyond:
                message = (
                    f"{beyond} of the {array.size} values of the weight {operand.parameter} lie beyond what "
                    f"{decision.edit.dtype} holds, {low:g} to {high:g} ({decision.rule}, line {decision.line})"
                )
                help = "keep this layer's dtype, or cast it to one of a wider range, such as bfloat16"
                place = f"{model.name}: {planned.id}"
                yield Problem("cast-overflow", message, help=help, severity="warning", place=place)


def _bounds(dtype: str) -> tuple[float, float]:
    limits = ml_dtypes.iinfo(numpy_dtype(dtype)) if "int" in dtype else ml_dtypes.finfo(numpy_dtype(dtype))
    return float(limits.min), float(limits.max)
