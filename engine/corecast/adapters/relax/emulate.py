"""A converted model in, one that runs on any CPU out: dtypes that TVM cannot run there are carried by wider ones.

An int4 kernel compiles for a CPU and then takes the process with it, and TVM's float8 is wrong at zero. So a cast to such
a dtype becomes a call of numpy (with ml_dtypes' rounding), whose result stands in a carrier that holds every such value:
int8 for int4, float32 for float8. Sums are exact or in float32 either way, so the numbers are those of the dtype.
"""

from __future__ import annotations

import numpy as np
import tvm
import tvm_ffi
from tvm import relax
from tvm.ir import Call

from corecast.adapters.relax.model import Model
from corecast.adapters.relax.rebuild import Rebuild, bindings_of
from corecast.adapters.relax.tensors import dtype_of, numpy_dtype

CARRIERS = {"int4": "int8", "uint4": "uint8", "float8_e4m3fn": "float32", "float8_e5m2": "float32"}

_CAST = tvm.ir.Op.get("relax.astype")


def emulate(model: Model) -> Model:
    """The same model with carriers; the very model where no dtype needs one."""
    dtypes = {dtype_of(binding.var.ty) for binding in bindings_of(model.main) if hasattr(binding.var.ty, "dtype")}
    dtypes |= {str(array.dtype) for array in model.parameters.values()}
    if not dtypes & CARRIERS.keys():
        return model
    rebuild = Rebuild(model)
    for var in model.weights:
        array = rebuild.arrays[var]
        if str(array.dtype) in CARRIERS:
            rebuild.replace(var, rebuild.parameter(array.astype(numpy_dtype(CARRIERS[str(array.dtype)])), var.name))
    for binding in bindings_of(model.main):
        value = binding.value
        if isinstance(value, Call) and value.op == _CAST and (dtype := str(value.attrs.dtype)) in CARRIERS:
            operand = rebuild.new(value.args[0])
            carrier = relax.TensorType(operand.ty.shape, CARRIERS[dtype])
            cast = relax.op.call_pure_packed(_function(dtype), operand, ty_args=carrier)
            rebuild.replace(binding.var, rebuild.emit(cast, binding.var.name))
        else:
            rebuild.keep(binding)
    return rebuild.finish()


def _function(dtype: str) -> str:
    """The name of the packed function that rounds to a dtype and gives its values in the carrier."""
    name = f"corecast.emulate.{dtype}"
    if tvm.get_global_func(name, allow_missing=True) is None:

        def cast(tensor: tvm.runtime.Tensor) -> tvm.runtime.Tensor:
            # What a dtype cannot hold has no defined value in it; the warning would say so once for every layer.
            with np.errstate(invalid="ignore", over="ignore"):
                values = tensor.numpy().astype(numpy_dtype(dtype)).astype(numpy_dtype(CARRIERS[dtype]))
            return tvm.runtime.tensor(values)

        tvm_ffi.register_global_func(name, cast)
    return name
