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
    from corecast.api.calibration import calibrate
    from corecast.api.catalogue import standard_catalogue
    from corecast.api.conversion import runner_of, tune_bundle, verify_bundle
    from corecast.api.recipes import read_recipe
    from corecast.lang import CorecastError, Source
    from corecast.plan import PlanError, describe, explain, plan, read_plan

# Each name is imported when it is first used: the command line is there before what it needs, and TVM only if needed.
_NAMES = {
    "corecast.adapters.relax": "apply compile_plan load prepare read_bundle recipe_pass survey write_bundle",
    "corecast.api.calibration": "calibrate",
    "corecast.api.catalogue": "standard_catalogue",
    "corecast.api.conversion": "runner_of tune_bundle verify_bundle",
    "corecast.api.recipes": "read_recipe",
    "corecast.lang": "CorecastError Source",
    "corecast.plan": "PlanError describe explain plan read_plan",
}
_HOME = {name: module for module, names in _NAMES.items() for name in names.split()}

__all__ = [
    "CorecastError",
    "PlanError",
    "Source",
    "apply",
    "calibrate",
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
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOME[name]), name)
    return value
