"""A model and a plan in, warnings out: weights that are no numbers, and weights that a planned dtype cannot hold.

Neither stops a conversion: it does to such weights what the original does, or what was asked for. But nobody should
have to find them by their effect.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Protocol

import ml_dtypes
import numpy as np

from corecast.adapters.rounding import numpy_dtype
from corecast.adapters.weights_file import Array
from corecast.lang.problems import Problem
from corecast.model import LayerTable
from corecast.plan import Plan, compress
from corecast.recipe import ChangeDType


class Weighted(Protocol):
    """A model of any adapter: what it is called, and its weights by name. They may be read only when asked for."""

    @property
    def name(self) -> str: ...

    @property
    def parameters(self) -> Mapping[str, Array]: ...


def check_values(model: Weighted, table: LayerTable, plan: Plan | None = None) -> list[Problem]:
    """Look at every weight.

    Args:
        model: a prepared or a converted one.
        table: its layers.
        plan: made for them; without one, only what the weights are is told, and not what becomes of them.

    Returns:
        Warnings, in the order of the weights and of the plan.
    """
    return [*_not_finite(model, table), *(_overflowing(model, table, plan) if plan else ())]


def _not_finite(model: Weighted, table: LayerTable) -> Iterator[Problem]:
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
    if "float" not in str(array.dtype) and "complex" not in str(array.dtype):
        return None
    nan, infinite = int(np.isnan(array).sum()), int(np.isinf(array).sum())
    parts = [(nan, "NaN"), (infinite, "infinite")]
    return " and ".join(f"{count} {'is' if count == 1 else 'are'} {what}" for count, what in parts if count) or None


def _overflowing(model: Weighted, table: LayerTable, plan: Plan) -> Iterator[Problem]:
    help = "keep this layer's dtype, or cast it to one of a wider range, such as bfloat16"
    for planned in plan.layers:
        decision = planned.dtype
        if decision is None or not isinstance(decision.edit, ChangeDType):
            continue
        dtype, place = decision.edit.dtype, f"{model.name}: {planned.id}"
        for name in table.by_id[planned.id].parameters:
            array = model.parameters.get(name)
            if array is None:
                continue
            decided = f"({decision.rule}, line {decision.line})"
            if found := _beyond(array, dtype):
                values = f"{found[0]} of the {array.size} values of the weight {name}"
                become = " and become the nearest of these" if dtype.startswith("float8") else ""
                message = f"{values} lie beyond {found[1]}{become} {decided}"
                yield Problem("cast-overflow", message, help=help, severity="warning", place=place)
            elif _vanishes(array, dtype):
                largest = float(np.abs(array).max())
                message = f"all values of the weight {name}, up to {largest:g}, become zero in {dtype} {decided}"
                yield Problem("cast-underflow", message, help=help, severity="warning", place=place)


def _beyond(array: Array, dtype: str) -> tuple[int, str] | None:
    """How many finite values a dtype cannot hold, and what it holds: `what float16 holds, -65504 to 65504`."""
    limits = ml_dtypes.iinfo(numpy_dtype(dtype)) if "int" in dtype else ml_dtypes.finfo(numpy_dtype(dtype))
    low, high = float(limits.min), float(limits.max)
    count = int(((array < low) | (array > high)).sum() - np.isinf(array).sum())
    return (count, f"what {dtype} holds, {low:g} to {high:g}") if count else None


def _vanishes(array: Array, dtype: str) -> bool:
    return "float" in dtype and bool(array.any()) and not array.astype(numpy_dtype(dtype)).any()
