"""TVM's tensor types and constants in, plain types and numpy arrays out; every spelling of TVM's about them is here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tvm import relax, tirx
from tvm.ir import GenericConst

from corecast.adapters.relax.model import FEW, Array
from corecast.adapters.rounding import numpy_dtype as numpy_dtype
from corecast.model import TensorType


def dtype_of(ty: Any) -> str | None:
    """The dtype of a tensor type as TVM and numpy spell it, or None where it is unknown."""
    return None if ty.dtype is None else str(ty.dtype)


def static_shape(ty: Any) -> tuple[int, ...] | None:
    """The sizes of a tensor type, or None where one is dynamic or it is no tensor."""
    if not isinstance(ty, relax.TensorType) or not isinstance(ty.shape, relax.ShapeExpr):
        return None
    sizes = ty.shape.values[:]
    return tuple(int(size) for size in sizes) if all(isinstance(size, tirx.IntImm) for size in sizes) else None


def plain_type(ty: Any) -> TensorType:
    """A tensor type as plain data: a dynamic size is the text of its expression."""
    shape = None
    if isinstance(ty.shape, relax.ShapeExpr):
        shape = tuple([size.value if isinstance(size, tirx.IntImm) else str(size) for size in ty.shape.values[:]])
    return TensorType(dtype=dtype_of(ty) or "unknown", shape=shape)


def permuted(ty: Any, order: Sequence[int]) -> relax.TensorType:
    """The tensor type with its axes in another order."""
    if not isinstance(ty.shape, relax.ShapeExpr):
        return relax.TensorType(None, ty.dtype, ty.vdevice, ty.ndim)
    sizes = ty.shape.values
    return relax.TensorType([sizes[axis] for axis in order], ty.dtype, ty.vdevice)


def cast(ty: Any, dtype: str) -> relax.TensorType:
    """The tensor type with another dtype."""
    if ty.shape is None:
        return relax.TensorType(None, dtype, ty.vdevice, ty.ndim)
    return relax.TensorType(ty.shape, dtype, ty.vdevice)


def type_of(array: Array) -> relax.TensorType:
    return relax.TensorType(array.shape, str(array.dtype))


def array_of(constant: GenericConst) -> Array:
    """The value of a constant expression."""
    array: Array = constant.value.numpy()
    return array


def constant_array(expr: Any) -> Array | None:
    """The value of a small constant that stands in the module itself, or None for every other expression."""
    if not isinstance(expr, GenericConst) or not isinstance(expr.ty, relax.TensorType):
        return None
    array = array_of(expr)
    return array if array.size <= FEW else None
