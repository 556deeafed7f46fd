"""ONNX's type protos in, plain types out, and back; every spelling of ONNX's about them is here."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import numpy as np
from onnx import TensorProto, ValueInfoProto, helper

from corecast.model import TensorType

UNKNOWN = "unknown"  # a dtype
ANY = "any"  # a size


@cache
def dtype_name(elem_type: int) -> str:
    """`float32` for FLOAT, `float8_e4m3fn` for FLOAT8E4M3FN; `unknown` for texts and for what has no dtype."""
    if elem_type in {TensorProto.UNDEFINED, TensorProto.STRING}:
        return UNKNOWN
    try:
        return str(np.dtype(helper.tensor_dtype_to_np_dtype(elem_type)).name)
    except (KeyError, ValueError):
        return UNKNOWN


@cache
def elem_type_of(dtype: str) -> int:
    """The number of a dtype in ONNX. Raises `KeyError` for one that ONNX does not have."""
    return _ELEM_TYPES[dtype]


def numpy_dtype(dtype: str) -> np.dtype[Any]:
    """The numpy dtype of that name; bfloat16 and the other short ones are ml_dtypes'."""
    found: np.dtype[Any] = helper.tensor_dtype_to_np_dtype(elem_type_of(dtype))
    return found


def array_type(tensor: TensorProto) -> TensorType:
    """The type of an initializer."""
    return TensorType(dtype=dtype_name(tensor.data_type), shape=tuple(tensor.dims))


def value_type(value: ValueInfoProto) -> TensorType | None:
    """The type of a value; a size that has no name is `any`. None for what is no tensor (a sequence, a map)."""
    if not value.type.HasField("tensor_type"):
        return None
    tensor = value.type.tensor_type
    dtype = dtype_name(tensor.elem_type)
    known = tensor.HasField("shape") and dtype != UNKNOWN
    return TensorType(dtype=dtype, shape=tuple(map(_size, tensor.shape.dim)) if known else None)


def _size(dimension: Any) -> int | str:
    if dimension.HasField("dim_value"):
        return int(dimension.dim_value)
    return str(dimension.dim_param) or ANY


def dtypes_of(type_strings: Any) -> tuple[str, ...]:
    """`["tensor(float)", "tensor(bfloat16)"]` -> `("float32", "bfloat16")`; what is no tensor is left out."""
    names = (re.fullmatch(r"tensor\((\w+)\)", text) for text in type_strings)
    found = (_ONNX_NAMES.get(name[1]) for name in names if name)
    return tuple(dtype for dtype in found if dtype)


_ELEM_TYPES: dict[str, int] = {dtype_name(number): number for number in TensorProto.DataType.values()}
del _ELEM_TYPES[UNKNOWN]
_ONNX_NAMES = {TensorProto.DataType.Name(number).lower(): dtype for dtype, number in _ELEM_TYPES.items()}
