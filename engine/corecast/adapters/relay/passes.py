"""What our passes have in common: a module in, a module out, an own name in TVM's instruments, and a text to read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import tvm
from tvm import relay
from tvm.ir import IRModule


class ModuleTransform(Protocol):
    """A class with this method becomes a pass by `module_pass`; its `__str__` is what `corecast compile` prints."""

    def transform_module(self, module: IRModule, context: tvm.transform.PassContext) -> IRModule: ...


def module_pass(name: str) -> Callable[[type[ModuleTransform]], Any]:
    """Make a class a `tvm.transform.Pass` called `corecast.<name>` that prints as its instances do.

    The optimization level is 0: a pass of a higher one is left out of a `Sequential` without a word where the
    `PassContext` has a lower one (as Relay's own ConvertLayout is, below 3), and a plan must be carried out whole.
    """

    def decorate(transform: type[ModuleTransform]) -> Any:
        wrapped = tvm.transform.module_pass(opt_level=0, name=f"corecast.{name}")(transform)

        def text(self: Any) -> str:
            return str(self._inst)

        members = {"__repr__": text, "__str__": text, "__doc__": transform.__doc__, "__module__": transform.__module__}
        return type(transform.__name__, (wrapped,), members)

    return decorate


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
