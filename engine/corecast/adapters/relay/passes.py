"""A module and functions in, the module with these functions out: what our passes on Relay have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tvm import relay
from tvm.ir import IRModule


def with_main(module: IRModule, main: relay.Function) -> IRModule:
    """A module with another `main`; its other functions are the same objects."""
    return with_functions(module, {**_functions(module), module.get_global_var("main"): main})


def with_functions(module: IRModule, functions: Mapping[Any, Any]) -> IRModule:
    """A module with other functions under its own names, types and attributes."""
    # Type inference returns a copy. IRModule's own `clone` is younger than some of these TVMs, and its constructor and
    # `with_attr` take no attribute that is a text.
    result = relay.transform.InferType()(module)
    for var, function in functions.items():
        result.update_func(var, function)
    return result


def _functions(module: IRModule) -> dict[Any, Any]:
    return dict(module.functions.items())
