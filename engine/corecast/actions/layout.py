"""`set layout HWNC`: ask for a data layout, and the kernel layout that belongs to it, on convolutions.

`set layout NHWC kernel HWIO` names the kernel layout too. Operators between convolutions (pooling, batch norm, relu,
add, concatenate) follow their input; a layer that no request names keeps the layout it has.
"""

from __future__ import annotations

import re
from functools import cache
from typing import ClassVar

from pydantic import field_validator

from corecast.lang.problems import nearest
from corecast.model import CONVOLUTIONS, DEFAULT_KERNELS, WEIGHTED, Layer
from corecast.model.target import Target
from corecast.recipe import Action, ChangeLayout, Declined, Property

_LAYOUT = re.compile(r"[A-Z]{2,6}(?P<packed>(\d+[a-z])*)")

_KNOWN = {layout for kernels in DEFAULT_KERNELS.values() for pair in kernels.items() for layout in pair}

_MISORDERED = "TVM would compute something else in {}: D, H and W must stand in this order"

# A model has many layers and few layouts.
_change = cache(ChangeLayout)


class SetLayout(Action):
    """`set layout DATA [kernel KERNEL]`."""

    verb: ClassVar[str] = "set layout"
    positional = ("data",)
    keyed = ("kernel",)

    data: str
    kernel: str | None = None

    @field_validator("data", "kernel")
    @classmethod
    def _letters(cls, layout: str | None) -> str | None:
        if layout is None:
            return None
        match = _LAYOUT.fullmatch(layout)
        axes = re.sub(r"[^A-Z]", "", layout)
        if not match or len(set(axes)) != len(axes):
            help = nearest(layout.upper(), _KNOWN) or "write its axes as capital letters, each once, as in HWNC"
            raise ValueError(f"`{layout}` is not a layout: {help}")
        return layout

    @property
    def properties(self) -> tuple[Property, ...]:
        return ("layout",)

    def excluded(self, op: str | None) -> Declined | None:
        if op is None:
            reasons = [self.excluded(operator) for operator in sorted(CONVOLUTIONS)]
            return reasons[0] if all(reasons) else None
        operator = WEIGHTED.get(op)
        if operator is None or not operator.has_layout:
            return Declined("{} has no layout of its own, it takes its input's", op)
        if not self.data.isalpha():
            return Declined("TVM cannot lower a {} in the packed layout {}", op, self.data)
        if sorted(self.data) != sorted(operator.data):
            return Declined("a {} has the axes {}, and {} are others", op, operator.data, self.data)
        if operator.misorders(self.data):
            return Declined(_MISORDERED, self.data)
        kernel = self._kernel(op)
        if kernel is None:
            return Declined("no kernel layout belongs to {}; name one: `kernel {}`", self.data, operator.kernel)
        if sorted(kernel) != sorted(operator.kernel):
            return Declined("its kernel has the axes {}, and {} are others", operator.kernel, kernel)
        return Declined(_MISORDERED, kernel) if operator.misorders(kernel) else None

    def _kernel(self, op: str) -> str | None:
        return self.kernel or DEFAULT_KERNELS[op].get(self.data)

    def propose(self, layer: Layer, target: Target | None) -> tuple[ChangeLayout] | Declined:  # noqa: ARG002
        if declined := self.excluded(layer.op):
            return declined
        if layer.operator is None:
            return Declined("{} has no layout of its own, it takes its input's", layer.op)
        kernel = self._kernel(layer.op)
        assert kernel is not None, "that is asked above"
        return uncompiled(layer, self.data, kernel) or (_change(data=self.data, kernel=kernel),)


def uncompiled(layer: Layer, data: str, kernel: str) -> Declined | None:
    """Why TVM could not compile a layer in these layouts, or None where it can."""
    own = (layer.data_layout, layer.kernel_layout)
    if (data, kernel) == own:
        return None
    if layer.signature:
        return Declined("{} takes {} with the kernel {} only", layer.signature.op, *own)
    if layer.behaviour == "original":
        return Declined("TVM compiles a {} in {} with the kernel {} only", layer.op, *own)
    if any(tensor.shape is None for tensor in (*(operand.type for operand in layer.operands), *layer.results)):
        return Declined("how many axes its tensors have is known at run time only")
    return None
