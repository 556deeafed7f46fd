"""A converted model in, one that runs on any CPU out: dtypes that a CPU lacks are carried by wider ones.

An int4 kernel compiles for a CPU and then takes the process with it, TVM's float8 is wrong at zero there, and its
float16 is ten times slower than float32. So a cast to such a dtype becomes a call of numpy (with ml_dtypes' rounding)
whose result stands in a carrier that holds every value of the dtype, and what computes in the dtype is rounded to it
afterwards. Products are exact in the carrier and sums are in int32 or float32, as on a matrix unit.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import tvm
import tvm_ffi
from tvm import relax
from tvm.ir import Call, GenericConst, Tuple, Var

from corecast.adapters.relax.attributes import with_attributes
from corecast.adapters.relax.model import Model
from corecast.adapters.relax.rebuild import Line, Rebuild, bindings_of
from corecast.adapters.relax.tensors import array_of, dtype_of, numpy_dtype
from corecast.adapters.rounding import rounded

CARRIERS = {
    "int4": "int8",
    "uint4": "uint8",
    "float16": "float32",
    "bfloat16": "float32",
    "float8_e4m3fn": "float32",
    "float8_e5m2": "float32",
}

_CAST = tvm.ir.Op.get("relax.astype")


def emulated_dtypes(model: Model) -> tuple[str, ...]:
    """The dtypes of a model that `emulate` replaces by carriers."""
    variables = [*model.inputs, *(binding.var for binding in bindings_of(model.main))]
    dtypes = {str(dtype_of(var.ty)) for var in variables if _is_tensor(var)}
    dtypes |= {str(array.dtype) for array in model.parameters.values()}
    return tuple(sorted(dtypes & CARRIERS.keys()))


def emulate(model: Model) -> Model:
    """The same model with carriers. Inputs keep their dtypes at the door and are carried from there on."""
    rebuild = Rebuild(model)
    for var in model.inputs:
        if _is_tensor(var) and (dtype := dtype_of(var.ty)) in CARRIERS:
            carried = _rounded(var, dtype, var.ty.shape)
            rebuild.replace(var, rebuild.emit(carried, rebuild.fresh(f"{var.name}_carried")))
    for var in model.weights:
        array = rebuild.arrays[var]
        if carrier := CARRIERS.get(str(array.dtype)):
            carried = rebuild.parameter(array.astype(numpy_dtype(carrier)), var.name, takes_name=True)
            rebuild.replace(var, carried)
    for line in rebuild.lines:
        for constant in _constants(line.value):
            rebuild.replace(constant, _carried(constant))
        if _is_tensor(line.var) and dtype_of(line.var.ty) in CARRIERS:
            _carry(rebuild, line)
        else:
            rebuild.keep(line)
    return rebuild.finish()


def _carry(rebuild: Rebuild, line: Line) -> None:
    """Compute a binding in the carrier of its dtype, and round the result to the dtype."""
    dtype = dtype_of(line.var.ty) or ""
    name = line.var.name
    value = line.value
    if not isinstance(value, Call):  # an alias, or one of the results of a call: rounded where it was made
        exact = rebuild.new(value)
        exact = exact if isinstance(exact, Var) else rebuild.emit(exact, rebuild.fresh(f"{name}_exact"))
    elif value.op == _CAST:
        exact = rebuild.new(value.args[0])
    else:
        exact = rebuild.emit(_out_of(rebuild.new(value), CARRIERS[dtype]), rebuild.fresh(f"{name}_exact"))
    rebuild.replace(line.var, rebuild.emit(_rounded(exact, dtype, line.var.ty.shape), name))


def _rounded(exact: Any, dtype: str, shape: Any) -> Call:
    """A call of numpy that rounds to a dtype and leaves the values in its carrier."""
    return relax.op.call_pure_packed(_rounding(dtype), exact, ty_args=relax.TensorType(shape, CARRIERS[dtype]))


def _constants(expr: Any) -> Iterator[GenericConst]:
    """The constants that an expression reads in a dtype that needs a carrier: scales, bounds."""
    if isinstance(expr, GenericConst) and _is_tensor(expr) and dtype_of(expr.ty) in CARRIERS:
        yield expr
    for part in expr.args if isinstance(expr, Call) else expr.fields if isinstance(expr, Tuple) else ():
        yield from _constants(part)


def _carried(constant: GenericConst) -> GenericConst:
    carrier = CARRIERS[dtype_of(constant.ty) or ""]
    return relax.const(array_of(constant).astype(numpy_dtype(carrier)), carrier)


def _out_of(call: Call, carrier: str) -> Call:
    """The call with its result in the carrier, where its attributes name a result dtype."""
    named = {name: carrier for name in ("out_dtype", "dtype") if getattr(call.attrs, name, None)}
    return Call(call.op, call.args, with_attributes(call.attrs, **named), call.ty_args) if named else call


def _is_tensor(expr: Any) -> bool:
    return isinstance(expr.ty, relax.TensorType)


def _rounding(dtype: str) -> str:
    """The name of the packed function that rounds to a dtype and gives its values in the carrier."""
    name = f"corecast.emulate.{dtype}"
    if tvm.get_global_func(name, allow_missing=True) is None:

        def cast(tensor: tvm.runtime.Tensor) -> tvm.runtime.Tensor:
            return tvm.runtime.tensor(rounded(tensor.numpy(), dtype).astype(numpy_dtype(CARRIERS[dtype])))

        tvm_ffi.register_global_func(name, cast)
    return name
