"""What a quantized network computes, written down a second time in plain numpy, as docs/quantization.md states it.

It sums `(q - zero_point) * w` over zeros for padding, where the converted module pads with the zero point and corrects
the sums; and it takes the layers as they were before layouts were changed.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from corecast.model import Layer
from corecast.plan.integers import AVERAGES, Integers, Slot, value_of
from corecast.quantization import Calibration

LIMITS = {"int8": (-128, 127), "uint8": (0, 255)}
RELU6 = (0.0, 6.0)  # a table does not say between what a `clip` cuts off
Scale = tuple[np.float32, int, str]


class Reference:
    """The integers and the floats of one run; `integers` says which layers are which, the numbers are found here."""

    def __init__(self, integers: Integers, calibration: Calibration, weights: Mapping[str, np.ndarray]) -> None:
        self.integers = integers
        self.layers = integers.table.layers
        self.weights = weights
        self.scales = {number: self._scale(number, calibration) for number in set(integers.group.values())}
        self.steps: dict[tuple[int | str, int], np.ndarray] = {}
        self.floats: dict[tuple[int | str, int], np.ndarray] = {}

    def _scale(self, number: int, calibration: Calibration) -> Scale:
        ranges = [calibration.ranges[self.integers.name(value)] for value in self.integers.observed[number]]
        low, high = min(0.0, *(found.low for found in ranges)), max(0.0, *(found.high for found in ranges))
        form = next(slot.form for slot, group in self.integers.group.items() if group == number)
        if low == high:
            return np.float32(1), 0 if form.symmetric else LIMITS[form.dtype][0], form.dtype
        if form.symmetric:
            return np.float32(max(-low, high) / 127), 0, form.dtype
        scale = np.float32((high - low) / 255)
        return scale, int(np.rint(LIMITS[form.dtype][0] - low / float(scale))), form.dtype

    def run(self, inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """The outputs of the converted network, to the last bit."""
        self.floats = {(name, 0): array for name, array in inputs.items()}
        for layer in self.layers:
            self._run(layer)
        return [self._float(value_of(operand)) for operand in self.integers.table.returns]

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _read(self, slot: Slot) -> tuple[np.ndarray, Scale]:
        """A value as integers less their zero point, in int64."""
        number = self.integers.group[slot]
        scale, zero_point, dtype = self.scales[number]
        made = self.integers.made.get(slot.value)
        if made is None:
            steps = np.rint(self.floats[slot.value] / scale) + np.float32(zero_point)
            integers = np.clip(steps, *LIMITS[dtype]).astype(np.int64)
        else:
            integers = self.steps[slot.value]
            own = self.scales[self.integers.group[made]]
            if self.integers.group[made] != number:
                factor = np.float64(own[0]) / float(scale)
                integers = self._rescaled(integers - own[1], factor, self.scales[number])
        return integers - zero_point, self.scales[number]

    def _float(self, value: tuple[int | str, int]) -> np.ndarray:
        if value in self.integers.made:
            scale, zero_point, _ = self.scales[self.integers.group[self.integers.made[value]]]
            return (self.steps[value] - zero_point).astype(np.float32) * scale
        return self.floats[value]

    @staticmethod
    def _rescaled(sums: np.ndarray, factor: np.ndarray, scale: Scale) -> np.ndarray:
        steps = np.rint(sums.astype(np.int32).astype(np.float32) * np.asarray(factor).astype(np.float32))
        return np.clip(steps + np.float32(scale[1]), *LIMITS[scale[2]]).astype(np.int64)

    # ── computing ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _run(self, layer: Layer) -> None:
        role = self.integers.roles.get(layer.index)
        if role == "sums":
            self._sum(layer)
        elif role == "carried":
            self._carry(layer)
        elif role is None:
            arrays = [
                self._float(value) if (value := value_of(item)) else self.weights[item.parameter]
                for item in layer.operands
            ]
            self.floats[layer.index, 0] = FLOATS[layer.op](layer, arrays)

    def _sum(self, layer: Layer) -> None:
        slots = self.integers.reads[layer.index]
        data, scale = self._read(slots[0])
        if slots[1] is not None:
            other, second = self._read(slots[1])
            self._hand_out(layer.index, data @ other, np.float64(scale[0]) * np.float64(second[0]), None)
            return
        weight = self.weights[layer.operands[1].parameter]
        axis = 0 if layer.op.startswith("nn.conv") else weight.ndim - 1
        others = tuple(at for at in range(weight.ndim) if at != axis)
        if self.integers.edits[layer.index].weights == "per_tensor":
            scales = np.full(weight.shape[axis], np.float32(np.abs(weight).max() / 127))
        else:
            scales = (np.abs(weight.astype(np.float64)).max(others) / 127).astype(np.float32)
        scales[scales == 0] = 1
        shape = [-1 if at == axis else 1 for at in range(weight.ndim)]
        steps = np.rint(weight / scales.reshape(shape)).astype(np.int64)
        sums = convolved(data, steps, layer) if layer.op == "nn.conv2d" else data @ steps
        factors = scales.astype(np.float64) * np.float64(scale[0])
        channel = 1 if layer.op == "nn.conv2d" else sums.ndim - 1
        last = self.integers.biases.get(layer.index, layer.index)
        if last != layer.index:
            bias = next(self.weights[item.parameter] for item in self.layers[last].operands if item.parameter)
            places = [-1 if at == channel else 1 for at in range(sums.ndim)]
            sums = sums + np.rint(bias.ravel() / factors).astype(np.int64).reshape(places)
        self._hand_out(last, sums, factors, channel)

    def _hand_out(self, index: int, sums: np.ndarray, factors: np.ndarray, channel: int | None) -> None:
        if channel is not None:
            factors = factors.reshape([-1 if at == channel else 1 for at in range(sums.ndim)])
        made = self.integers.made.get((index, 0))
        if made is None:
            self.floats[index, 0] = sums.astype(np.int32).astype(np.float32) * factors.astype(np.float32)
            return
        scale = self.scales[self.integers.group[made]]
        self.steps[index, 0] = self._rescaled(sums, factors / float(scale[0]), scale)

    def _carry(self, layer: Layer) -> None:
        read = [self._read(slot) for slot in self.integers.reads[layer.index]]
        scale = self.scales[self.integers.group[self.integers.made[layer.index, 0]]]
        arrays = [array for array, _ in read]
        own = read[0][1]
        if layer.op == "add":
            steps = self._rescaled(arrays[0] + arrays[1], np.float64(own[0]) / float(scale[0]), scale)
        elif layer.op in AVERAGES:
            count = arrays[0].shape[2] * arrays[0].shape[3]
            keep = layer.op != "mean" or bool(layer.attributes.get("keepdims"))
            sums = arrays[0].sum((2, 3), keepdims=keep)
            steps = self._rescaled(sums, np.float64(own[0]) / (float(scale[0]) * count), scale)
        elif layer.op == "clip":
            low, high = (np.rint(end / own[0]) for end in RELU6)
            steps = np.clip(np.clip(arrays[0], low, high) + own[1], *LIMITS[own[2]]).astype(np.int64)
        else:
            steps = MOVES[layer.op](layer, arrays) + own[1]
        self.steps[layer.index, 0] = steps


def convolved(data: np.ndarray, weight: np.ndarray, layer: Layer) -> np.ndarray:
    """A convolution of integers in NCHW with the kernel OIHW, by its definition."""
    top, left, bottom, right = layer.attributes.get("padding", (0, 0, 0, 0))
    stride = layer.attributes.get("strides", (1, 1))
    data = np.pad(data, ((0, 0), (0, 0), (top, bottom), (left, right)))
    outputs, depth, height, width = weight.shape
    rows, columns = (data.shape[2] - height) // stride[0] + 1, (data.shape[3] - width) // stride[1] + 1
    result = np.zeros((data.shape[0], outputs, rows, columns), np.int64)
    each = outputs // layer.groups
    for group in range(layer.groups):
        here, part = slice(group * each, (group + 1) * each), data[:, group * depth : (group + 1) * depth]
        for y in range(height):
            for x in range(width):
                seen = part[:, :, y : y + rows * stride[0] : stride[0], x : x + columns * stride[1] : stride[1]]
                result[:, here] += np.einsum("nchw,oc->nohw", seen, weight[here, :, y, x])
    return result


def pooled(data: np.ndarray, size: int) -> np.ndarray:
    batch, channels, height, width = data.shape
    return data.reshape(batch, channels, height // size, size, width // size, size).max((3, 5))


MOVES = {
    "nn.relu": lambda _, arrays: np.maximum(arrays[0], 0),
    "nn.max_pool2d": lambda layer, arrays: pooled(arrays[0], layer.attributes["pool_size"][0]),
    "concat": lambda layer, arrays: np.concatenate(arrays, layer.attributes["axis"]),
    "reshape": lambda layer, arrays: arrays[0].reshape(layer.results[0].shape),
    "permute_dims": lambda layer, arrays: arrays[0].transpose(layer.attributes["axes"]),
}

FLOATS = {
    **MOVES,
    "nn.relu": lambda _, arrays: np.maximum(arrays[0], np.float32(0)),
    "add": lambda _, arrays: arrays[0] + arrays[1],
    "negative": lambda _, arrays: -arrays[0],
}
