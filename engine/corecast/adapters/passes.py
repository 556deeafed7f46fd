"""What the passes of both IRs have in common: an own name in TVM's instruments, and a text to read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import tvm
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


@dataclass(frozen=True)
class Passes:
    """The passes of a plan in order; each prints what it does, and each is a `tvm.transform.Pass`."""

    passes: tuple[tvm.transform.Pass, ...]

    def __iter__(self) -> Iterator[tvm.transform.Pass]:
        return iter(self.passes)

    def __str__(self) -> str:
        return "\n".join(str(item) for item in self.passes)

    def sequential(self) -> tvm.transform.Sequential:
        """All of them as one pass."""
        return tvm.transform.Sequential(list(self.passes), name="corecast")
