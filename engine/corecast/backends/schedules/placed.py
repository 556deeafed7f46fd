"""A fused module and code for some of its kernels in, the module with that code in their place out."""

from __future__ import annotations

from collections.abc import Mapping

import tvm
from tvm import relax
from tvm.ir import Call, IRModule, Tuple

from corecast.backends.calls import called_kernel, lowered_by
from corecast.backends.schedules.family import Emitted

# In front of the names of functions that are compiled apart, so that they meet no other symbol.
PREFIX = "corecast_"


def placed(module: IRModule, code: Mapping[str, Emitted], chip: tvm.target.Target) -> IRModule:
    """Put code in the place of kernels, which are given by name.

    Code that is called `inside` replaces the kernel. Code that is called `apart` is compiled here, comes with the
    module as an external one, and is called by its symbol: Relax itself takes schedulable functions only.
    """
    result = IRModule(dict(module.functions_items()), attrs=module.attrs)
    apart = {name: each.module for name, each in code.items() if each.calling == "apart"}
    for name in code.keys() - apart.keys():
        var = result.get_global_var(name)
        scheduled = code[name].module["main"].without_attr("global_symbol")
        result.update_func(var, scheduled.with_attr("tirx.is_scheduled", True))
    if apart:
        result = _calling_apart(result, frozenset(apart))
        already = list(module.attrs.get("external_mods", [])) if module.attrs else []
        own = [_compiled(name, each, chip) for name, each in apart.items()]
        result = result.with_attr("external_mods", [*already, *own])
    return result


def _compiled(name: str, module: IRModule, chip: tvm.target.Target) -> tvm.runtime.Module:
    function = module["main"].with_attr("global_symbol", PREFIX + name)
    return tvm.tirx.build(IRModule({PREFIX + name: function}), target=chip, pipeline=lowered_by(module))


def _calling_apart(module: IRModule, names: frozenset[str]) -> IRModule:
    """The module with calls of external functions instead of calls of these kernels, and without the kernels."""
    rewritten = _Apart(module, names).rewritten()
    for name in names:
        del rewritten[rewritten.get_global_var(name)]
    return rewritten


@relax.expr_functor.mutator
class _Apart(relax.PyExprMutator):  # type: ignore[misc]
    """Turns calls of some kernels into calls of external functions with the same arguments and results."""

    def __init__(self, module: IRModule, names: frozenset[str]) -> None:
        super().__init__(module)
        self._names = names

    def rewritten(self) -> IRModule:
        for var, function in self.builder_.get().functions_items():
            if isinstance(function, relax.Function):
                self.builder_.update_func(var, self.visit_expr(function))
        return self.builder_.get()

    def visit_call_(self, call: Call) -> relax.Expr:
        call = super().visit_call_(call)
        kernel = called_kernel(call)
        if kernel is None or kernel.name_hint not in self._names:
            return call
        operands = call.args[1]
        assert isinstance(operands, Tuple)
        return relax.call_dps_packed(PREFIX + kernel.name_hint, operands, call.ty_args[0])
