"""A module and an edit of its `main` in, the rebuilt module out: what our passes on Relax have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import tvm
from tvm.ir import IRModule

from corecast.adapters import passes
from corecast.adapters.passes import ModuleTransform
from corecast.adapters.relax.crossing import crossing
from corecast.adapters.relax.model import Array, Model
from corecast.adapters.relax.rebuild import Rebuild


def module_pass(name: str) -> Callable[[type[ModuleTransform]], Any]:
    """Make a class a `tvm.transform.Pass` called `corecast.<name>`; its errors come out of TVM as they were raised."""

    def decorate(transform: type[ModuleTransform]) -> Any:
        transform.transform_module = crossing(transform.transform_module)  # type: ignore[method-assign]
        return passes.module_pass(name)(transform)

    return decorate


def rewrite(
    module: IRModule, edit: Callable[[Rebuild], None], parameters: Mapping[str, Array] | None = None
) -> IRModule:
    """A module with its `main` rebuilt by `edit`; arguments, attributes and other functions stay as they are.

    `parameters` are the values of its last arguments, for an edit that has to know them.
    """
    main = module["main"]
    rebuild = Rebuild(Model(module, parameters or {}, name="main"))
    edit(rebuild)
    rebuilt = rebuild.finish().main
    result = module.clone()
    result.update_func(
        result.get_global_var("main"),
        tvm.relax.Function(main.params, rebuilt.body, None, main.is_pure, main.attrs),
    )
    return result
