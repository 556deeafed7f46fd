"""A module and an edit of its `main` in, the rebuilt module out: what our passes on Relax have in common."""

from __future__ import annotations

from collections.abc import Callable

import tvm
from tvm.ir import IRModule

from corecast.adapters.passes import module_pass
from corecast.adapters.relax.model import Model
from corecast.adapters.relax.rebuild import Rebuild

__all__ = ["module_pass", "rewrite"]


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
