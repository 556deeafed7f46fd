"""A node's operator and its opset in, the dtypes that ONNX's definition of it allows out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

from onnx import defs

from corecast.adapters.onnx.tensors import dtypes_of
from corecast.model import Signature


@dataclass(frozen=True)
class Formal:
    """An input as the definition has it: its name, and the dtypes that it may have."""

    name: str
    dtypes: tuple[str, ...]

    @property
    def is_open(self) -> bool:
        """Whether it leaves the choice of a dtype; the scales of a `Resize` are float32 whatever its data are."""
        return len(self.dtypes) > 1


@dataclass(frozen=True)
class Definition:
    """One version of an operator, `Conv-11`: its inputs, and the dtypes that it computes in.

    There are none of these where its inputs do not set the dtype of its float result.
    """

    op: str
    inputs: tuple[Formal, ...]
    dtypes: tuple[str, ...]
    is_variadic: bool

    def input(self, place: int) -> Formal | None:
        """The input at a place; the last one may stand for all that follow."""
        if place < len(self.inputs):
            return self.inputs[place]
        return self.inputs[-1] if self.is_variadic else None


@cache
def definition(op_type: str, domain: str, opset: int) -> Definition | None:
    """How ONNX defines an operator in an opset, or None for one that it does not know."""
    try:
        schema: Any = defs.get_schema(op_type, opset, domain)
    except defs.SchemaError:
        return None
    inputs = tuple(Formal(item.name, dtypes_of(item.types)) for item in schema.inputs)
    result = schema.outputs[0] if schema.outputs else None
    tied = result is not None and result.type_str in {item.type_str for item in schema.inputs}
    variadic = bool(schema.inputs) and schema.inputs[-1].option == defs.OpSchema.FormalParameterOption.Variadic
    made = dtypes_of(result.types) if result is not None else ()
    if not any("float" in dtype for dtype in made):
        made = tuple(dict.fromkeys(dtype for formal in inputs for dtype in formal.dtypes))
    elif not tied:
        made = ()
    return Definition(f"{op_type}-{schema.since_version}", inputs, made, variadic)


def signature(name: str, known: Definition | None, cast: Iterable[Formal | None], *, quantizes: bool) -> Signature:
    """What a layer table says of a node.

    Args:
        name: of an operator that has no definition.
        cast: the inputs that hold floats of an open dtype: these are the ones that a cast is about.
        quantizes: whether the model can state scales by channel.
    """
    if known is None:
        return Signature(op=name)
    allowed = [set(formal.dtypes) for formal in cast if formal]
    dtypes = tuple(dtype for dtype in known.dtypes if all(dtype in set for set in allowed))
    return Signature(op=known.op, dtypes=dtypes, quantizes=quantizes)
