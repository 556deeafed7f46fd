"""A model to be run again and again in, its adapter, the model as it is converted, and what to compare it with out."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from corecast.adapters.door import Adapter
from corecast.api.options import UsageError, load_prepared, parse_shapes, taken_as
from corecast.lang import Problem
from corecast.report import Reporter


def read_to_run(
    command: str,
    path: str,
    weights: str | None,
    shapes: list[str] | None,
    function: str | None,
    ir: str | None,
    reporter: Reporter,
) -> tuple[Adapter[Any], Any, Callable[..., Any]]:
    """The adapter of a model, the model fit for conversion, and what pairs a converted one with the original."""
    taken = taken_as(path, ir)
    if taken == "relay" or ir not in (None, taken):
        message = f"`corecast {command}` runs no Relay modules, and {path} is taken as `{ir or taken}`"
        raise UsageError(Problem("other-ir", message, help="plan it here, and run it with its own toolchain"))
    adapter, prepared = load_prepared(path, weights, shapes, function, ir, reporter)
    if taken != "relax":
        return adapter, prepared, partial(adapter.compared, prepared)
    from corecast.adapters.relax import load
    from corecast.api.comparing import Pair

    original = load(path, weights=weights, shapes=parse_shapes(shapes), function=function)
    return adapter, prepared, partial(Pair.of, original)
