"""`quantize int8`: compute a convolution or a product on integers, between scales that come from calibration.

`quantize int8` takes activations in int8, symmetric, with one scale a tensor; `quantize int8 asymmetric` gives them a
zero point, `quantize uint8` takes them in uint8 with one, as the dot products of x86 want it. Weights are int8 with a
scale for each output channel, or one for all (`weights per_tensor`); sums are int32. What stands between such layers
and means the same on integers is carried along, and needs no rule. The contrast is `cast int8`, which has no scale.
"""

from __future__ import annotations

from functools import cache
from typing import ClassVar, Literal

from pydantic import ValidationInfo, field_validator

from corecast.model import WEIGHTED, Layer
from corecast.model.target import Target
from corecast.recipe import Action, Declined, Property, Quantize

# How many products an int32 holds the sum of, with as much room again for the bias: (255 - 0) * 127 each.
MOST_PRODUCTS = 2**30 // (255 * 127)

_TRANSPOSED = "{} is not computed on integers: nothing here scales its kernel by output channels"

_TOO_OLD = "{} has no scales by channel in this version of its IR; of ONNX, opset 13 with IR version 4 has them"

# A model has many layers and few ways to quantize.
_quantize = cache(Quantize)


class QuantizeLayer(Action):
    """`quantize int8 | uint8 [asymmetric] [weights per_tensor]`."""

    verb: ClassVar[str] = "quantize"
    positional = ("dtype", "symmetry")
    keyed = ("weights",)

    dtype: Literal["int8", "uint8"]
    symmetry: Literal["symmetric", "asymmetric"] | None = None
    weights: Literal["per_channel", "per_tensor"] = "per_channel"

    @field_validator("symmetry")
    @classmethod
    def _has_a_sign(cls, symmetry: str | None, given: ValidationInfo) -> str | None:
        if symmetry == "symmetric" and given.data.get("dtype") == "uint8":
            raise ValueError("uint8 has no sign, so it always has a zero point: write `quantize uint8`")
        return symmetry

    @property
    def properties(self) -> tuple[Property, ...]:
        return ("dtype",)

    @property
    def is_symmetric(self) -> bool:
        return self.dtype == "int8" and self.symmetry != "asymmetric"

    def excluded(self, op: str | None) -> Declined | None:
        if op is None:
            return None
        if op.endswith("_transpose"):
            return Declined(_TRANSPOSED, op)
        if op not in WEIGHTED and op != "matmul":
            return Declined("{} multiplies and adds nothing; between quantized layers it is carried along", op)
        return None

    def objection(self, target: Target) -> str | None:
        return target.objection("int8", "int32")  # what multiplies s8 by s8 takes u8 as well

    def propose(self, layer: Layer, target: Target | None) -> tuple[Quantize] | Declined:
        if declined := self.excluded(layer.op):
            return declined
        if layer.signature and not layer.signature.quantizes:
            return Declined(_TOO_OLD, layer.signature.op)
        if declined := _not_of_floats(layer) or self._not_summed(layer):
            return declined
        if target and (objection := self.objection(target)):
            return Declined("{}", objection)
        return (_quantize(activations=self.dtype, symmetric=self.is_symmetric, weights=self.weights),)

    def _not_summed(self, layer: Layer) -> Declined | None:
        """Why the products of a layer cannot be summed in int32."""
        if layer.op == "matmul" and not self.is_symmetric:
            return Declined("{} multiplies two activations, whose zero points would need sums of their own", layer.op)
        products = products_summed(layer)
        if products is None:
            return Declined("how many products {} sums is known at run time only", layer.op)
        if products > MOST_PRODUCTS:
            return Declined("it sums {} products, and int32 holds {}", products, MOST_PRODUCTS)
        return None


def _not_of_floats(layer: Layer) -> Declined | None:
    """Why the operands of a layer cannot be quantized."""
    has_bias = layer.signature is not None and len(layer.operands) == 3
    if not (has_bias or len(layer.operands) == 2) or len(layer.results) != 1:
        return Declined("{} has {} operands and {} results", layer.op, len(layer.operands), len(layer.results))
    kernel = layer.operands[1]
    if layer.op != "matmul" and (kernel.layer is not None or kernel.argument is not None):
        return Declined("its weight is computed at run time")
    other = next((operand.type.dtype for operand in layer.operands if operand.type.dtype != "float32"), None)
    if other:
        return Declined("{} takes {}, and only float32 is quantized", layer.op, other)
    return None


def products_summed(layer: Layer) -> int | None:
    """How many products each element of the result of a convolution or product is the sum of, where that is known."""
    if layer.op == "matmul":
        shape = layer.operands[0].type.shape
        depth = shape[-1] if shape else None
        return depth if isinstance(depth, int) else None
    elements, channels = layer.operands[1].type.elements, layer.size("O")
    if layer.op == "nn.dense":
        depth = layer.size("I")
        return depth if isinstance(depth, int) else None
    return elements // channels if elements is not None and isinstance(channels, int) and channels else None
