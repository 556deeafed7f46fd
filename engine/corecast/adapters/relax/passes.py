"""What our passes have in common: a module in, a module out, an own name in TVM's instruments, and a text to read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import tvm
from tvm.ir import IRModule

from corecast.adapters.relax.model import Model
from corecast.adapters.relax.rebuild import Rebuild


class ModuleTransform(Protocol):
    """A class with this method becomes a pass by `module_pass`; its `__str__` is what `corecast compile` prints."""

    def transform_module(self, module: IRModule, context: tvm.transform.PassContext) -> IRModule: ...


def module_pass(name: str) -> Callable[[type[ModuleTransform]], Any]:
    """Make a class a `tvm.transform.Pass` called `corecast.<name>` that prints as its instances do.

    The optimization level is 0: a pass of a higher one is left out of a `Sequential` without a word where the
    `PassContext` has a lower one, and a plan must be carried out whole.
    """

    def decorate(transform: type[ModuleTransform]) -> Any:
        wrapped = tvm.transform.module_pass(opt_level=0, name=f"corecast.{name}")(transform)

        def text(self: Any) -> str:
            return str(self._inst)

        members = {"__repr__": text, "__str__": text, "__doc__": transform.__doc__, "__module__": transform.__module__}
        return type(transform.__name__, (wrapped,), members)

    return decorate


def rewrite(module: IRModule, edit: Callable[[Rebuild], None]) -> IRModule:
    """A module with its `main` rebuilt by `edit`; arguments, attributes and other functions stay as they are."""
    main = module["main"]
    rebuild = Rebuild(Model(module, {}, name="main"))
    edit(rebuild)
    rebuilt = rebuild.finish().main
    result = module.clone()
    result.update_func(
        result.get_global_var("main"),
        tvm.relax.Function(main.params, rebuilt.body, None, main.is_pure, main.attrs),
    )
    return result
