"""The front door: from a rules text to a converted, proven and tuned model, in a dozen names.

Reading, planning and explaining need no TVM; the names that do import it when they are first used. Every function
states its errors; all of them are `CorecastError`s, whose text is what a person should read.

    >>> from corecast.api import Source, describe, plan, read_recipe
    >>> from corecast.model import parse_table
    >>> table = parse_table('''
    ... image: float32 8x3x32x32
    ... nn.conv2d#0(image, %stem.weight: float32 64x3x3x3) -> float32 8x64x30x30
    ... nn.conv2d#1(nn.conv2d#0, %body.weight: float32 64x64x3x3) -> float32 8x64x28x28
    ... return nn.conv2d#1
    ... ''')
    >>> recipe = read_recipe(Source("first.rules", "skip nn.conv2d #0\\nmatch nn.conv2d #k, set layout HWNC"))
    >>> for layer in plan(recipe, table).layers:
    ...     print(layer.id, layer.layout.edit)
    nn.conv2d#0 keep layout
    nn.conv2d#1 layout HWNC, HWOI

With TVM it goes on: `apply(plan(recipe, survey(model)), model)` for a `model = prepare(load("model.onnx"))`, then
`write_bundle`, `verify_bundle`, `tune_bundle` and `runner_of`. `examples/first_rule.py` is that as a program.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from corecast.api.catalogue import standard_catalogue
from corecast.api.recipes import read_recipe
from corecast.lang import CorecastError, Source
from corecast.plan import PlanError, describe, explain, plan, read_plan

if TYPE_CHECKING:
    from corecast.adapters.relax import (
        apply,
        compile_plan,
        load,
        prepare,
        read_bundle,
        recipe_pass,
        survey,
        write_bundle,
    )
    from corecast.api.conversion import runner_of, tune_bundle, verify_bundle

_RELAX = "corecast.adapters.relax"
_CONVERSION = "corecast.api.conversion"
_LAZY = {
    "apply": _RELAX,
    "compile_plan": _RELAX,
    "load": _RELAX,
    "prepare": _RELAX,
    "read_bundle": _RELAX,
    "recipe_pass": _RELAX,
    "survey": _RELAX,
    "write_bundle": _RELAX,
    "runner_of": _CONVERSION,
    "tune_bundle": _CONVERSION,
    "verify_bundle": _CONVERSION,
}

__all__ = [
    "CorecastError",
    "PlanError",
    "Source",
    "apply",
    "compile_plan",
    "describe",
    "explain",
    "load",
    "plan",
    "prepare",
    "read_bundle",
    "read_plan",
    "read_recipe",
    "recipe_pass",
    "runner_of",
    "standard_catalogue",
    "survey",
    "tune_bundle",
    "verify_bundle",
    "write_bundle",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
