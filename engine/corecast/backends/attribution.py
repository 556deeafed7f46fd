"""A module in, the layers of each call of a kernel out, in the order in which a run makes these calls.

A kernel stands for all layers that come to the same code, so its name does not say which of them a call computes. In a
copy with a kernel of its own for each layer (`tasks.marked`) the groups stay apart, and stand in the same order.
"""

from __future__ import annotations

from collections.abc import Iterator

from tvm import relax
from tvm.ir import Call, GlobalVar, IRModule

from corecast.backends.calls import bindings, called, called_kernel
from corecast.backends.pipeline import fused, grouped, legalized
from corecast.backends.tasks import marked
from corecast.model import Target


def layers_of_calls(module: IRModule, target: Target) -> list[tuple[str, tuple[str, ...]]]:
    """For each call of a kernel that `main` makes, the kernel's name and the layers, by their binding variables."""
    legal = legalized(module, target)
    copy, marks = marked(legal, _Everything())
    groups = grouped(copy)
    functions = {var.name_hint: function for var, function in groups.functions_items()}
    layers = [tuple(marks[name] for name in names if name in marks) for names in _called_together(functions)]
    return list(zip(called(fused(grouped(legal))["main"]), layers, strict=True))


def _called_together(functions: dict[str, relax.Function]) -> Iterator[tuple[str, ...]]:
    """The kernels of each group that `main` calls, or the one that it calls by itself."""
    for binding in bindings(functions["main"]):
        kernel = called_kernel(binding.value)
        if kernel is not None:
            yield (kernel.name_hint,)
        elif isinstance(binding.value, Call) and isinstance(group := binding.value.op, GlobalVar):
            yield tuple(called(functions[group.name_hint]))


class _Everything:
    def __contains__(self, _: object) -> bool:
        return True
