"""Ranges and weights in, scales out: which number an integer stands for, `scale * (q - zero_point)`.

Scales are float32, as the kernels that use them have them; what follows from several of them is computed in float64 and
rounded once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from corecast.lang.problems import Problem
from corecast.model import LayerTable
from corecast.plan.ids import compress, shorten
from corecast.plan.integers import Form, Integers, Slot
from corecast.quantization.calibration import Calibration, CalibrationError, Range
from corecast.recipe import Quantize

Array = NDArray[np.floating[Any]]

# The scale of what was never other than zero: any one will do, and with this one the integers are the values.
OF_ZEROS = 1.0

# Smaller scales would be denormal numbers, which have lost digits and which a CPU may flush to zero.
SMALLEST = float(np.finfo(np.float32).tiny)

# Up to here a bias is exact in int32, with as much room again for the sums that it is added to.
LARGEST_BIAS = 2**30

# Weights are symmetric, so that zero is zero and -128 stands for nothing.
WEIGHT_STEPS = 127

# How many values of a weight are divided at a time: 16 MiB of them.
MOST_AT_ONCE = 2**22

LIMITS = {"int8": (-128, 127), "uint8": (0, 255)}


@dataclass(frozen=True)
class Scale:
    """What the integers of a tensor stand for."""

    scale: float
    zero_point: int
    dtype: str

    @property
    def limits(self) -> tuple[int, int]:
        return LIMITS[self.dtype]

    def quantized(self, value: float) -> int:
        """The integer that stands for a number, as a kernel would compute it; the nearest of the ends beyond them."""
        low, high = self.limits
        return int(min(max(np.rint(value / self.scale) + self.zero_point, low), high))


def scale_of(found: Range, form: Form) -> Scale:
    """The scale with which the integers of a form reach just over a range, which is made to hold zero first.

    Zero is an integer then, so that padding and `relu` are exact. A range of nothing but zero has the scale 1. One
    whose scale is no normal float32 gets the smallest, and its values become a few steps or zero.
    """
    low, high = min(found.low, 0.0), max(found.high, 0.0)
    first, last = LIMITS[form.dtype]
    scale = max(-low, high) / last if form.symmetric else (high - low) / (last - first)
    if low == high:
        scale = OF_ZEROS
    scale = float(np.float32(min(max(scale, SMALLEST), float(np.finfo(np.float32).max))))
    zero_point = 0 if form.symmetric else int(min(max(np.rint(first - low / scale), first), last))
    return Scale(scale, zero_point, form.dtype)


def weight_scales(
    weight: Array, axis: int | None, input_scale: float, bias: Array | None = None
) -> NDArray[np.float32]:
    """The scales of a weight: of each output channel, or of all.

    The sums of channel `c` have the scale `input_scale * scales[c]`, and the bias is one of them in int32. Where that
    would not hold it (a channel of zeros or of tiny weights beside a large bias) the weights get a larger scale: they
    count for nothing beside such a bias. A channel of zeros without one gets the scale 1.

    Args:
        weight: its values; numbers all.
        axis: the one of the output channels; None for one scale.
        input_scale: of what it is multiplied with.
        bias: a number for each channel, that is added to the sums.
    """
    others = None if axis is None else tuple(other for other in range(weight.ndim) if other != axis)
    largest = np.atleast_1d(_largest(weight, others))
    scales = largest / WEIGHT_STEPS
    if bias is not None:
        needed = np.abs(bias.astype(np.float64)) / (input_scale * LARGEST_BIAS)
        scales = np.maximum(scales, needed if axis is not None else needed.max(initial=0.0))
    scales = np.where(scales == 0.0, OF_ZEROS, np.maximum(scales, SMALLEST))
    return scales.astype(np.float32)


def quantized(array: Array, scales: NDArray[np.float32], axis: int | None, dtype: str) -> NDArray[np.integer[Any]]:
    """The integers, around zero, that stand for the values of an array; `scales` lie along an axis, or are one.

    It holds the array, the result and a few rows.
    """
    result: NDArray[np.integer[Any]] = np.empty(array.shape, dtype)
    along = scales.reshape([-1 if at == axis else 1 for at in range(array.ndim)] if axis is not None else ())
    rows = max(1, MOST_AT_ONCE * len(array) // max(1, array.size))
    for start in range(0, len(array), rows):
        part = slice(start, start + rows)
        steps = array[part] / (along[part] if axis == 0 else along)
        np.rint(steps, out=steps)
        result[part] = np.clip(steps, *LIMITS[dtype], out=steps)
    return result


def _largest(weight: Array, axes: tuple[int, ...] | None) -> NDArray[np.float64]:
    """The largest absolute value, without a copy of the weight."""
    low, high = np.asarray(weight.min(axis=axes, initial=0.0)), np.asarray(weight.max(axis=axes, initial=0.0))
    return np.maximum(-low.astype(np.float64), high.astype(np.float64))


def channel_sums(weight: Array, scales: NDArray[np.float32], axis: int) -> NDArray[np.int64]:
    """The sum of the integers of each output channel's weights, which lie along an axis; `scales` too, or are one."""
    integers = quantized(weight, scales, axis if scales.size == weight.shape[axis] else None, "int8")
    others = tuple(other for other in range(weight.ndim) if other != axis)
    return np.asarray(integers.sum(axis=others, dtype=np.int64))


def bias_steps(
    bias: Array | None, scales: NDArray[np.float64], sums: NDArray[np.int64], zero_point: int
) -> NDArray[np.int32]:
    """What is added to the sums of each channel: the bias in their steps, less what the zero point has added.

    Args:
        bias: a number for each channel, or None.
        scales: of the sums of each channel, or of all of them.
        sums: of the integers of each channel's weights.
        zero_point: of what the weights are multiplied with.
    """
    steps = 0.0 if bias is None else np.clip(np.rint(bias.astype(np.float64) / scales), -LARGEST_BIAS, LARGEST_BIAS)
    return np.asarray(steps - zero_point * sums).astype(np.int32)


@dataclass(frozen=True)
class Quantization:
    """Everything that carrying out a plan on integers needs to know beside it: what computes on them, at which scales.

    `weights` are the values of the model's parameters.
    """

    integers: Integers
    scales: Mapping[int, Scale]
    weights: Mapping[str, Array]

    @classmethod
    def of(cls, integers: Integers, calibration: Calibration | None, weights: Mapping[str, Array]) -> Quantization:
        """Make scales of what calibration has found.

        Raises:
            CalibrationError: where there is none, where it is of another model, or has no range for a value that needs
                one.
        """
        if calibration is None:
            raise not_calibrated(len(integers.edits))
        calibration.check(integers.table)
        missing = [name for name in integers.to_observe if name not in calibration.ranges]
        if missing:
            raise _without_ranges(missing, integers.table)
        forms = {number: slot.form for slot, number in integers.group.items()}
        scales = {number: scale_of(_range(integers, calibration, number), form) for number, form in forms.items()}
        return cls(integers, scales, weights)

    def scale(self, slot: Slot) -> Scale:
        return self.scales[self.integers.group[slot]]


def not_calibrated(layers: int) -> CalibrationError:
    """What is told where a plan quantizes so many layers without a calibration."""
    what, whose = ("1 layer is", "its") if layers == 1 else (f"{layers} layers are", "their")
    message = f"{what} quantized, and nothing says in which ranges {whose} values lie"
    help = (
        "calibrate first: `corecast calibrate RULES MODEL --data DIR -o calibration.json`; "
        "then `corecast apply RULES MODEL --calibration calibration.json -o BUNDLE`"
    )
    return CalibrationError(Problem("no-calibration", message, help=help))


def summary(edits: Mapping[str, Quantize], quantization: Quantization | None) -> list[str]:
    """What a pass that quantizes these layers prints of them: each way with its layers, then what is carried along."""
    groups: dict[str, list[str]] = {}
    for layer, edit in edits.items():
        groups.setdefault(str(edit), []).append(layer)
    lines = [f"  {compress(layers)}: {edit}" for edit, layers in groups.items()]
    if quantization and (carried := quantization.integers.carried):
        lines.append(f"  carried along: {compress(carried)}")
    return lines


def _range(integers: Integers, calibration: Calibration, number: int) -> Range:
    """The range of a set of values that share a scale: of all those whose own range counts."""
    first, *others = [calibration.ranges[integers.name(value)] for value in integers.observed[number]]
    for other in others:
        first = first.union(other)
    return first


def _without_ranges(names: Sequence[str], table: LayerTable) -> CalibrationError:
    message = f"the calibration has no range for {shorten(', '.join(names))}"
    help = (
        "make it anew for this plan: `corecast calibrate RULES MODEL --data DIR -o calibration.json`; "
        "a layer that no data reach is kept by `keep dtype`"
    )
    return CalibrationError(Problem("no-range", message, help=help, place=table.model))
