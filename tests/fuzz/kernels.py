"""What operators of neural networks mean, by numpy: convolutions, pools, resizing, norms (see `interpreter`)."""

from __future__ import annotations

from math import ceil, floor
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from fuzz.interpreter import Array, NoMeaning, kernel


def reordered(array: Array, have: str, want: str) -> Array:
    """An array in one layout, in another one."""
    if sorted(have) != sorted(want):
        raise NoMeaning(f"layout {have} as {want}")
    return array.transpose([have.index(axis) for axis in want])


def numbers(values: Any, count: int) -> list[int]:
    """An attribute as one number for each axis."""
    found = [int(value) for value in values] if hasattr(values, "__len__") else [int(values)]
    return found * count if len(found) == 1 else found


def before_and_after(padding: Any, dims: int) -> list[tuple[int, int]]:
    sides = numbers(padding, 2 * dims)
    sides = sides * 2 if len(sides) == dims else sides
    return list(zip(sides[:dims], sides[dims:], strict=True))


SPACE = {1: "W", 2: "HW", 3: "DHW"}


def convolved(x: Array, w: Array, strides: list[int], dilation: list[int], groups: int) -> Array:
    """(N, C, space) with (O, C / groups, kernel), without padding."""
    dims = x.ndim - 2
    spread = [d * (k - 1) + 1 for d, k in zip(dilation, w.shape[2:], strict=True)]
    windows = sliding_window_view(x, spread, axis=tuple(range(2, x.ndim)))
    steps = [slice(None, None, stride) for stride in strides]
    windows = windows[(slice(None), slice(None), *steps, *(slice(None, None, d) for d in dilation))]
    batch, channels, *places = windows.shape[: 2 + dims]
    outputs, depth = w.shape[0] // groups, int(np.prod(w.shape[1:]))
    grouped = windows.reshape(batch, groups, channels // groups, *places, *w.shape[2:])
    order = [1, 0, *range(3, 3 + dims), 2, *range(3 + dims, 3 + 2 * dims)]
    rows = grouped.transpose(order).reshape(groups, batch * int(np.prod(places)), depth)
    columns = w.reshape(groups, outputs, depth).transpose(0, 2, 1)
    result = (rows @ columns).reshape(groups, batch, *places, outputs)
    return result.transpose(1, 0, 2 + dims, *range(2, 2 + dims)).reshape(batch, groups * outputs, *places)


@kernel("nn.conv1d", "nn.conv2d", "nn.conv3d")
def _conv(call: Any, data: Array, weight: Array) -> Array:
    attrs, dims = call.attrs, data.ndim - 2
    axes = SPACE[dims]
    x = reordered(data, attrs.data_layout, f"NC{axes}")
    w = reordered(weight, attrs.kernel_layout, f"OI{axes}")
    x = np.pad(x, [(0, 0), (0, 0), *before_and_after(attrs.padding, dims)])
    result = convolved(x, w, numbers(attrs.strides, dims), numbers(attrs.dilation, dims), int(attrs.groups))
    return reordered(result, f"NC{axes}", attrs.out_layout or attrs.data_layout)


@kernel("nn.conv1d_transpose", "nn.conv2d_transpose", "nn.conv3d_transpose")
def _transposed(call: Any, data: Array, weight: Array) -> Array:
    """A convolution of the data with gaps, by the flipped kernel."""
    attrs, dims = call.attrs, data.ndim - 2
    axes = SPACE[dims]
    groups = int(attrs.groups)
    x = reordered(data, attrs.data_layout, f"NC{axes}")
    w = reordered(weight, attrs.kernel_layout, f"IO{axes}")
    strides, dilation = numbers(attrs.strides, dims), numbers(attrs.dilation, dims)
    gapped = np.zeros((*x.shape[:2], *(s * (n - 1) + 1 for s, n in zip(strides, x.shape[2:], strict=True))))
    gapped[(slice(None), slice(None), *(slice(None, None, s) for s in strides))] = x
    inputs, outputs = w.shape[0] // groups, w.shape[1]
    turned = w.reshape(groups, inputs, outputs, *w.shape[2:]).swapaxes(1, 2)
    turned = turned.reshape(groups * outputs, inputs, *w.shape[2:])
    turned = np.flip(turned, axis=tuple(range(2, turned.ndim)))
    widths = []
    for axis, (first, last) in enumerate(before_and_after(attrs.padding, dims)):
        reach = dilation[axis] * (w.shape[2 + axis] - 1)
        widths.append((reach - first, reach - last + numbers(attrs.output_padding, dims)[axis]))
    grown = np.pad(gapped, [(0, 0), (0, 0), *((max(a, 0), max(b, 0)) for a, b in widths)])
    cut = [slice(max(-a, 0), grown.shape[2 + axis] - max(-b, 0)) for axis, (a, b) in enumerate(widths)]
    grown = grown[(slice(None), slice(None), *cut)]
    result = convolved(grown, turned, [1] * dims, dilation, groups)
    return reordered(result, f"NC{axes}", attrs.out_layout or attrs.data_layout)


# ── pooling, resizing ────────────────────────────────────────────────────────────────────────────────────────────────


def _windows(array: Array, size: list[int], strides: list[int], dilation: list[int]) -> Array:
    spread = [d * (k - 1) + 1 for d, k in zip(dilation, size, strict=True)]
    windows = sliding_window_view(array, spread, axis=tuple(range(2, array.ndim)))
    steps = [slice(None, None, stride) for stride in strides]
    return windows[(slice(None), slice(None), *steps, *(slice(None, None, d) for d in dilation))]


@kernel(*(f"nn.{kind}_pool{dims}d" for kind in ("max", "avg") for dims in (1, 2, 3)))
def _pool(call: Any, data: Array) -> Array:
    attrs, dims = call.attrs, data.ndim - 2
    layout = f"NC{SPACE[dims]}"
    x = reordered(data, attrs.layout, layout)
    size, strides = numbers(attrs.pool_size, dims), numbers(attrs.strides, dims)
    dilation = numbers(attrs.dilation, dims)
    sides = before_and_after(attrs.padding, dims)
    grown = []  # what ceil_mode adds behind the padding
    for axis, (first, last) in enumerate(sides):
        reach = dilation[axis] * (size[axis] - 1) + 1
        free = x.shape[2 + axis] + first + last - reach
        steps = (ceil if attrs.ceil_mode else floor)(free / strides[axis]) + 1
        if (steps - 1) * strides[axis] >= x.shape[2 + axis] + first:
            steps -= 1  # no window begins behind the data
        grown.append((steps - 1) * strides[axis] + reach - (x.shape[2 + axis] + first + last))
    widths = [(first, last + max(0, more)) for (first, last), more in zip(sides, grown, strict=True)]
    kernel_axes = tuple(range(2 + dims, 2 + 2 * dims))
    if call.op.name.startswith("relax.nn.max"):
        least = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
        x = np.pad(x, [(0, 0), (0, 0), *widths], constant_values=least)
        result = _windows(x, size, strides, dilation).max(axis=kernel_axes)
    else:
        # How many elements a window counts: those of the data, or those of the padding too.
        counted = np.ones((1, 1, *x.shape[2:]))
        if attrs.count_include_pad:
            counted = np.pad(counted, [(0, 0), (0, 0), *sides], constant_values=1)
            counted = np.pad(counted, [(0, 0), (0, 0), *((0, max(0, more)) for more in grown)])
        else:
            counted = np.pad(counted, [(0, 0), (0, 0), *widths])
        sums = _windows(np.pad(x, [(0, 0), (0, 0), *widths]), size, strides, dilation).sum(axis=kernel_axes)
        counts = _windows(counted, size, strides, dilation).sum(axis=kernel_axes)
        result = sums / np.maximum(counts, 1)
    return reordered(result, layout, attrs.out_layout or attrs.layout)


@kernel("nn.adaptive_avg_pool1d", "nn.adaptive_avg_pool2d", "nn.adaptive_avg_pool3d")
def _adaptive(call: Any, data: Array) -> Array:
    attrs, dims = call.attrs, data.ndim - 2
    layout = f"NC{SPACE[dims]}"
    x = reordered(data, attrs.layout, layout)
    sizes = x.shape[2:] if attrs.output_size is None else numbers(attrs.output_size, dims)
    for axis, size in enumerate(sizes, start=2):
        length = x.shape[axis]
        bins = [slice(floor(i * length / size), ceil((i + 1) * length / size)) for i in range(size)]
        x = np.stack([np.take(x, range(length)[part], axis=axis).mean(axis=axis) for part in bins], axis=axis)
    return reordered(x, layout, attrs.out_layout or attrs.layout)


@kernel("image.resize2d")
def _resize(call: Any, data: Array, size: tuple[int, ...]) -> Array:
    attrs = call.attrs
    x = reordered(data, attrs.layout, "NCHW")
    for axis, target in zip((2, 3), size, strict=True):
        x = _resized(x, axis, target, attrs)
    return reordered(x, "NCHW", attrs.layout)


def _resized(x: Array, axis: int, target: int, attrs: Any) -> Array:
    length, mode = x.shape[axis], attrs.coordinate_transformation_mode
    places = np.arange(target, dtype=np.float64)
    if mode == "half_pixel":
        places = (places + 0.5) * length / target - 0.5
    elif mode == "align_corners":
        places = places * (length - 1) / (target - 1) if target > 1 else places * 0
    elif mode == "asymmetric":
        places = places * length / target
    else:
        raise NoMeaning(f"resize2d {mode}")
    if attrs.method == "nearest_neighbor" and attrs.rounding_method == "floor":
        return np.take(x, np.clip(np.floor(places + 1e-5), 0, length - 1).astype(int), axis=axis)
    if attrs.method != "linear":
        raise NoMeaning(f"resize2d {attrs.method} {attrs.rounding_method}")
    low = np.floor(places)
    part = (places - low).reshape([-1 if place == axis else 1 for place in range(x.ndim)])
    left, right = (np.clip(low + step, 0, length - 1).astype(int) for step in (0, 1))
    return np.take(x, left, axis=axis) * (1 - part) + np.take(x, right, axis=axis) * part


# ── norms ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _along(vector: Array, axes: list[int], rank: int) -> Array:
    """Values for some axes, in their order, in a tensor of a rank."""
    order = np.argsort(axes)
    sizes = dict(zip((axes[place] for place in order), (vector.shape[place] for place in order), strict=True))
    return vector.transpose(order).reshape([sizes.get(place, 1) for place in range(rank)])


def _places(axes: Any, rank: int) -> list[int]:
    """The axes in ascending order: TVM types the weights of others by their order, and computes them by this one."""
    places = [axis % rank for axis in numbers(axes, 1)]
    if places != sorted(places):
        raise NoMeaning(f"a norm over the axes {places}")
    return places


def _normal(x: Array, axes: tuple[int, ...], epsilon: float) -> Array:
    return (x - x.mean(axis=axes, keepdims=True)) / np.sqrt(x.var(axis=axes, keepdims=True) + epsilon)


def _affine(attrs: Any, x: Array, gamma: Array, beta: Array) -> Array:
    x = x * gamma if attrs.scale else x
    return x + beta if attrs.center else x


@kernel("nn.batch_norm")
def _batch_norm(call: Any, x: Array, gamma: Array, beta: Array, mean: Array, variance: Array) -> tuple[Array, ...]:
    attrs = call.attrs
    if attrs.training:
        raise NoMeaning("batch_norm in training")
    wide = [_along(vector, [int(attrs.axis) % x.ndim], x.ndim) for vector in (gamma, beta, mean, variance)]
    result = _affine(attrs, (x - wide[2]) / np.sqrt(wide[3] + attrs.epsilon), wide[0], wide[1])
    return result, mean, variance


@kernel("nn.layer_norm")
def _layer_norm(call: Any, x: Array, gamma: Array, beta: Array) -> Array:
    axes = _places(call.attrs.axes, x.ndim)
    normal = _normal(x, tuple(axes), call.attrs.epsilon)
    return _affine(call.attrs, normal, _along(gamma, axes, x.ndim), _along(beta, axes, x.ndim))


@kernel("nn.rms_norm")
def _rms_norm(call: Any, x: Array, weight: Array) -> Array:
    axes = _places(call.attrs.axes, x.ndim)
    size = np.sqrt((x * x).mean(axis=tuple(axes), keepdims=True) + call.attrs.epsilon)
    return x / size * _along(weight, axes, x.ndim)


@kernel("nn.instance_norm")
def _instance_norm(call: Any, x: Array, gamma: Array, beta: Array) -> Array:
    axes, channel = _places(call.attrs.axes, x.ndim), int(call.attrs.channel_axis) % x.ndim
    normal = _normal(x, tuple(axes), call.attrs.epsilon)
    return _affine(call.attrs, normal, _along(gamma, [channel], x.ndim), _along(beta, [channel], x.ndim))


@kernel("nn.group_norm")
def _group_norm(call: Any, x: Array, gamma: Array, beta: Array) -> Array:
    attrs = call.attrs
    axes, channel = _places(attrs.axes, x.ndim), int(attrs.channel_axis) % x.ndim
    groups = int(attrs.num_groups)
    apart = x.reshape(*x.shape[:channel], groups, x.shape[channel] // groups, *x.shape[channel + 1 :])
    reduced = [channel + 1, *(axis + (axis > channel) for axis in axes)]
    normal = _normal(apart, tuple(reduced), attrs.epsilon).reshape(x.shape)
    return _affine(attrs, normal, _along(gamma, [channel], x.ndim), _along(beta, [channel], x.ndim))


@kernel("nn.softmax")
def _softmax(call: Any, x: Array) -> Array:
    powers = np.exp(x - x.max(axis=int(call.attrs.axis), keepdims=True))
    return powers / powers.sum(axis=int(call.attrs.axis), keepdims=True)


@kernel("nn.log_softmax")
def _log_softmax(call: Any, x: Array) -> Array:
    shifted = x - x.max(axis=int(call.attrs.axis), keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=int(call.attrs.axis), keepdims=True))


@kernel("nn.attention")
def _attention(call: Any, query: Array, key: Array, value: Array) -> Array:
    if call.attrs.scale is not None or call.attrs.causal_mask is not None:
        raise NoMeaning("attention with a scale or a mask")
    q, k, v = (tensor.swapaxes(1, 2) for tensor in (query, key, value))
    scores = q @ k.swapaxes(2, 3) / np.sqrt(query.shape[3])
    powers = np.exp(scores - scores.max(axis=3, keepdims=True))
    return ((powers / powers.sum(axis=3, keepdims=True)) @ v).swapaxes(1, 2)
