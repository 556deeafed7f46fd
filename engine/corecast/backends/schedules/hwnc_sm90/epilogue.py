"""What follows the sums, as code: a sum in, the finished value out; pairs of values in, the word that is stored out.

What they compute, `problem.Epilogue` says; the kernel calls each where it finishes a value.
"""

from __future__ import annotations

from typing import Any

from tvm.script import tirx as T
from tvm.tirx import Expr

from corecast.backends.schedules.hwnc_sm90.problem import Epilogue

# Adding 1.5 * 2**23 leaves a float's nearest integer, ties to even, in its lowest bits; conversions are slower.
# So it does for integers up to this far from zero.
_NEAREST, _NEAREST_BITS, _FAR = 12582912.0, 0x4B400000, 2**22


def as_float(sum: Expr, largest: int) -> Expr:
    """A sum of integers, at most `largest` from zero, as float32. Small ones go around the conversion as well."""
    if largest > _FAR:
        return T.Cast("float32", sum)
    return T.reinterpret("float32", sum + T.int32(_NEAREST_BITS)) - T.float32(_NEAREST)


def finished(sum: Expr, scale: Any, bias: Any, residual: Any, spec: Epilogue) -> Expr:
    """The value that is written, in float32 and not yet rounded; what `spec` does not have is not read."""
    value = sum
    if spec.gain != 1:
        value = value * T.float32(spec.gain)
    if spec.scale:
        value = value * scale
    if spec.bias:
        value = value + bias
    if spec.residual:
        value = value + (residual if spec.residual_scale == 1 else residual * T.float32(spec.residual_scale))
    value = _activated(value, spec)
    return value if spec.rescale == 1 else value * T.float32(spec.rescale)


def _activated(value: Expr, spec: Epilogue) -> Expr:
    if spec.activation == "relu":
        return T.max(value, T.float32(0))
    if spec.activation == "clip":
        low, high = spec.clip
        return T.min(T.max(value, T.float32(low)), T.float32(high))
    if spec.activation == "gelu":
        return T.float32(0.5) * value * (T.float32(1) + T.erf(value * T.float32(0.5**0.5)))
    return value


def packed(low: Expr, high: Expr, dtype: str) -> Expr:
    """Two neighbouring values, rounded, as the word that memory holds; for dtypes of 1 and 2 bytes."""
    if dtype == "int8":
        low, high = (_nearest(value) for value in (low, high))
    name, word, body = _PACK[dtype]
    return T.cuda.func_call(name, low, high, source_code=body, return_type=word)


def unpacked(word: Expr, place: int, dtype: str) -> Expr:
    """One of the two values in a word of a residual, as float32; `place` is 0 or 1."""
    if dtype == "int8":
        return T.Cast("float32", T.Cast("int8", T.shift_right(word, T.uint16(8 * place))))
    if dtype == "bfloat16":
        return T.reinterpret("float32", word & T.uint32(0xFFFF0000) if place else word << T.uint32(16))
    name, body = _UNPACK[dtype]
    return T.cuda.func_call(
        f"{name}_{place}", word, source_code=body.replace("PLACE", str(place)), return_type="float32"
    )


def _nearest(value: Expr) -> Expr:
    """The nearest integer of a float, which packing ends at 127: for floats the order of bits is that of values."""
    bits = T.reinterpret("int32", T.max(value, T.float32(-128)) + T.float32(_NEAREST))
    return bits - T.int32(_NEAREST_BITS)


def _pack(name: str, word: str, instruction: str) -> tuple[str, str, str]:
    kind, register = ("unsigned int", "r") if word == "uint32" else ("unsigned short", "h")
    return (
        name,
        word,
        f"__device__ __forceinline__ {kind} {name}(float low, float high) {{ {kind} word; "
        f'asm("{instruction} %0, %1, %2;" : "={register}"(word) : "f"(high), "f"(low)); return word; }}\n',
    )


_PACK = {
    "int8": (
        "corecast_pack_s8",
        "uint16",
        "__device__ __forceinline__ unsigned short corecast_pack_s8(int low, int high) { unsigned int word; "
        'asm("cvt.pack.sat.s8.s32.b32 %0, %1, %2, %3;" : "=r"(word) : "r"(high), "r"(low), "r"(0)); return word; }\n',
    ),
    "float16": _pack("corecast_pack_f16", "uint32", "cvt.rn.f16x2.f32"),
    "bfloat16": _pack("corecast_pack_bf16", "uint32", "cvt.rn.bf16x2.f32"),
    "float8_e4m3fn": _pack("corecast_pack_e4m3", "uint16", "cvt.rn.satfinite.e4m3x2.f32"),
}
_UNPACK = {
    "float16": (
        "corecast_unpack_f16",
        "__device__ __forceinline__ float corecast_unpack_f16_PLACE(unsigned int word) { float value; "
        'asm("{ .reg .b16 half; cvt.u16.u32 half, %1; cvt.f32.f16 %0, half; }" '
        ': "=f"(value) : "r"(word >> (16 * PLACE))); return value; }\n',
    ),
    "float8_e4m3fn": (
        "corecast_unpack_e4m3",
        "__device__ __forceinline__ float corecast_unpack_e4m3_PLACE(unsigned short word) { unsigned int halves; "
        'float value; asm("cvt.rn.f16x2.e4m3x2 %0, %1;" : "=r"(halves) : "h"(word)); '
        'asm("{ .reg .b16 half; cvt.u16.u32 half, %1; cvt.f32.f16 %0, half; }" '
        ': "=f"(value) : "r"(halves >> (16 * PLACE))); return value; }\n',
    ),
}
