"""`cast int4 else int8 -> int32`: compute a layer in another dtype.

The operands are cast, the layer computes and accumulates in the dtype behind the arrow (int32 for integers, float32 for
floats where there is none), and its result is cast back, so that the layers around it see what they saw before. A cast
to an integer dtype is a hard cast, towards zero and without a scale: a benchmarking aid, not a quantization. What
loses range or digits in a short float (softmax, norms, sums) is cast where a rule names it, and no `*` reaches it.
"""

from __future__ import annotations

import re
from functools import cache
from typing import ClassVar

from pydantic import ValidationInfo, field_validator

from corecast.lang.problems import nearest
from corecast.model import WEIGHTED, Layer, Signature, dtype_bits, is_lossless
from corecast.model.target import Target
from corecast.recipe import Action, ChangeDType, Declined, Property

DTYPES = {
    **{name: name for name in ("float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2")},
    **{name: name for name in ("int4", "int8", "int16", "int32", "uint4", "uint8")},
    "float8_e4m3": "float8_e4m3fn",  # TVM and ml_dtypes add what the name means: finite, with NaN
}

# Calls of graphs that stand inside a graph, in the dtypes that they were written for.
NESTED = frozenset({"if", "loop", "scan"})

# What computes on integers and means the same there as on reals; sigmoid of an int8 does not.
ARITHMETIC = frozenset(
    """
    matmul add subtract multiply maximum minimum negative abs clip concat nn.relu nn.max_pool1d nn.max_pool2d
    nn.max_pool3d max min sum
    """.split()
) | set(WEIGHTED)

# What computes on eight-bit floats: TVM refuses most functions of them (exp, softmax, norms).
FLOAT8_OPERATORS = ARITHMETIC | {"divide"}

# What TVM types or compiles in some floats only.
_NORMS = frozenset({"nn.group_norm", "nn.instance_norm", "nn.layer_norm"})
REFUSED = {"bfloat16": _NORMS | {"nn.prelu"}, "float64": _NORMS}

# What loses range or digits in a short float, whoever computes it: exponentials, powers, quotients by what may be
# small, sums of many terms, and what is made of them. PyTorch's autocast keeps the same in float32; `mean`, `variance`
# and `std` are sums too.
LOSES = frozenset(
    """
    exp log power rsqrt tan acos asin sinh cosh cumsum cumprod sum prod mean variance std nn.softmax nn.log_softmax
    nn.softplus nn.batch_norm nn.layer_norm nn.group_norm nn.instance_norm nn.rms_norm nn.cross_entropy_with_logits
    nn.nll_loss
    reciprocal reduce_l1 reduce_l2 reduce_log_sum reduce_log_sum_exp reduce_sum_square
    """.split()
)

# Calls whose dtype or layout is all that they are about.
CONVERSIONS = frozenset({"astype", "permute_dims", "layout_transform", "quantize", "dequantize"})

# Calls of code that was written for the dtypes it has.
FOREIGN = frozenset(
    "call_tir call_tir_inplace call_tir_with_grad call_dps_packed call_pure_packed call_inplace_packed".split()
)

# A model has many layers and few dtypes.
_change = cache(ChangeDType)


class Cast(Action):
    """`cast DTYPE [-> ACCUMULATOR]`."""

    verb: ClassVar[str] = "cast"
    positional = ("dtype",)
    arrow = "accumulator"

    dtype: str
    accumulator: str | None = None

    @field_validator("dtype", "accumulator")
    @classmethod
    def _known(cls, dtype: str | None) -> str | None:
        if dtype is not None and dtype not in DTYPES:
            raise ValueError(f"unknown dtype `{dtype}`; {nearest(dtype, DTYPES) or 'known: ' + ', '.join(DTYPES)}")
        return dtype and DTYPES[dtype]

    @field_validator("accumulator")
    @classmethod
    def _can_hold_sums(cls, accumulator: str | None, given: ValidationInfo) -> str | None:
        dtype = given.data.get("dtype")
        if accumulator is None or dtype is None:
            return accumulator
        if _is_integer(dtype) != _is_integer(accumulator):
            raise ValueError(f"{dtype} is not summed in {accumulator}: integers go with integers, floats with floats")
        if dtype_bits(accumulator) < dtype_bits(dtype):
            raise ValueError(f"{dtype} is not summed in {accumulator}, which is narrower")
        return accumulator

    @property
    def properties(self) -> tuple[Property, ...]:
        return ("dtype",)

    @property
    def sums_in(self) -> str:
        """The accumulator: the one behind the arrow, or the usual one of the dtype's kind."""
        return self.accumulator or ("int32" if self.is_integer else "float64" if self.dtype == "float64" else "float32")

    @property
    def is_integer(self) -> bool:
        return _is_integer(self.dtype)

    def excluded(self, op: str | None) -> Declined | None:
        if op is None:
            return None
        if op in CONVERSIONS:
            return Declined("{} computes nothing, it converts", op)
        if op in NESTED:
            return Declined("{} holds a graph of its own, which keeps its dtypes", op)
        if op in FOREIGN:
            return Declined("{} calls code that was written for the dtypes it has", op)
        if self.is_integer and op not in ARITHMETIC:
            return Declined("{} does not compute on integers", op)
        if self.dtype.startswith("float8") and op not in FLOAT8_OPERATORS:
            return Declined("{} does not compute in {}", op, self.dtype)
        return None

    def unless_named(self, layer: Layer) -> Declined | None:
        own = layer.results[0].dtype
        if layer.op not in LOSES or self.is_integer or is_lossless(own, self.dtype):
            return None
        text = "{} loses range or digits in {}, and is cast only by a rule that names it: `match {}`"
        return Declined(text, layer.op, self.dtype, layer.op)

    def objection(self, target: Target) -> str | None:
        return target.objection(self.dtype, self.sums_in)

    def propose(self, layer: Layer, target: Target | None) -> tuple[ChangeDType] | Declined:
        if declined := self.excluded(layer.op):
            return declined
        if len(layer.results) != 1 or not layer.operands:
            return Declined("{} has {} results and {} operands", layer.op, len(layer.results), len(layer.operands))
        other = next((item.type.dtype for item in layer.operands if "float" not in item.type.dtype), None)
        if other:
            return Declined("{} takes {}, and only floats are cast", layer.op, other)
        if "float" not in layer.results[0].dtype:
            return Declined("its result is {}, not a float", layer.results[0].dtype)
        if layer.attributes.get("dtype") not in (None, ""):
            return Declined("{} says itself that its result is {}", layer.op, layer.attributes["dtype"])
        # Only what multiplies and adds has an accumulator; a relu computes in the dtype of its operands.
        sums = layer.operator is not None or layer.op == "matmul"
        if layer.signature and (declined := self._not_in(layer.signature, sums)):
            return declined
        if not layer.signature and layer.op in REFUSED.get(self.dtype, ()):
            return Declined("{} does not compute in {}", layer.op, self.dtype)
        accumulator = self.sums_in if sums and not layer.signature else self.dtype
        if target and (objection := self.objection(target)):
            return Declined("{}", objection)
        return (_change(dtype=self.dtype, accumulator=accumulator),)

    def _not_in(self, signature: Signature, sums: bool) -> Declined | None:
        """Why an operator cannot be stated in this dtype, or with this accumulator."""
        if not signature.dtypes:
            return Declined("nothing here says which dtypes {} takes", signature.op)
        if self.dtype not in signature.dtypes:
            return Declined("{} does not take {}", signature.op, self.dtype)
        if sums and self.accumulator not in (None, self.dtype):
            text = "{} has no accumulator to set, the runtime chooses one and the result is {}: write `cast {}`"
            return Declined(text, signature.op, self.dtype, self.dtype)
        return None


def _is_integer(dtype: str) -> bool:
    return re.match("u?int", dtype) is not None
